"""Patterns with `*` and `?`, as tidwall/match matches them.

There, a pattern is given up after 10,000 tries for each byte of the text. That never changes an answer: a
match needs few tries, for if there is one, there is one with each part at its leftmost place. Hence no
part is ever looked for twice here.
"""

from __future__ import annotations

from typing import Final

from keyferry.gjson.limits import Work
from keyferry.gjson.text import runes

_PATTERN_COST: Final = 4
_PLACE_COST: Final = 8
_ANY: Final = "*"
_ONE: Final = "?"
_ESCAPE: Final = "\\"


def matches(text: bytes, pattern: bytes, work: Work) -> bool:
    """True if the whole text matches. `*` is any characters, `?` one, and a backslash makes either literal.

    Raises:
        GJSONLimitError: it takes more work than is left.
    """
    work.spend(len(text) + _PATTERN_COST * len(pattern))
    chars, shape = runes(text), runes(pattern)
    head = _forward(chars, shape)
    if head is None:
        return False
    begin, star = head
    if star == len(shape):
        return begin == len(chars)
    tail = _backward(chars, begin, shape, star)
    if tail is None:
        return False
    end, shape_end = tail
    middle = shape[star:shape_end]
    if end == begin:
        return not middle.strip(_ANY)
    at = begin
    for part in _parts(middle):
        found = _find(chars, at, end, part, work)
        if found is None:
            return False
        at = found
    return True


def _forward(chars: str, shape: str) -> tuple[int, int] | None:
    """Match up to the first star: where that is in text and pattern (or the pattern's end); None if it fails."""
    at = begin = 0
    while begin < len(shape) and (sign := shape[begin]) != _ANY:
        if at == len(chars):
            return None
        if sign == _ESCAPE:
            begin += 1
            sign = shape[begin : begin + 1]
            if sign != chars[at]:
                return None
        elif sign not in (_ONE, chars[at]):
            return None
        at += 1
        begin += 1
    return at, begin


def _backward(chars: str, begin: int, shape: str, star: int) -> tuple[int, int] | None:
    """Match what follows the last star, from behind: where text and pattern end then; None if it fails.

    It stops where the text is used up, and then the pattern may have something left.
    """
    end, shape_end = len(chars), len(shape)
    while end > begin and shape_end > star + 1:
        sign = shape[shape_end - 1]
        backslashes = 0
        while shape[shape_end - 2 - backslashes] == _ESCAPE:
            backslashes += 1
        escaped = backslashes % 2 == 1
        if sign == _ANY and not escaped:
            break
        if sign != chars[end - 1] and (escaped or sign != _ONE):
            return None
        end -= 1
        shape_end -= 2 if escaped else 1
    return end, shape_end


def _parts(middle: str) -> list[list[str | None]]:
    """The parts between the stars of `*a?*b*`, character by character; None is any one."""
    parts: list[list[str | None]] = [[]]
    signs = iter(middle)
    for sign in signs:
        if sign == _ANY:
            parts.append([])
        else:
            parts[-1].append(None if sign == _ONE else next(signs, sign) if sign == _ESCAPE else sign)
    return [part for part in parts if part]


def _find(chars: str, at: int, end: int, part: list[str | None], work: Work) -> int | None:
    """Where the part ends at its leftmost place from `at` on; None if it is nowhere before `end`."""
    literal = [char for char in part if char is not None]
    if len(literal) == len(part):
        found = chars.find("".join(literal), at, end)
        return None if found < 0 else found + len(part)
    for place in range(at, end - len(part) + 1):
        work.spend(_PLACE_COST + len(part))
        if all(char is None or char == chars[place + offset] for offset, char in enumerate(part)):
            return place + len(part)
    return None
