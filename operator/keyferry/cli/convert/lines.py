"""Manifests in templates, such as Helm's, that are no YAML before they are rendered: found line by line.

Indentation tells what belongs to what, as far as that goes: a document's own `apiVersion` stands as far to the
left as its other keys, and a text in a value stands further to the right than its key.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

from keyferry.cli.convert.findings import MENTION, OLD, Found

_DIRECTIVE: Final = re.compile(r"\s*(\{\{.*\}\}\s*)?(#.*)?$")
"""A line that is empty, a comment, or nothing but a template's own."""
_ASSIGNED: Final = re.compile(
    r"""(?P<before>[ \t]*(?P<item>-[ \t]+)?)(?P<q>["']?)apiVersion(?P=q)[ \t]*:[ \t]*["']?"""
)
_KEY: Final = re.compile(r"""(?P<before>[ \t]*(?P<item>-[ \t]+)?)(?P<q>["']?)[\w./-]+(?P=q)[ \t]*:(?!\S)""")
_ITEMS: Final = re.compile(r"items[ \t]*:")
_LIST_KIND: Final = re.compile(r"""["']?kind["']?[ \t]*:[ \t]*["']?\w*List["']?,?[ \t]*(#.*)?$""")
_TEXT_FOLLOWS: Final = re.compile(
    r"(?P<before>[ \t]*(?:-[ \t]+)*)(?P<key>[^#]*:[ \t]+)?(?:![^ \t]*[ \t]+)?[|>][-+\d]{0,2}[ \t]*(#.*)?$"
)
_ENGINE: Final = re.compile(r"""[ \t]*engineVersion[ \t]*:[ \t]*["']?v1["']?[ \t]*(#.*)?$""")


def find_in_lines(text: str, *, embedded: bool) -> Found:
    """What there is to change in one document.

    Args:
        text: the document, without the line that parts it from the next.
        embedded: manifests inside other objects count too.
    """
    found = Found()
    base = _base(text)
    columns = {base, _item_column(text, base)}
    for at, line, in_text in _lines(text):
        assigned = _ASSIGNED.match(line)
        if assigned is None:
            if not in_text and _ENGINE.match(line):
                told = "template engine v1 is gone: write the templates for v2, and set v2"
                found.by_hand(at + _indent(line), told)
            continue
        own = not in_text and len(assigned["before"]) in columns
        mention = MENTION.match(line, assigned.end())
        if mention is None:
            continue
        if embedded or own:
            found.change(at + mention.end() - len(OLD), "a manifest in a template")
    return found


def _lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """The lines that hold something: where each starts, the line, and whether it is part of a text."""
    at, limit = 0, -1
    for line in text.splitlines(keepends=True):
        start, at = at, at + len(line)
        bare = line.rstrip("\r\n")
        if _DIRECTIVE.match(bare):
            continue
        in_text = limit >= 0 and _indent(bare) > limit
        if not in_text:
            limit = _limit(bare)
        yield start, bare, in_text


def _limit(line: str) -> int:
    """How far to the right a line must start to be part of the text that this one announces; -1 for none."""
    follows = _TEXT_FOLLOWS.match(line)
    if follows is None:
        return -1
    before = str(follows["before"])
    return len(before if follows["key"] else before.rstrip(" \t-"))


def _base(text: str) -> int:
    """How far the document's own keys are indented."""
    return next((_indent(line) for _, line, _ in _lines(text) if _KEY.match(line)), 0)


def _item_column(text: str, base: int) -> int:
    """How far the keys of a List's items are indented; that of the document's own if it is none."""
    own = [(line, _KEY.match(line)) for _, line, in_text in _lines(text) if not in_text]
    if not any(key and len(key["before"]) == base and _LIST_KIND.match(line, base) for line, key in own):
        return base
    after = itertools.dropwhile(lambda one: not _ITEMS.match(one[0], base), own)
    return next((len(key["before"]) for _, key in after if key and key["item"]), base)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
