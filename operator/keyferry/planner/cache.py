"""Answers kept for those who wait: by identity and question, for a short time, within a byte budget.

A question is a read or a search; what a search found is kept like a value.

An answer is good for a piece of work if it was asked for after the work was requested (`fresh_from`): a
thousand objects with one remote key then cost one read at start-up, and a refresh is never served an old
value. Failures of single keys (absent, denied) are kept the same way.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from keyferry.errors import ProviderError
from keyferry.ports import Find, Found, Read, RemoteValue

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_AGE_S: Final = 60.0
_OVERHEAD_BYTES: Final = 256

Answer = RemoteValue | ProviderError
Findings = tuple[Found, ...]
"""What a search found."""
Question = Read | Find


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old an answer may be, in loop time.

    Args:
        values_from: a value asked for earlier is too old.
        failures_from: a failure (absent, denied) asked for earlier is too old. Lies further back for
            retries, so that a thousand objects which miss one key do not ask for it a thousand times.
    """

    values_from: float
    failures_from: float


@dataclass(frozen=True, slots=True)
class _Kept:
    asked_at: float
    answer: Answer | Findings
    size: int

    @property
    def is_failure(self) -> bool:
        return isinstance(self.answer, ProviderError)


class AnswerCache:
    """The answers of all sessions, keyed by the identity's fingerprint and the question."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_age_s: float = MAX_AGE_S) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._kept: OrderedDict[tuple[str, Question], _Kept] = OrderedDict()
        self._bytes = 0
        self._values = 0

    def get(
        self, fingerprint: str, question: Question, need: Freshness, now: float
    ) -> Answer | Findings | None:
        """The kept answer, if it is fresh enough."""
        kept = self._kept.get((fingerprint, question))
        if kept is None or now - kept.asked_at > self._max_age_s:
            return None
        oldest = need.failures_from if kept.is_failure else need.values_from
        return kept.answer if kept.asked_at >= oldest else None

    def put(self, fingerprint: str, question: Question, answer: Answer | Findings, asked_at: float) -> None:
        """Keep an answer; the oldest ones make room."""
        self._drop((fingerprint, question))
        new = self._kept[fingerprint, question] = _Kept(asked_at, answer, _size(answer))
        self._bytes += new.size
        self._values += not new.is_failure
        horizon = asked_at - self._max_age_s
        while self._kept:
            oldest, kept = next(iter(self._kept.items()))
            if self._bytes <= self._max_bytes and kept.asked_at >= horizon:
                break
            self._drop(oldest)

    def _drop(self, key: tuple[str, Question]) -> None:
        if (kept := self._kept.pop(key, None)) is not None:
            self._bytes -= kept.size
            self._values -= not kept.is_failure

    def forget(self, fingerprint: str) -> None:
        """Drop all answers of one identity."""
        for key in [key for key in self._kept if key[0] == fingerprint]:
            self._drop(key)

    def clear(self) -> None:
        """Drop all values: nobody waits any more. Failures stay: they spare those who try again a call."""
        if self._values:
            for key in [key for key, kept in self._kept.items() if not kept.is_failure]:
                self._drop(key)

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<AnswerCache {len(self._kept)} answers, {self._bytes} bytes>"


def _size(answer: Answer | Findings) -> int:
    """What an answer counts for in the budget, in bytes."""
    if isinstance(answer, RemoteValue):
        return _OVERHEAD_BYTES + len(answer.value)
    if isinstance(answer, tuple):
        return _OVERHEAD_BYTES + sum(len(one.name) + _size_of_found(one) for one in answer)
    return _OVERHEAD_BYTES


def _size_of_found(found: Found) -> int:
    return _OVERHEAD_BYTES + (len(found.answer.value) if isinstance(found.answer, RemoteValue) else 0)
