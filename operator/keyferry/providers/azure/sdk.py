"""The Azure SDK behind one door: lazily imported, without retries, logs and redirects of its own.

Its asynchronous clients run in the event loop. What they send goes by `Outgoing`, with the rules that hold for
all addresses; only the endpoint that gives managed identities their tokens is asked by the SDK's own transport,
for it is the machine's, and link-local. Each identity has clients of its own, which keep no token: they ask for
one at each request, and `tokens.py` keeps it.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import math
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

from keyferry.aio import ThreadDoor
from keyferry.errors import AuthFailed, KeyferryError, NotAvailableError, TimedOut
from keyferry.providers.azure.answers import ENTRA, VAULT, AnswerUnreadable, is_known, stumbled
from keyferry.providers.azure.clouds import Cloud
from keyferry.providers.azure.errors import (
    Asked,
    challenge_of,
    from_reply,
    translated,
    unreadable,
    wrong_scope,
    wrong_tenant,
)
from keyferry.providers.azure.identity import (
    ClientCertificate,
    ClientSecret,
    FederatedAccount,
    ManagedIdentity,
    OwnAccount,
    Source,
)
from keyferry.providers.azure.login_errors import TokenAsked, login_refused, token_failed
from keyferry.providers.azure.remote_keys import Kind
from keyferry.providers.azure.tokens import Token, TokenSession
from keyferry.providers.outgoing import Address, Ask, Outgoing, Reply
from keyferry.secretdata import SecretBytes

CONNECTIONS_PER_HOST: Final = 64
"""All identities of a cloud ask the same authority, and those of a vault the same vault."""
TOKEN_S: Final = 26.0
"""Longest exchange of a proof for a token."""
CALL_S: Final = 38.0
"""Longest call, with challenge, token and the call itself: below the planner's deadline, which knows less."""
MACHINE_CONNECT_S: Final = 2
MACHINE_READ_S: Final = 15
API_VERSION: Final = "7.4"
"""Which all clouds speak; newer ones bring nothing that is read here."""
STACK_API_VERSION: Final = "2016-10-01"
"""Azure Stack Hub speaks no other."""

_CLIENTS: Final = {
    Kind.SECRET: ("azure.keyvault.secrets", "SecretClient"),
    Kind.KEY: ("azure.keyvault.keys", "KeyClient"),
    Kind.CERTIFICATE: ("azure.keyvault.certificates", "CertificateClient"),
}
_began: Final[contextvars.ContextVar[float]] = contextvars.ContextVar("azure_call_began", default=math.inf)
"""When the call began in whose context the SDK asks for a token."""
_GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_IDENTITY: Final = "azure.identity.aio"
_EXTRA: Final = "azure"


class AzureSdk:
    """All use of the SDK. One per process.

    Args:
        outgoing: the way out.
    """

    def __init__(self, outgoing: Outgoing) -> None:
        self.outgoing = outgoing
        self._starting = ThreadDoor("azure-start", 1)
        self._modules: dict[str, Any] = {}

    async def module(self, name: str) -> Any:
        """A module that needs the SDK, imported in a thread: that takes a quarter of a second of CPU at first.

        Raises:
            NotAvailableError: the SDK is not installed.
        """
        found = self._modules.get(name)
        if found is None:
            found = self._modules[name] = await self._starting.run(_import, name)
        return found

    async def token(
        self, source: Source, proof: SecretBytes, authority: Address, scope: str, claims: str
    ) -> Token:
        """A token from Entra ID, or from the machine.

        Args:
            proof: what proves the identity: a secret, a certificate with its key, a ServiceAccount's token;
                empty for a managed identity.
            claims: see `tokens.Exchange`.

        Raises:
            KeyferryError: there is none.
        """
        asked = TokenAsked(source, authority.host)
        try:
            credential = await self._credential(source, proof, authority)
            options = {"claims": claims} if claims else {}
            async with asyncio.timeout(TOKEN_S), credential:
                found = await credential.get_token_info(scope, options=options | {"enable_cae": True})
            return Token(SecretBytes(found.token), datetime.fromtimestamp(found.expires_on, UTC))
        except TimeoutError:
            failure: KeyferryError = TimedOut(f"{asked.where} did not answer in time", hint=_NETWORK)
        except Exception as error:
            if not is_known(error) and not stumbled(error):
                raise
            told = error if is_known(error) else AnswerUnreadable(type(error).__name__)
            failure = token_failed(told, asked, self.outgoing.pause)
        # Raised here and not above: the SDK's exception may hold the request, and with it the proof.
        raise failure

    async def _credential(self, source: Source, proof: SecretBytes, authority: Address) -> Any:
        identity = await self.module(_IDENTITY)
        if isinstance(source, ManagedIdentity):
            return _machine_credential(identity, await self.module("azure.core.pipeline.transport"), source)
        transport = (await self.module("keyferry.providers.azure.transport")).OutgoingTransport
        policies = (await self.module("azure.core.pipeline.policies")).HeadersPolicy

        def judge(reply: Reply, _: Ask) -> KeyferryError | None:
            # Here and not by the SDK, which would log what the answer says.
            asked = TokenAsked(source, authority.host)
            return login_refused(reply, asked, self.outgoing.pause) if reply.status != 200 else None

        further: dict[str, Any] = {
            "authority": authority.base,
            "transport": transport(self.outgoing, authority, ENTRA, judge),
            "policies": [policies()],
        }
        match source:
            case ClientSecret(tenant, client):
                return identity.ClientSecretCredential(tenant, client, proof.reveal().decode(), **further)
            case ClientCertificate(tenant, client):
                return _certificate_credential(identity, source, proof, further)
            case FederatedAccount(tenant, client) | OwnAccount(tenant, client):
                assertion = proof.reveal().decode()
                return identity.ClientAssertionCredential(tenant, client, lambda: assertion, **further)

    def close(self) -> None:
        """Let go of the thread."""
        self._starting.close()


_NETWORK: Final = "Check network policies, proxies and firewalls between the operator and it"


def _import(name: str) -> Any:
    with _importing():
        return importlib.import_module(name)


@contextmanager
def _importing() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "azure").replace(".", "-")
        raise NotAvailableError(
            f"provider azurekv needs the package {package}", hint=f"Install keyferry[{_EXTRA}]"
        ) from error


def _certificate_credential(
    identity: Any, source: ClientCertificate, proof: SecretBytes, further: dict[str, Any]
) -> Any:
    """A credential that signs with a certificate's key.

    Raises:
        AuthFailed: they cannot be used.
    """
    try:
        return identity.CertificateCredential(
            source.tenant, source.client, certificate_data=proof.reveal(), **further
        )
    except (ValueError, TypeError):
        pass
    # Raised here and not above: what the library raises may hold the key.
    raise AuthFailed(
        f'the certificate of client "{source.client}" cannot be used',
        hint="It needs an RSA key, without a password, and both as PEM one after the other",
    )


def _machine_credential(identity: Any, transports: Any, source: ManagedIdentity) -> Any:
    """A credential that asks the machine. No proxy is between it and us, and Kubernetes has no say in it."""
    transport = transports.AioHttpTransport(
        use_env_settings=False, connection_timeout=MACHINE_CONNECT_S, read_timeout=MACHINE_READ_S
    )
    chosen: dict[str, Any] = {}
    if "/" in source.id:
        # What App Service does not know, it passes over, and gives another identity.
        parameter = "mi_res_id" if os.environ.get("IDENTITY_ENDPOINT") else "msi_res_id"
        chosen = {"identity_config": {parameter: source.id}}
    elif source.id:
        chosen = {"client_id": source.id}
    return identity.ManagedIdentityCredential(
        transport=transport,
        retry_total=0,
        retry_status=0,
        # Else, in a pod that the workload identity webhook has set up, it would be another identity.
        _exclude_workload_identity_credential=True,
        **chosen,
    )


class _Credential:
    """What the SDK's client takes for its credential: it keeps nothing, and looks at what the vault asks for.

    A vault says for what and from whom it wants a token. It gets one for itself or none, and only from the
    authority of the store's cloud.

    Args:
        vault: whose client it is.
        access_token: the SDK's type of a token.
    """

    def __init__(self, vault: Vault, access_token: Callable[..., Any]) -> None:
        self._vault = vault
        self._access_token = access_token

    async def get_token_info(self, *scopes: str, options: Any = None) -> Any:
        """A token, as the SDK asks for it."""
        given = options or {}
        value = await self._vault.bearer(
            scopes[0], tenant=given.get("tenant_id") or "", claims=given.get("claims") or ""
        )
        # It has ended already, so that the client asks again next time.
        return self._access_token(value.reveal().decode(), 0)

    async def close(self) -> None:
        """There is nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""


class Vault:
    """One identity's way into one vault.

    Args:
        sdk: the SDK.
        address: of the vault.
        cloud: that it belongs to.
        source: who asks.
        tokens: of who asks.
    """

    def __init__(
        self, sdk: AzureSdk, address: Address, cloud: Cloud, source: Source, tokens: TokenSession
    ) -> None:
        self.address = address
        self._sdk = sdk
        self._cloud = cloud
        self._source = source
        self._tokens = tokens
        self._clients: dict[Kind, Any] = {}

    def asked(self, permission: str, key: str = "", version: str = "") -> Asked:
        """A question to this vault, for errors."""
        return Asked(permission, self.address.host, self._source, key, version)

    async def bearer(self, scope: str, *, tenant: str = "", claims: str = "") -> SecretBytes:
        """A token for the vault.

        Args:
            scope, tenant: what the vault asked for, and whom to ask for it.
            claims: what the vault wants to see in it.

        Raises:
            AuthFailed: it is not for the vault, or the vault is another tenant's.
            KeyferryError: there is none.
        """
        if not self._cloud.is_for_vault(scope, self.address.host):
            raise wrong_scope(self.asked("secrets/get"))
        own = getattr(self._source, "tenant", "").lower()
        if _GUID.fullmatch(own) and _GUID.fullmatch(tenant.lower()) and own != tenant.lower():
            raise wrong_tenant(self.asked("secrets/get"))
        return await self._tokens.token(scope, claims, _began.get())

    async def ask(self, kind: Kind, work: Callable[[Any], Awaitable[Any]], asked: Asked) -> Any:
        """What a client of the SDK answers.

        Args:
            work: asks the client.

        Raises:
            KeyferryError: why there is no answer.
        """
        failure: KeyferryError
        _began.set(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(CALL_S):
                return await work(await self._client(kind))
        except TimeoutError:
            failure = TimedOut(f"{asked.where} did not answer in time", hint=_NETWORK)
        except Exception as error:
            if not is_known(error) and not stumbled(error):
                raise
            told = error if is_known(error) else AnswerUnreadable(type(error).__name__)
            failure = translated(told, asked, self._sdk.outgoing.pause)
        if isinstance(failure, AuthFailed):
            self._forget_challenge(kind)
        # Raised here and not above: the SDK's exception holds the request and the answer.
        raise failure

    def _forget_challenge(self, kind: Kind) -> None:
        """The SDK keeps what a vault asks for, for all that ask it: it may be that which is wrong."""
        cache = sys.modules.get(f"{_CLIENTS[kind][0]}._shared.http_challenge_cache")
        if cache is not None:
            cache.remove_challenge_for_url(self.address.base)

    async def _client(self, kind: Kind) -> Any:
        client = self._clients.get(kind)
        if client is None:
            package, name = _CLIENTS[kind]
            made = getattr(await self._sdk.module(f"{package}.aio"), name)
            # The SDK's own, which answers the vault's challenge; under this name since its first version.
            policy = (await self._sdk.module(f"{package}._shared")).AsyncChallengeAuthPolicy
            transport = (await self._sdk.module("keyferry.providers.azure.transport")).OutgoingTransport
            token = (await self._sdk.module("azure.core.credentials")).AccessTokenInfo
            credential = _Credential(self, token)
            client = self._clients[kind] = made(
                self.address.base,
                credential,
                api_version=self._api_version,
                transport=transport(self._sdk.outgoing, self.address, VAULT, self._judge),
                # These alone, and so neither retries nor logs. What a vault may ask a token for is decided
                # by `_Credential`, which knows more of a cloud of one's own than its host name.
                policies=[policy(credential, verify_challenge_resource=False)],
            )
        return client

    @property
    def _api_version(self) -> str:
        return STACK_API_VERSION if self._cloud.name == "AzureStackCloud" else API_VERSION

    def _judge(self, reply: Reply, ask: Ask) -> KeyferryError | None:
        """Why an answer to somebody without a token is none of a vault's; None where it is one."""
        if "Authorization" in ask.headers or challenge_of(reply) is not None:
            return None
        asked = self.asked("secrets/get")
        if reply.status < 400 or reply.status == 401:
            return unreadable(asked)
        return from_reply(reply, asked, self._sdk.outgoing.pause)

    async def prove(self) -> None:
        """Prove the identity: the vault is there, and Entra ID gives a token for what it asks for.

        Nothing is asked of the vault but its challenge, which it gives to everybody.

        Raises:
            KeyferryError: the identity is not proven.
        """
        await self._sdk.module(_IDENTITY)  # where it is not installed, nothing else matters
        path = f"/secrets?api-version={self._api_version}&maxresults=1"
        ask = Ask(VAULT, "", self.address, "GET", path, {})
        reply = await self._sdk.outgoing.ask(ask)
        wanted = challenge_of(reply)
        if wanted is None:
            raise self._judge(reply, ask) or unreadable(self.asked("secrets/list"))
        await self.bearer(wanted.scope, tenant=wanted.tenant)

    async def renew(self) -> None:
        """Get new tokens. Raises as `bearer`."""
        await self._tokens.renew()

    async def close(self) -> None:
        """Forget tokens and clients."""
        for kind in self._clients:
            self._forget_challenge(kind)
        self._clients.clear()
        await self._tokens.close()
