"""Failures on demand: which calls shall fail, how, and how often.

A fault with a secret and an error is about that secret: it strikes after the caller was found to be
allowed, and in a batch it fails only its own item. All others strike the call as a whole, before
anything is checked. `control` adds and removes faults, `front` and `secrets` ask for them.
"""

from __future__ import annotations

import asyncio
import fnmatch
import threading
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from keyferry.testing.aws.wire import AwsError, Call

FaultKind = Literal["error", "delay", "hold", "cut-before", "cut-body", "endless", "malformed"]
"""
error: an AWS error; delay: answer `seconds` later; hold: no answer until the fault is removed;
cut-before: the connection ends without an answer; cut-body: it ends within the body; endless: the body
never ends; malformed: the body is no document of the protocol.
"""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall go wrong.

    Args:
        kind: see `FaultKind`.
        service, action: which calls, as globs over `secretsmanager` and `GetSecretValue`.
        secret: which secrets, as a glob over the name, the ARN, and what the caller wrote; empty for all calls.
        principal: who, as a glob over the caller's ARN; calls without a caller have an empty one. `*` spares
            the administrators, so that a test can go on changing secrets.
        times: how often; 0 until it is removed.
        code, message, status: for errors; text and status are the published ones where left out.
        headers: headers of the error's answer, for example Retry-After.
        seconds: for delays.
    """

    kind: FaultKind = "error"
    service: str = "*"
    action: str = "*"
    secret: str = ""
    principal: str = "*"
    times: int = 0
    code: str = ""
    message: str = ""
    status: int = 0
    headers: dict[str, str] = {}
    seconds: float = 0.0

    def error(self) -> AwsError:
        """The error to answer with."""
        return AwsError(self.code, self.message, status=self.status, headers=self.headers)

    @property
    def about_a_secret(self) -> bool:
        """Whether it is an error of one secret rather than of the call."""
        return self.kind == "error" and bool(self.secret)


@dataclass(slots=True)
class ActiveFault:
    """A fault in force, and how often it struck."""

    id: str
    fault: Fault
    hits: int = 0
    removed: asyncio.Event = field(default_factory=asyncio.Event)


_ALL: Final = ""
ADMINISTRATOR: Final = "keyferry-administrator"
"""Name of the user with all rights that each account has."""


class Faults:
    """The faults in force, in the order in which they were added. Safe between threads."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveFault] = {}
        self._number = 0
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> str:
        """Put a fault in force; its id."""
        with self._lock:
            self._number += 1
            fault_id = str(self._number)
            self._active[fault_id] = ActiveFault(fault_id, fault)
        return fault_id

    def remove(self, fault_id: str = _ALL) -> None:
        """End one fault, or all; calls that it holds go on. Call it in the event loop's thread."""
        with self._lock:
            ended = [one for one in self._active.values() if fault_id in (_ALL, one.id)]
            for one in ended:
                del self._active[one.id]
        for one in ended:
            one.removed.set()

    def strike(self, call: Call, principal: str) -> list[ActiveFault]:
        """The faults that hit this call as a whole; each counts as struck."""
        return [
            self._count(one)
            for one in list(self._active.values())
            if not one.fault.about_a_secret
            and _hits(one.fault, call, principal)
            and (
                not one.fault.secret or any(fnmatch.fnmatchcase(s, one.fault.secret) for s in call.secret_ids)
            )
            and self._left(one)
        ]

    def strike_secret(self, call: Call, principal: str, names: tuple[str, ...]) -> None:
        """Fail if a fault hits this secret, known by any of these names.

        Raises:
            AwsError: the fault's error.
        """
        for one in list(self._active.values()):
            if (
                one.fault.about_a_secret
                and _hits(one.fault, call, principal)
                and any(fnmatch.fnmatchcase(name, one.fault.secret) for name in names)
                and self._left(one)
            ):
                raise self._count(one).fault.error()

    def hits(self) -> dict[str, int]:
        """How often each fault in force struck, by id."""
        return {one.id: one.hits for one in self._active.values()}

    @staticmethod
    def _left(one: ActiveFault) -> bool:
        return not one.fault.times or one.hits < one.fault.times

    def _count(self, one: ActiveFault) -> ActiveFault:
        with self._lock:
            one.hits += 1
        return one


def _hits(fault: Fault, call: Call, principal: str) -> bool:
    if fault.principal == "*" and principal.endswith(f":user/{ADMINISTRATOR}"):
        return False
    return (
        fnmatch.fnmatchcase(call.service, fault.service)
        and fnmatch.fnmatchcase(call.action, fault.action)
        and fnmatch.fnmatchcase(principal, fault.principal)
    )
