"""Messages that pages quote are those that the code writes, word for word."""

from __future__ import annotations

import ast
import functools

import pytest

from .markdown import ROOT, prose, shown

QUOTING = {
    "docs/troubleshooting.md": ("", ""),
    "docs/providers/aws.md": ("## What it says", ""),
    "docs/providers/aws-parameter-store.md": ("## What it says", ""),
    "docs/providers/azurekv.md": ("## What it says", ""),
    "docs/providers/kubernetes.md": ("## What it says", ""),
    "docs/providers/vault.md": ("## What it says", ""),
    "docs/providers/webhook.md": ("## What it says", ""),
    "docs/kinds/secretstore.md": ("and then has the cause:", "Each change"),
}
"""Pages, and between which words each list item begins with a quoted message; `…` stands for what varies."""


@functools.cache
def texts() -> str:
    """All string constants of the package, each on a line."""
    found: list[str] = []
    for path in (ROOT / "operator/keyferry").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(p.value) if isinstance(p, ast.Constant) else "" for p in node.values)
                )
    return "\n".join(found)


def quoted() -> list[tuple[str, str]]:
    """(page, message) of every list item that begins with a message."""
    found: list[tuple[str, str]] = []
    for page, (start, end) in QUOTING.items():
        text = prose(ROOT / page)
        text = text.partition(start)[2] if start else text
        text = text.partition(end)[0] if end else text
        items = text.split("\n- `")[1:]
        found += [(page, " ".join(item.partition("`")[0].split())) for item in items]
    return found


@pytest.mark.parametrize(("page", "message"), quoted())
def test_message_is_written_by_the_code(page, message):
    parts = [part.strip(' ;,:"') for part in message.replace("'", '"').split("…")]
    written = texts().replace("'", '"')

    assert [] == [part for part in parts if part and part not in written], shown(ROOT / page)


def test_there_are_messages():
    assert len(quoted()) > 50
