"""QuayAccessToken: a login of a Quay robot account, for the token of a ServiceAccount that the robot trusts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from keyferry.api.generators.quay import QuayAccessTokenSpec
from keyferry.api.model import Model
from keyferry.core.generator_spec import check_selectors, spec_path, typed, where
from keyferry.errors import SpecError
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.providers.outgoing import Address, Ask, Outgoing, decoded, unreadable
from keyferry.secretdata import SecretData

DEFAULT_URL: Final = "https://quay.io"
TOKEN_LIFETIME_S: Final = 600
"""The ServiceAccount token is used once, at once."""

_SERVICE: Final = "Quay"
_ROBOT: Final = re.compile(r"[A-Za-z0-9._-]{1,255}(?:\+[A-Za-z0-9._-]{1,255})?")
_HINT: Final = (
    "The robot account's federation must have the issuer of this cluster and the subject "
    "system:serviceaccount:NAMESPACE:NAME, and Quay must be able to reach the issuer"
)


class _Answer(msgspec.Struct):
    token: str


class _Claims(msgspec.Struct):
    exp: int | float


class QuayAccessTokenGenerator:
    """See the module's docstring.

    Args:
        outgoing: the way to Quay.
    """

    kind: ClassVar[str] = "QuayAccessToken"
    spec: ClassVar[type[Model]] = QuayAccessTokenSpec
    stateful: ClassVar[bool] = False

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, QuayAccessTokenSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        check_selectors(spec, view.key.namespace, path)
        if _ROBOT.fullmatch(spec.robot_account) is None:
            raise SpecError(
                f"{path}.robotAccount is not the name of a robot account", hint='Write "organization+robot"'
            )
        self._address(view, spec)

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("registry", "auth", "expiry")

    def _address(self, view: GeneratorView, spec: QuayAccessTokenSpec) -> Address:
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        return self._outgoing.check(spec.url, DEFAULT_URL, f"{path}.url")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, QuayAccessTokenSpec)
        address = self._address(view, spec)
        account = spec.service_account_ref
        namespace = where(account, view.key.namespace, view.namespace)
        # A token without an audience would be one for the API server; older Quays take any.
        audiences = account.audiences or (address.host,)
        proof = await cluster.request_token(namespace, account.name, audiences, TOKEN_LIFETIME_S)
        login = base64.b64encode(spec.robot_account.encode() + b":" + proof.token.reveal()).decode()
        ask = Ask(
            _SERVICE,
            "GetFederatedRobotToken",
            address,
            "GET",
            "/oauth2/federation/robot/token",
            {"Authorization": f"Basic {login}", "Accept": "application/json"},
        )
        reply = await self._outgoing.ask(ask)
        if reply.status != 200:
            what = f'a token of robot account "{spec.robot_account}" for ServiceAccount "{namespace}/{account.name}"'
            raise self._outgoing.refused(reply, ask, what=what, hint=_HINT)
        token = decoded(reply, ask, _Answer).token
        expiry = _expiry(token)
        if expiry is None:
            raise unreadable(ask)
        return Generated(
            SecretData(
                {
                    "registry": address.base.partition("://")[2],
                    "auth": base64.b64encode(f"{spec.robot_account}:{token}".encode()),
                    "expiry": str(expiry),
                }
            )
        )

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """A token ends by itself."""

    async def close(self) -> None:
        """End the connections."""
        await self._outgoing.close()


def _expiry(token: str) -> int | None:
    """When a JSON Web Token ends, in seconds since the epoch; None where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return int(msgspec.json.decode(claims, type=_Claims).exp)
    except (binascii.Error, ValueError, OverflowError, msgspec.DecodeError):
        return None
