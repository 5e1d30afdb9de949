"""Patterns of remote keys, as StorePolicies have them: taken apart once, filled in for each namespace.

A star stands for anything but a slash, two stars for anything, placeholders for what the namespace is called or
labelled, all else for itself. Most patterns are decided by their text alone. Each namespace has patterns of its own,
and regular expressions of many namespaces would be compiled anew for each key.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from keyferry.api.store_policy import LABEL_CHARS, MAX_PLACEHOLDERS
from keyferry.core.patterns import MAX_PATTERN_CHARS, Pattern
from keyferry.errors import SpecError, one_line

_SHOWN_CHARS: Final = 200
_ENDS: Final = len(r"\A(?:)\z")


class Part(enum.Enum):
    """What a part of a pattern is."""

    LITERAL = enum.auto()
    SEGMENT = enum.auto()
    """Anything but a slash."""
    ANYTHING = enum.auto()
    NAMESPACE = enum.auto()
    LABEL = enum.auto()


_TOKENS: Final = re.compile(
    rf"(?P<ANYTHING>\*\*+)|(?P<SEGMENT>\*)|(?P<NAMESPACE>\{{namespace\}})|\{{label:(?P<LABEL>[{LABEL_CHARS}]+)\}}"
    r"|(?P<LITERAL>[^*{}]+)"
)
_WILDCARDS: Final = {Part.SEGMENT: ("*", "[^/]*"), Part.ANYTHING: ("**", "(?s:.*)")}
"""How a wildcard is shown, and as a regular expression."""


class FilledPattern(NamedTuple):
    """A pattern for one namespace.

    Args:
        shown: how people read it.
        head: its text before the first wildcard: every key that it lets in begins with that.
        rest: what may follow, where that is simple: nothing, or one wildcard; None where only `regex` tells.
        regex: as a regular expression without its ends, where it is needed.
    """

    shown: str
    head: str
    rest: str | None
    regex: str = ""

    def lets_in(self, key: str) -> bool | None:
        """Whether it lets in a key; None where only its regular expression tells."""
        if not key.startswith(self.head):
            return False
        if self.rest is None:
            return None
        if self.rest == "**" or len(key) == len(self.head):
            return True
        return self.rest == "*" and "/" not in key[len(self.head) :]


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """A pattern of remote keys, taken apart.

    Args:
        source: as it is written.
        parts: its parts, each with its text: of a literal or wildcard, or the name of a label.
        same: for every namespace, if it is the same for all.
    """

    source: str
    parts: tuple[tuple[Part, str], ...]
    same: FilledPattern | None = None

    @classmethod
    def parse(cls, source: str) -> KeyPattern:
        """Take a pattern apart.

        Raises:
            SpecError: it has braces that are no placeholder, or too many placeholders.
        """
        parts: list[tuple[Part, str]] = []
        end = 0
        while end < len(source):
            token = _TOKENS.match(source, end)
            if token is None or token.lastgroup is None:
                raise SpecError(
                    f'"{one_line(source, _SHOWN_CHARS)}" has a brace that belongs to no placeholder',
                    hint="There are {namespace} and {label:NAME}; a brace in a key is matched by a star",
                )
            part = Part[token.lastgroup]
            parts.append((part, _WILDCARDS[part][0] if part in _WILDCARDS else token[token.lastgroup]))
            end = token.end()
        placeholders = sum(part in (Part.NAMESPACE, Part.LABEL) for part, _ in parts)
        if placeholders > MAX_PLACEHOLDERS:
            raise SpecError(
                f'"{one_line(source, _SHOWN_CHARS)}" has {placeholders} placeholders, at most {MAX_PLACEHOLDERS} are served'
            )
        return cls(source, tuple(parts), None if placeholders else _filled(parts))

    @property
    def by_labels(self) -> bool:
        """Whether the labels of a namespace matter."""
        return any(part is Part.LABEL for part, _ in self.parts)

    def filled(self, namespace: str, labels: Mapping[str, str]) -> FilledPattern | None:
        """The pattern for one namespace; None where the namespace lacks a label, or has it empty."""
        if self.same is not None:
            return self.same
        parts = []
        for part, text in self.parts:
            if part is Part.NAMESPACE or part is Part.LABEL:
                literal = namespace if part is Part.NAMESPACE else labels.get(text, "")
                if not literal:
                    return None
                parts.append((Part.LITERAL, literal))
            else:
                parts.append((part, text))
        return _filled(parts)


def _filled(parts: list[tuple[Part, str]]) -> FilledPattern:
    shown = "".join([text for _, text in parts])
    wild = [index for index, (part, _) in enumerate(parts) if part is not Part.LITERAL]
    if not wild:
        return FilledPattern(shown, shown, "")
    if wild[0] == len(parts) - 1:
        wildcard = parts[-1][1]
        return FilledPattern(shown, shown[: -len(wildcard)], wildcard)
    head = "".join([text for _, text in parts[: wild[0]]])
    regex = "".join(
        [re.escape(text) if part is Part.LITERAL else _WILDCARDS[part][1] for part, text in parts]
    )
    return FilledPattern(shown, head, None, regex)


def let_in(key: str, patterns: Iterable[FilledPattern]) -> bool:
    """Whether any of the patterns lets in a key."""
    further = []
    for pattern in patterns:
        told = pattern.lets_in(key)
        if told:
            return True
        if told is None:
            further.append(pattern.regex)
    return bool(further) and any(pattern.matches(key) for pattern in _compiled(tuple(further)))


@functools.lru_cache(maxsize=256)
def _compiled(regexes: tuple[str, ...]) -> tuple[Pattern, ...]:
    """Few regular expressions that stand for all of them."""
    groups: list[str] = []
    for regex in regexes:
        if groups and len(groups[-1]) + len(regex) + 1 + _ENDS <= MAX_PATTERN_CHARS:
            groups[-1] += f"|{regex}"
        else:
            groups.append(regex)
    return tuple(Pattern(rf"\A(?:{group})\z") for group in groups)
