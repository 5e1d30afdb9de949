"""What pages name as a file of the repository is one."""

from __future__ import annotations

import re

import pytest

from .markdown import ROOT, blocks, pages, shown, spans

TOP = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} | {".ci", ".importlinter"}


def _paths(text: str) -> list[str]:
    """What in a code span or a command line looks like a path of the repository."""
    found = re.findall(r"(?<![\w./~-])\.?/?([\w.-]+(?:/[\w.*-]+)*/?)", text)
    paths = [path for path in found if path.partition("/")[0] in TOP and ("/" in path or "." in path[1:])]
    return [
        path for path in paths if not path.startswith("deploy/keyferry")
    ]  # kubectl's name of a Deployment


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_named_paths_exist(page):
    texts = [*spans(page), *(line for block in blocks(page, "sh") for line in block.text.splitlines())]
    missing = {path for text in texts for path in _paths(text) if not list(ROOT.glob(path.rstrip("/")))}

    assert set() == missing


def test_paths_are_recognised():
    assert ["deploy/rbac/rbac.yaml"] == _paths("kubectl apply -f deploy/rbac/rbac.yaml")
    assert ["docs/nothing.md", "CHANGELOG.md"] == _paths("docs/nothing.md CHANGELOG.md")
    assert [] == _paths("shop/db")
