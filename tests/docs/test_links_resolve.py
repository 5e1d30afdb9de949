"""Every relative link leads to a file of the repository, and every anchor to a heading."""

from __future__ import annotations

import pytest

from .markdown import anchors, links, loose_references, pages, shown


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_links_lead_somewhere(page):
    broken = []
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert [] == broken


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_reference_links_are_defined(page):
    assert set() == loose_references(page)
