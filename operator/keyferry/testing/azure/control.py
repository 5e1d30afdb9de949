"""The control API of the Azure double: what all such have, and administration, tokens, refused hosts."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from keyferry.testing.azure.calls import CallFilter
from keyferry.testing.azure.faults import Fault
from keyferry.testing.azure.front import Front
from keyferry.testing.azure.office import Office
from keyferry.testing.azure.tokens import LIFETIME_S
from keyferry.testing.azure.wire import AzureError
from keyferry.testing.owned.control import ControlApi, Operation


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    operation: str
    arguments: dict[str, Any]


class _Lifetime(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class _Revocation(msgspec.Struct, forbid_unknown_fields=True):
    oid: str = ""


class Control(ControlApi):
    """See `ControlApi`."""

    fault = Fault
    filter = CallFilter
    max_bytes = 1 << 22
    refused = (AzureError, msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError)

    def __init__(self, front: Front, token: str) -> None:
        super().__init__(front, token)
        self._front = front
        self._office = Office(front.world, front.open_port)

    def orders(self) -> dict[str, Operation]:
        """See `ControlApi.orders`."""
        return super().orders() | {
            "administer": self._administer,
            "lifetime": self._lifetime,
            "revoke_tokens": self._revoke_tokens,
        }

    def told(self, error: Exception) -> str:
        """See `ControlApi.told`."""
        if isinstance(error, AzureError):
            return f"{error.code}: {error.answer.content}"
        return f"{type(error).__name__}: {error}"

    async def _administer(self, body: bytes) -> Any:
        order = msgspec.json.decode(body, type=_Order)
        if order.operation.startswith("_"):
            raise ValueError(order.operation)
        result = getattr(self._office, order.operation)(**order.arguments)
        return await result if inspect.isawaitable(result) else result

    async def _lifetime(self, body: bytes) -> Any:
        seconds = msgspec.json.decode(body, type=_Lifetime).seconds
        self._front.world.tokens.lifetime_s = seconds or LIFETIME_S

    async def _revoke_tokens(self, body: bytes) -> Any:
        return {"ended": self._front.world.tokens.revoke(msgspec.json.decode(body, type=_Revocation).oid)}

    async def _calls(self, body: bytes) -> Any:
        return await super()._calls(body) | {"refused_hosts": self._front.proxy.refused}

    async def _reset_calls(self, body: bytes) -> Any:
        await super()._reset_calls(body)
        self._front.proxy.refused.clear()
