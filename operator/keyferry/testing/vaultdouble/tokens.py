"""Tokens and policies: who may do what, and until when."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from keyferry.testing.vaultdouble.answers import Refusal

Rules = Mapping[str, Sequence[str]]

DEFAULT_POLICY: Final[Rules] = {
    "auth/token/lookup-self": ["read"],
    "auth/token/renew-self": ["update"],
    "auth/token/revoke-self": ["update"],
    "sys/capabilities-self": ["update"],
    "sys/internal/ui/resultant-acl": ["read"],
    "sys/leases/renew": ["update"],
    "sys/leases/lookup": ["update"],
}
"""What every token may that is not made without it."""


@dataclass(slots=True)
class Token:
    """A token that was given to somebody.

    Args:
        policies: names, in the namespace that it is of.
        space: that namespace's path.
        ttl_s: how long it was given when it was made or renewed last.
        max_ttl_s: how long it may live in all; 0 for 32 days.
        period_s: a renewal gives it that long, without end; 0 for none.
        uses: how often it can be used yet; 0 for always.
    """

    value: str = field(repr=False)
    accessor: str
    policies: list[str]
    space: str
    path: str
    display_name: str
    created: float
    ttl_s: int
    max_ttl_s: int = 0
    period_s: int = 0
    renewable: bool = True
    uses: int = 0
    expires: float = 0.0
    metadata: dict[str, str] | None = None
    renewed: float = 0.0
    creation_ttl_s: int = 0

    def __post_init__(self) -> None:
        self.creation_ttl_s = self.creation_ttl_s or self.ttl_s
        self.expires = self.expires or self.created + self.ttl_s

    def renew(self, now: float, increment_s: int) -> None:
        """Let it live longer, as far as it may.

        Raises:
            Refusal: it is not renewable.
        """
        if not self.renewable:
            raise Refusal(400, "lease is not renewable")
        wanted = self.period_s or increment_s or self.ttl_s
        end = now + wanted
        if not self.period_s:
            end = min(end, self.created + (self.max_ttl_s or 32 * 86400))
        self.ttl_s, self.expires, self.renewed = max(0, round(end - now)), end, now

    def told(self, now: float) -> dict[str, Any]:
        """What a look-up says."""
        told = {
            "accessor": self.accessor,
            "creation_time": int(self.created),
            "creation_ttl": self.creation_ttl_s,
            "display_name": self.display_name,
            "entity_id": "",
            "expire_time": _time(self.expires),
            "explicit_max_ttl": 0,
            "id": self.value,
            "issue_time": _time(self.created),
            "meta": self.metadata,
            "num_uses": self.uses,
            "orphan": True,
            "path": self.path,
            "policies": self.policies,
            "renewable": self.renewable,
            "ttl": max(0, int(self.expires - now)),
            "type": "service",
        }
        if self.space:
            told["namespace_path"] = f"{self.space}/"
        if self.period_s:
            told["period"] = self.period_s
        if self.renewed:
            told["last_renewal"] = _time(self.renewed)
            told["last_renewal_time"] = int(self.renewed)
        return told

    def granted(self) -> dict[str, Any]:
        """The `auth` of a login's or renewal's answer."""
        return {
            "client_token": self.value,
            "accessor": self.accessor,
            "policies": self.policies,
            "token_policies": self.policies,
            "metadata": self.metadata,
            "lease_duration": self.ttl_s,
            "renewable": self.renewable,
            "entity_id": "",
            "token_type": "service",
            "orphan": True,
            "mfa_requirement": None,
            "num_uses": self.uses,
        }


def new_value(prefix: str = "hvs.") -> str:
    """A token's value."""
    return prefix + secrets.token_urlsafe(24)


def capabilities(policies: Sequence[Rules], path: str) -> set[str]:
    """What policies allow at a path: of the rules that fit, those of the most exact path count, and deny wins."""
    found: dict[tuple[int, ...], set[str]] = {}
    for rules in policies:
        for pattern, allowed in rules.items():
            if (rank := _fits(pattern, path)) is not None:
                found.setdefault(rank, set()).update(allowed)
    if not found:
        return set()
    granted = found[max(found)]
    return set() if "deny" in granted else granted


def _fits(pattern: str, path: str) -> tuple[int, ...] | None:
    """How exactly a rule's path fits, None where it does not; more is more exact."""
    pattern = pattern.lstrip("/")
    prefix = pattern.endswith("*")
    written = pattern.removesuffix("*")
    expression = "/".join("[^/]+" if part == "+" else re.escape(part) for part in written.split("/"))
    if re.fullmatch(expression + (".*" if prefix else ""), path, re.DOTALL) is None:
        return None
    wild = [index for index, part in enumerate(written.split("/")) if part == "+"]
    return (int(not prefix and not wild), -len(wild), int(not prefix), len(written))


def seconds(value: Any, default: int = 0) -> int:
    """A duration as Vault takes it: seconds, or a number with a unit."""
    if value in (None, ""):
        return default
    found = re.fullmatch(r"(\d+)([smhd]?)", str(value))
    if found is None:
        raise Refusal(400, "error parsing duration")
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
