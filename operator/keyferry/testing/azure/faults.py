"""Failures on demand: which requests shall fail, how, and how often. They strike before anything is checked."""

from __future__ import annotations

import asyncio
import fnmatch
from dataclasses import dataclass, field
from typing import Literal

import msgspec

FaultKind = Literal["error", "delay", "hold", "cut-before", "cut-body", "endless", "garbled", "empty"]
"""
error: an answer with a status; delay: answer `seconds` later; hold: no answer until the fault is removed;
cut-before: the connection ends without an answer; cut-body: it ends within the body; endless: the body never
ends; garbled: a success whose body is no JSON; empty: a success without a body.
"""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall go wrong.

    Args:
        kind: see `FaultKind`.
        service: `entra`, `vault`, `registry` or `machine`, as a glob.
        host, path: which requests, as globs; of the path without its query.
        method: which requests, as a glob.
        times: how often; 0 until it is removed.
        status, code: of errors; the code stands in the body as the service would have it.
        body: text in an error's body, which must not be repeated by anybody.
        headers: headers of the error's answer, for example Retry-After.
        seconds: for delays.
    """

    kind: FaultKind = "error"
    service: str = "*"
    host: str = "*"
    path: str = "*"
    method: str = "*"
    times: int = 0
    status: int = 500
    code: str = ""
    body: str = ""
    headers: dict[str, str] = {}
    seconds: float = 0.0

    def matches(self, service: str, host: str, method: str, path: str) -> bool:
        """Whether a request is meant."""
        pairs = ((service, self.service), (host, self.host), (method, self.method), (path, self.path))
        return all(fnmatch.fnmatchcase(value, pattern) for value, pattern in pairs)


@dataclass(slots=True)
class ActiveFault:
    """A fault in force, and how often it struck."""

    id: str
    fault: Fault
    hits: int = 0
    removed: asyncio.Event = field(default_factory=asyncio.Event)


class Faults:
    """The faults in force, in the order in which they were added."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveFault] = {}
        self._number = 0

    def add(self, fault: Fault) -> str:
        """Put a fault in force; its id."""
        self._number += 1
        self._active[str(self._number)] = ActiveFault(str(self._number), fault)
        return str(self._number)

    def remove(self, fault_id: str = "") -> None:
        """End one fault, or all; requests that it holds go on."""
        for one in [one for one in self._active.values() if fault_id in ("", one.id)]:
            del self._active[one.id]
            one.removed.set()

    def strike(self, service: str, host: str, method: str, path: str) -> list[ActiveFault]:
        """The faults that hit this request; each counts as struck."""
        struck = []
        for one in self._active.values():
            left = not one.fault.times or one.hits < one.fault.times
            if left and one.fault.matches(service, host, method, path):
                one.hits += 1
                struck.append(one)
        return struck

    def hits(self) -> dict[str, int]:
        """How often each fault in force struck, by id."""
        return {one.id: one.hits for one in self._active.values()}
