"""Patterns with `*` and `?`, as tidwall/match (with its complexity limit) matches them.

gjson gives up on a pattern, and says "no match", after 10,000 tries per byte of the text. Tries are
counted alike here, but each star tries each position only once, so that a hostile pattern cannot take long.
"""

from __future__ import annotations

from typing import Final

from keyferry.gjson.limits import Work
from keyferry.gjson.text import runes

_TRIES_PER_BYTE: Final = 10_000
_PATTERN_COST: Final = 4
_STEP_COST: Final = 6
_ANY: Final = "*"
_ONE: Final = "?"
_ESCAPE: Final = "\\"


def matches(text: bytes, pattern: bytes, work: Work) -> bool:
    """True if the whole text matches. `*` is any characters, `?` one, and a backslash makes either literal."""
    if pattern == b"*":
        return True
    work.spend(len(text) + _PATTERN_COST * len(pattern))
    chars, shape = runes(text), runes(pattern)
    head = _forward(chars, 0, shape, 0)
    if head is None:
        return False
    at, star = head
    if star == len(shape):
        return at == len(chars)
    while shape[star + 1 : star + 2] == _ANY:
        star += 1
    if star + 1 == len(shape):
        return True
    trimmed = _trim_suffix(chars, at, shape, star)
    if trimmed is None:
        return False
    end, shape_end = trimmed
    if shape_end == star + 1:
        return True
    middle = shape[star + 1 : shape_end]
    if end == at:
        return not middle.strip(_ANY)
    return _search(chars[at:end], _segments(middle), _TRIES_PER_BYTE * len(text), work)


def _forward(chars: str, at: int, shape: str, begin: int) -> tuple[int, int] | None:
    """Match up to the next star: positions in text and pattern (the star's, or its end); None if it fails."""
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


def _trim_suffix(chars: str, at: int, shape: str, star: int) -> tuple[int, int] | None:
    """Match what follows the last star from behind: where text and pattern end then; None if it fails."""
    end, shape_end = len(chars), len(shape)
    while end > at and shape_end > star + 1:
        sign = shape[shape_end - 1]
        before = shape[: shape_end - 1]
        escaped = (len(before) - len(before.rstrip(_ESCAPE))) % 2 == 1
        if sign == _ANY and not escaped:
            break
        if sign != chars[end - 1] and (escaped or sign != _ONE):
            return None
        end -= 1
        shape_end -= 2 if escaped else 1
    return end, shape_end


def _segments(middle: str) -> list[str]:
    """The pattern parts that the stars of `a*b*` end."""
    parts = []
    begin = at = 0
    while at < len(middle):
        if middle[at] == _ESCAPE:
            at += 1
        elif middle[at] == _ANY:
            if at > begin:
                parts.append(middle[begin:at])
            begin = at + 1
        at += 1
    return parts


def _search(chars: str, segments: list[str], limit: int, work: Work) -> bool:
    """True if the segments occur in this order, within the limit of tries.

    Each star tries the segment after it at every position from where it starts, and each success starts the
    next star. A star that once failed fails from any later position too, after as many tries as it made
    from there on the first time: `made` holds the tries before each of its positions, and at its end.
    """
    tries = 0
    positions = [0]
    begins = [0] * len(segments)
    made: list[list[int]] = [[] for _ in segments]
    while positions:
        star, at = len(positions) - 1, positions[-1]
        made[star].append(tries)
        positions[-1] += 1
        if at > len(chars):
            positions.pop()
            continue
        tries += 1
        work.spend(_STEP_COST + len(segments[star]))
        ahead = _forward(chars, at, segments[star], 0)
        following = star + 1
        if ahead is None or following == len(segments):
            if tries > limit:
                return False
            if ahead is not None:
                return True
        elif made[following]:
            tries += made[following][-1] - made[following][ahead[0] - begins[following]]
        else:
            begins[following] = ahead[0]
            positions.append(ahead[0])
    return False
