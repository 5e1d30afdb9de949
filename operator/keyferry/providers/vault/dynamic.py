"""VaultDynamicSecret: whatever Vault answers to a call: credentials of a database, a certificate, a token.

What has a lease or is a token is renewed by `renew` and revoked by `cleanup`, by its id or accessor: neither needs
the token that asked for it, so that another process goes on where one has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from keyferry.api.generators.vault import VaultDynamicSecretSpec
from keyferry.api.model import Model
from keyferry.clock import Clock
from keyferry.core.generator_spec import spec_path, typed
from keyferry.duration import parse_go_duration
from keyferry.errors import (
    ForbiddenError,
    LeaseLost,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    SpecError,
    TimedOut,
    Unavailable,
)
from keyferry.lease import Lease
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.providers.vault.answers import Answer, Token
from keyferry.providers.vault.connection import VaultConnection
from keyferry.providers.vault.document import Number, go_text
from keyferry.providers.vault.leasing import LentState, decode_state
from keyferry.providers.vault.lending import Lending, again, give_back, lent_by, revoke
from keyferry.providers.vault.vaults import Vaults
from keyferry.providers.vault.wire import wire_path
from keyferry.secretdata import SecretBytes, SecretData

HELD_S: Final = 3600.0
"""So long a login waits for the next lease that is due."""
MOST_REPEATS: Final = 10
LONGEST_PAUSE_S: Final = 10.0
LONGEST_WAIT_S: Final = 30.0
"""Bounds of retrySettings, the last of all pauses together: longer ones belong into the queue."""


class VaultDynamicSecretGenerator:
    """See the module's docstring.

    Args:
        vaults: connections by who asks, shared with the stores.
        clock: for when leases end.
    """

    kind: ClassVar[str] = "VaultDynamicSecret"
    spec: ClassVar[type[Model]] = VaultDynamicSecretSpec
    stateful: ClassVar[bool] = True

    def __init__(self, vaults: Vaults, clock: Clock) -> None:
        self._vaults = vaults
        self._clock = clock
        self._lending = Lending(clock)

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec, path = _spec(view)
        self._vaults.check(spec.provider, view.key, f"{path}.provider")
        if not spec.path.strip("/"):
            raise SpecError(
                f"{path}.path must be set", hint="Name a path in Vault, such as database/creds/app"
            )
        try:
            wire_path(spec.path)
        except SpecError as error:
            raise error.within(f"{path}.path") from None
        _pauses(spec, path)

    def keys(self, view: GeneratorView) -> None:
        """See `ports.Generator.keys`: only Vault's answer tells."""

    # -- making

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`. The state tells what was lent, and the token that it was lent to."""
        spec, path = _spec(view)
        async with self._connection(view, cluster) as connection:
            token = await self._lending.token_for(connection)
            # Before anything is lent: a token that is revoked at the end of the process takes with it what it was lent.
            connection.pin()
            state = None
            try:
                began_at = self._clock.now()
                answer = await _asked(connection, spec, _pauses(spec, path), token)
                state = lent_by(connection, spec.path.strip("/"), answer, began_at)
                lease, state = await self._lending.borrowed(connection, state, answer, began_at)
                values = await connection.compute(answer.size, _values, spec, answer)
                return Generated(values, msgspec.json.encode(state), lease)
            except BaseException:
                if state is not None and state.is_lent:
                    await give_back(connection, state)
                    state = None
                raise
            finally:
                if token is not None or state is None or not state.is_lent:
                    connection.unpin()

    # -- keeping

    async def renew(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> Lease:
        """See `ports.LeasingGenerator.renew`."""
        spec, _ = _spec(view)
        lent = decode_state(state)
        if lent is None or not lent.is_lent:
            raise LeaseLost("its state names nothing that Vault has lent")
        async with self._connection(view, cluster) as connection:
            _check_place(connection, spec, lent)
            return await self._lending.renew(connection, lent)

    # -- the end

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """Revoke what the state tells of; what is gone already is fine.

        Raises:
            ForbiddenError: the state tells of another place than the spec.
        """
        lent = decode_state(state)
        if lent is None or not lent.is_lent:
            return
        spec, _ = _spec(view)
        async with self._connection(view, cluster) as connection:
            _check_place(connection, spec, lent)
            await revoke(connection, lent)
            if lent.parent.accessor and lent.parent.accessor == connection.accessor:
                connection.unpin()

    @contextlib.asynccontextmanager
    async def _connection(
        self, view: GeneratorView, cluster: ClusterAccess
    ) -> AsyncIterator[VaultConnection]:
        """The login of a generator. It is held for a while: the next lease may be due soon."""
        spec, path = _spec(view)
        identity = await self._vaults.identify(
            spec.provider, view.key, view.namespace, cluster, f"{path}.provider"
        )
        connection = self._vaults.open(identity, cluster)
        try:
            yield connection
        finally:
            await self._vaults.release(connection, HELD_S)

    async def close(self) -> None:
        """Nothing: the logins are the stores'."""


def _spec(view: GeneratorView) -> tuple[VaultDynamicSecretSpec, str]:
    """The spec, and where it stands."""
    path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
    return typed(view.spec, VaultDynamicSecretSpec), path


def _pauses(spec: VaultDynamicSecretSpec, path: str) -> tuple[float, ...]:
    """Pauses before each repetition, by retrySettings; none without them.

    Raises:
        SpecError: they cannot be read.
    """
    settings = spec.retry_settings
    if settings is None:
        return ()
    interval_s = 1.0
    if settings.retry_interval:
        try:
            interval_s = parse_go_duration(settings.retry_interval).total_seconds()
        except ValueError as error:
            raise SpecError(f"{path}.retrySettings.retryInterval is {error}") from None
    pause_s = min(max(interval_s, 0.0), LONGEST_PAUSE_S)
    most = min(MOST_REPEATS, int(LONGEST_WAIT_S / pause_s)) if pause_s else MOST_REPEATS
    return (pause_s,) * max(0, min(settings.max_retries or 0, most))


# -- asking


async def _asked(
    connection: VaultConnection, spec: VaultDynamicSecretSpec, pauses: tuple[float, ...], token: Token | None
) -> Answer:
    """Vault's answer, repeated where it could not be asked.

    Not where the answer is late: it may have made something that nobody would know of.
    """
    for pause in pauses:
        try:
            return await again(connection, lambda: _ask(connection, spec, token))
        except TimedOut:
            raise
        except (Unavailable, RateLimited):
            await asyncio.sleep(pause)
    return await again(connection, lambda: _ask(connection, spec, token))


async def _ask(connection: VaultConnection, spec: VaultDynamicSecretSpec, token: Token | None) -> Answer:
    method = spec.method.upper() or "GET"
    reads = method in ("GET", "LIST", "DELETE")
    verb = method if reads or method == "POST" else "PUT"
    capability = {"GET": "read", "LIST": "list", "DELETE": "delete"}.get(method, "update")
    path = spec.path.strip("/")
    asked = connection.asked(path, capability, call="DynamicSecret")
    try:
        return await connection.request(
            verb,
            path,
            params=spec.get_parameters if method == "GET" else None,
            body=None if reads else spec.parameters,
            asked=asked,
            token=token,
        )
    except RemoteSecretNotFound as error:
        if spec.allow_empty_response:
            return Answer(404, {})
        # Not as a remote secret that is absent, which deletionPolicy would take for a wish to delete.
        failure = ProviderError(error.message, hint="Check path, method and namespace of the generator")
    raise failure


def _check_place(connection: VaultConnection, spec: VaultDynamicSecretSpec, lent: LentState) -> None:
    """Whoever may write states could name another's lease: it must be of the generator's own place.

    Raises:
        ForbiddenError: it is not.
    """
    identity = connection.identity
    if (lent.server, lent.namespace) != (identity.server.base, identity.namespace):
        raise ForbiddenError(
            "it was lent by another Vault or namespace than the generator names now, and the login is not sent there",
            hint="Revoke it there",
        )
    path = spec.path.strip("/")
    if lent.path != path or (lent.lease_id and not lent.lease_id.startswith(f"{path}/")):
        raise ForbiddenError(
            f'it was lent at "{lent.path[:200]}", which is not the path that the generator names',
            hint="Revoke it in Vault",
        )


# -- values


def _values(spec: VaultDynamicSecretSpec, answer: Answer) -> SecretData:
    """The keys and values that the spec asks for.

    Raises:
        ProviderError: there are none, and the spec does not allow that.
    """
    if spec.result_type == "Raw":
        # Without what is not there, as in the SDK of the reference's language.
        left_out = ("auth", "wrap_info")
        found: Mapping[str, Any] = {
            key: value for key, value in answer.document.items() if value is not None or key not in left_out
        }
    else:
        found = answer.auth if spec.result_type == "Auth" else answer.data
    if not found and not spec.allow_empty_response:
        part = {"Auth": "no auth", "Data": "no data"}.get(spec.result_type, "nothing")
        raise ProviderError(
            f'Vault answers with {part} at "{spec.path}"',
            hint="Check path and resultType, or set allowEmptyResponse",
        )
    return SecretData({key: SecretBytes(_text(value)) for key, value in found.items()})


def _text(value: Any) -> str:
    """A text as it is, nothing for null, all else as JSON."""
    if isinstance(value, str) and not isinstance(value, Number):
        return value
    return "" if value is None else go_text(value)
