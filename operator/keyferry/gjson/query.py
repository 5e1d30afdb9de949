"""Whether a value satisfies a query's comparison. Who calls it: `evaluate`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from keyferry.gjson.limits import Work
from keyferry.gjson.number import parse_float
from keyferry.gjson.path import Query
from keyferry.gjson.result import Kind, Result, parse_bool
from keyferry.gjson.wildcard import matches

_COMPARISONS: Final[dict[bytes, Callable[[Any, Any], bool]]] = {
    b"=": operator.eq,
    b"!=": operator.ne,
    b"<": operator.lt,
    b"<=": operator.le,
    b">": operator.gt,
    b">=": operator.ge,
}


def holds(query: Query, value: Result, work: Work) -> bool:
    """True if the query, without its path, holds for the value.

    Strings compare as bytes with the query's value as text, numbers with it as a number (0 if it is none),
    true and false with its word. Nothing else compares; without an operator any value that exists will do.
    """
    if query.tilde is not None:
        truth = _as_truth(query.tilde, value)
        return truth is not None and _holds_for_truth(query.operator, b"true", truth=truth)
    if not value.exists:
        return False
    if not query.operator or value.kind in (Kind.TRUE, Kind.FALSE):
        return _holds_for_truth(query.operator, query.value, truth=value.kind is Kind.TRUE)
    compare = _COMPARISONS.get(query.operator)
    if value.kind is Kind.NUMBER:
        return compare is not None and compare(parse_float(value.raw), query.number)
    if value.kind is not Kind.STRING:
        return False
    if compare is not None:
        return compare(value.text(), query.value)
    if query.operator in (b"%", b"!%"):
        return matches(value.text(), query.value, work) == (query.operator == b"%")
    return False


def _holds_for_truth(comparison: bytes, wanted: bytes, *, truth: bool) -> bool:
    """False is less than true; a word that is neither is unequal to both, and else goes unnoticed."""
    same = wanted == (b"true" if truth else b"false")
    opposite = wanted == (b"false" if truth else b"true")
    answers = {
        b"": True,
        b"=": same,
        b"!=": not same,
        (b">" if truth else b"<"): opposite,
        (b">=" if truth else b"<="): True,
    }
    return answers.get(comparison, False)


def _as_truth(word: bytes, value: Result) -> bool | None:
    """What `~word` makes of a value; None for a word that gjson does not know."""
    if word == b"*":
        return value.exists
    if word == b"null":
        return value.kind is Kind.NULL
    if word not in (b"true", b"false"):
        return None
    said = _truth(value)
    return said is (word == b"true")


def _truth(value: Result) -> bool | None:
    """True or false if the value can be taken for one, nothing and null being false."""
    if value.kind is Kind.STRING:
        return parse_bool(value.text())
    if value.kind is Kind.NUMBER:
        return parse_float(value.raw) != 0
    if value.kind is Kind.JSON:
        return None
    return value.kind is Kind.TRUE
