"""The control API of the AWS double: what all such have, and issuers, expiry, administrators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from keyferry.testing.aws.calls import CallFilter
from keyferry.testing.aws.faults import Fault
from keyferry.testing.aws.front import Front
from keyferry.testing.owned.control import ControlApi, Operation


class _Issuer(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    ca_pem: str


class _Lifetime(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class _Expiry(msgspec.Struct, forbid_unknown_fields=True):
    access_key_id: str = ""


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    partition: str = "aws"


class Control(ControlApi):
    """See `ControlApi`."""

    fault = Fault
    filter = CallFilter

    def __init__(self, front: Front, token: str) -> None:
        super().__init__(front, token)
        self._front = front

    def orders(self) -> dict[str, Operation]:
        """See `ControlApi.orders`."""
        return super().orders() | {
            "trust_issuer": self._trust_issuer,
            "lifetime": self._lifetime,
            "expire": self._expire,
            "administrator": self._administrator,
        }

    async def _trust_issuer(self, body: bytes) -> Any:
        issuer = msgspec.json.decode(body, type=_Issuer)
        self._front.issuers.trust(issuer.url, issuer.ca_pem)

    async def _lifetime(self, body: bytes) -> Any:
        self._front.double.sts.lifetime_s = msgspec.json.decode(body, type=_Lifetime).seconds

    async def _expire(self, body: bytes) -> Any:
        key = msgspec.json.decode(body, type=_Expiry).access_key_id
        expire = self._front.double.sts.expire
        return {"ended": await self._front.door.run(expire, key, datetime.now(UTC))}

    async def _administrator(self, body: bytes) -> Any:
        wanted = msgspec.json.decode(body, type=_Account)
        administrator = self._front.double.administrator
        keys = await self._front.door.run(administrator, wanted.account, wanted.partition)
        return {"access_key_id": keys.access_key_id, "secret_access_key": keys.secret_access_key}
