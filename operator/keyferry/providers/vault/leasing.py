"""What Vault lends: how long an answer's values stay good, and what of that a GeneratorState keeps. Nothing is asked.

A lease, and a token that is no orphan, ends with the token that asked for it. So a state keeps that token's
accessor, by which whoever logs in later can renew it, or when it ends, where it cannot be renewed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from keyferry.core.summarize import parse_timestamp
from keyferry.errors import SpecError
from keyferry.lease import AtTheEnd, Lease
from keyferry.providers.vault.answers import Answer
from keyferry.providers.vault.document import seconds, text_of, whole


class Parent(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """The token that something was lent to.

    Args:
        accessor: of one that can be renewed; empty for another.
        ends_at: when one ends that cannot be renewed (RFC 3339); empty for never.
    """

    accessor: str = ""
    ends_at: str = ""

    @property
    def end(self) -> datetime | None:
        """When it ends, where that is fixed."""
        return parse_timestamp(self.ends_at)


class LentState(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """What was lent, where and to whom; no secret value.

    Args:
        server, namespace, path: where it was asked for.
        lease_id: of a lease; or
        accessor: of a token.
        duration: seconds that were given at first.
        renewable: whether Vault gives more time.
        issued_at: RFC 3339.
        parent: what it ends with at the latest.
    """

    server: str
    path: str
    namespace: str = ""
    lease_id: str = msgspec.field(name="leaseID", default="")
    accessor: str = ""
    duration: int = 0
    renewable: bool = False
    issued_at: str = ""
    parent: Parent = Parent()

    @property
    def is_lent(self) -> bool:
        """Whether there is anything that could be renewed or taken back."""
        return bool(self.lease_id or self.accessor)


def decode_state(state: bytes) -> LentState | None:
    """What a state tells; None where there is nothing to take back.

    Raises:
        SpecError: it is another generator's.
    """
    if state in (b"", b"{}"):
        return None
    try:
        return msgspec.json.decode(state, type=LentState)
    except (msgspec.DecodeError, RecursionError):
        raise SpecError("the generator's state is none of a VaultDynamicSecret") from None


def lease_of(answer: Answer, began_at: datetime) -> Lease | None:
    """How long what was just answered stays good, but for its parent; None for as long as nobody changes it."""
    if answer.lease_id:
        return _lent(began_at, answer.lease_s, renewable=answer.renewable)
    auth = answer.auth
    if auth:
        renewable = auth.get("renewable") is True and bool(text_of(auth.get("accessor")))
        return _lent(began_at, seconds(auth.get("lease_duration")), renewable=renewable)
    return _of_data(answer.data, began_at)


def _lent(began_at: datetime, life_s: int, *, renewable: bool) -> Lease | None:
    if not life_s:
        return None
    return Lease(began_at, _after(began_at, life_s), AtTheEnd.RENEW if renewable else AtTheEnd.REPLACE)


def _after(began_at: datetime, life_s: int) -> datetime:
    return began_at + timedelta(seconds=life_s)


def _of_data(data: Mapping[str, Any], began_at: datetime) -> Lease | None:
    """Of what has no lease: passwords that Vault rotates by itself, and certificates."""
    if "last_vault_rotation" in data and "ttl" in data:
        return Lease(began_at, _after(began_at, seconds(data["ttl"])), AtTheEnd.READ_AGAIN)
    end = _end_of_certificate(data)
    return None if end is None else Lease(began_at, end, AtTheEnd.REPLACE)


def _end_of_certificate(data: Mapping[str, Any]) -> datetime | None:
    """When the certificate in the data ends, as it says itself; else as Vault says."""
    for key in ("certificate", "certificate_bundle"):
        if (end := _not_after(text_of(data.get(key)))) is not None:
            return end
    if expiration := whole(data.get("expiration")):
        try:
            return datetime.fromtimestamp(expiration, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    return None


def _not_after(pem: str) -> datetime | None:
    """When the first certificate in a text ends."""
    from cryptography import x509

    start = pem.find("-----BEGIN CERTIFICATE-----")
    if start < 0:
        return None
    try:
        return x509.load_pem_x509_certificate(pem[start:].encode()).not_valid_after_utc
    except ValueError:
        return None


def within(lease: Lease, parent_end: datetime | None, *, fixed: bool) -> Lease:
    """The lease, no longer than its parent lives.

    Args:
        parent_end: None for a parent that does not end.
        fixed: whether that cannot be put off.
    """
    if parent_end is None or parent_end >= lease.ends_at:
        return lease
    return Lease(lease.began_at, parent_end, AtTheEnd.REPLACE if fixed else lease.at_the_end)
