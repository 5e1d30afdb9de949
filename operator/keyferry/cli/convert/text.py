"""A text of manifests, converted: the same text but for the version's name."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from keyferry.api import names
from keyferry.cli.convert.findings import CHANGED, LEFT, MENTION, NEW, OLD, OLD_API, Finding, Found
from keyferry.cli.convert.lines import find_in_lines
from keyferry.cli.convert.tree import NotATreeError, find_in_tree

_PARTING: Final = re.compile(r"(?m)^---(?=\s|$)[^\r\n]*(?:\r\n|\r|\n|$)")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_BOM: Final = "\ufeff"
_COMMENT: Final = re.compile(rf"{_BOM}?\s*(#|\{{\{{-?\s*/\*)")


class Converted(NamedTuple):
    """A converted text.

    Args:
        text: what it is now.
        findings: what was done and what is left to do, in order.
        by_lines: some of it is no YAML and was read line by line: fields were not looked at.
    """

    text: str
    findings: tuple[Finding, ...]
    by_lines: bool


def convert_text(text: str, *, embedded: bool = False) -> Converted:
    """The text with the manifests of the old version in the new one, and all else as it was.

    Args:
        text: one or more documents, as YAML, JSON, or a template of such.
        embedded: manifests inside other objects are converted too.
    """
    if names.GROUP not in text or not ("v1beta1" in text or "v1alpha1" in text):
        return Converted(text, (), by_lines=False)
    found, by_lines = _find(text, embedded=embedded)
    changed, end = [], 0
    for at in sorted(found.edits):
        changed += [text[end:at], NEW]
        end = at + len(OLD)
    findings = sorted(_findings(text, found))
    return Converted("".join([*changed, text[end:]]), tuple(findings), by_lines)


def _find(text: str, *, embedded: bool) -> tuple[Found, bool]:
    readable = text.replace("\t", " ") if _is_json(text) else text  # JSON may be indented by tabs, YAML not
    try:
        return find_in_tree(readable, embedded=embedded), False
    except NotATreeError:
        pass
    found, by_lines = Found(), False
    for offset, document in _documents(text):
        try:
            part = find_in_tree(document, embedded=embedded)
        except NotATreeError:
            by_lines = True
            part = find_in_lines(document, embedded=embedded)
        for at, what in part.edits.items():
            found.change(offset + at, what)
        found.notes += [(offset + at, sort, told) for at, sort, told in part.notes]
    return found, by_lines


def _documents(text: str) -> Iterator[tuple[int, str]]:
    start = len(_BOM) if text.startswith(_BOM) else 0
    for parting in _PARTING.finditer(text):
        yield start, text[start : parting.start()]
        start = parting.end()
    yield start, text[start:]


def _is_json(text: str) -> bool:
    try:
        json.loads(text.removeprefix(_BOM))
    except (ValueError, RecursionError):
        return False
    return True


def _findings(text: str, found: Found) -> Iterator[Finding]:
    ends = [end.end() for end in _LINE_END.finditer(text)]

    def line(at: int) -> int:
        return bisect.bisect_right(ends, at) + 1

    for at, what in found.edits.items():
        yield Finding(line(at), CHANGED, what)
    for at, sort, told in found.notes:
        yield Finding(line(at), sort, told)
    told_of = {line(at) for at, _, _ in found.notes}
    for mention in MENTION.finditer(text):
        at = mention.start()
        if mention.end() - len(OLD) in found.edits or line(at) in told_of or _in_comment(text, at):
            continue
        yield Finding(line(at), LEFT, f"{OLD_API} is named here as well")


def _in_comment(text: str, at: int) -> bool:
    start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    return _COMMENT.match(text, start) is not None
