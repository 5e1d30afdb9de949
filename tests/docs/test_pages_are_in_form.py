"""Pages are short-lined, found from the index, and the pages of kinds are built alike."""

from __future__ import annotations

import pytest

from .markdown import ROOT, headings, links, pages, shown

WIDTH = 110
FOR_DEVELOPERS = {"CONTRIBUTING.md", "ARCHITECTURE.md"}
OURS = [page for page in pages() if "decisions" not in page.parts and page.name not in FOR_DEVELOPERS]
SKELETON = ["Example", "Fields", "Working with it", "Status", "Debugging"]


@pytest.mark.parametrize("page", OURS, ids=shown)
def test_lines_fit_a_screen(page):
    long = [n for n, line in enumerate(page.read_text("utf-8").splitlines(), 1) if len(line) > WIDTH]

    assert [] == long


@pytest.mark.parametrize("page", OURS, ids=shown)
def test_page_begins_with_its_one_title(page):
    first = page.read_text("utf-8").splitlines()[0]

    assert first.startswith("# ")
    assert 1 == sum(level == 1 for level, _ in headings(page))


def test_every_page_of_the_documentation_is_in_the_index():
    index = ROOT / "docs/index.md"
    linked = {(index.parent / link).resolve() for link in links(index)}
    missing = [
        shown(page)
        for page in (ROOT / "docs").rglob("*.md")
        if page != index and page not in linked and page.parent not in linked
    ]

    assert [] == missing


def test_readme_leads_to_the_index():
    assert "docs/index.md" in links(ROOT / "README.md")


@pytest.mark.parametrize("name", ["clusterexternalsecret", "externalsecret", "secretstore", "storepolicy"])
def test_page_of_a_kind_has_the_parts_of_all(name):
    found = [text for level, text in headings(ROOT / f"docs/kinds/{name}.md") if level == 2]

    assert SKELETON == [text for text in found if text in SKELETON]


def test_readme_shows_the_two_commands_first():
    commands = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines()[:12] if "make" in line]

    assert ["make demo", "make test"] == commands[:2]
