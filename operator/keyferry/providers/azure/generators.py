"""ACRAccessToken: a login for Azure Container Registry, for who asks as a store does.

A token of Entra ID is exchanged at the registry for a refresh token, which docker takes as a password, and that
with a scope for an access token. The first one opens all of Azure that the identity may do: it goes to hosts
that belong to Azure's registries, and to no other that a manifest may name.

Source: Azure/acr, "Azure Container Registry integration with Microsoft Entra ID" (AAD-OAuth).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final
from urllib.parse import urlencode

import msgspec

from keyferry.api.generators.azure import ACRAccessTokenSpec
from keyferry.api.model import Model
from keyferry.clock import Clock
from keyferry.core.generator_spec import spec_path, typed
from keyferry.core.stores import check_references
from keyferry.errors import ForbiddenError, SpecError
from keyferry.ports import AmbientIdentity, ClusterAccess, Generated, GeneratorView
from keyferry.providers.azure.clouds import CLOUDS, Cloud
from keyferry.providers.azure.exchange import IdentityExchange
from keyferry.providers.azure.identity import (
    AzureIdentity,
    Finder,
    ManagedIdentity,
    OwnAccount,
    Source,
    check_id,
    check_identity_id,
    check_selector,
    in_own_pod,
    own_account,
    who,
)
from keyferry.providers.azure.sdk import AzureSdk
from keyferry.providers.azure.store import authority_address
from keyferry.providers.azure.tokens import TokenSession
from keyferry.providers.outgoing import Address, Ask, Outgoing, Reply, decoded, unreadable
from keyferry.secretdata import SecretData

USERNAME: Final = "00000000-0000-0000-0000-000000000000"
"""Who brings a token, to a registry."""
MAX_SESSIONS: Final = 64
"""Identities whose tokens are kept, least recently used first to go."""
_SERVICE: Final = "Azure Container Registry"
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_HINT: Final = (
    'Grant it a role on the registry, such as "AcrPull" or "AcrPush"; the registry must take tokens of the '
    "resource manager (az acr config authentication-as-arm)"
)


class _Tokens(msgspec.Struct):
    refresh_token: str = ""
    access_token: str = ""


class ACRAccessTokenGenerator:
    """See the module's docstring.

    Args:
        sdk: shared with the stores, and closed by them.
        clock: to know when tokens end.
        ambient: which generators may use the operator's own identity.
    """

    kind: ClassVar[str] = "ACRAccessToken"
    spec: ClassVar[type[Model]] = ACRAccessTokenSpec
    stateful: ClassVar[bool] = False

    def __init__(self, sdk: AzureSdk, clock: Clock, ambient: AmbientIdentity) -> None:
        self._sdk = sdk
        self._clock = clock
        self._ambient = ambient
        self._sessions: OrderedDict[str, TokenSession] = OrderedDict()

    @property
    def _outgoing(self) -> Outgoing:
        return self._sdk.outgoing

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, ACRAccessTokenSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        check_references(spec, view.key.namespace, path)
        if spec.tenant_id:
            check_id(spec.tenant_id, f"{path}.tenantId")
        self._registry(spec, path)
        auth = spec.auth
        given = [
            one for one in (auth.service_principal, auth.managed_identity, auth.workload_identity) if one
        ]
        if len(given) != 1:
            raise SpecError(
                f"{path}.auth must have one of servicePrincipal, managedIdentity and workloadIdentity",
                hint="Set the one that is to be used, and remove the others",
            )
        if auth.service_principal is not None:
            check_selector(
                auth.service_principal.secret_ref.client_id,
                f"{path}.auth.servicePrincipal.secretRef.clientId",
            )
            check_selector(
                auth.service_principal.secret_ref.client_secret,
                f"{path}.auth.servicePrincipal.secretRef.clientSecret",
            )
            if not spec.tenant_id:
                raise SpecError(
                    f"{path}.tenantId must be set with auth.servicePrincipal", hint="Set the id of its tenant"
                )
        if auth.managed_identity is not None:
            check_identity_id(auth.managed_identity.identity_id, f"{path}.auth.managedIdentity.identityId")
        self._check_ambient(view, spec, path)

    def _check_ambient(self, view: GeneratorView, spec: ACRAccessTokenSpec, path: str) -> None:
        workload = spec.auth.workload_identity
        own = spec.auth.managed_identity is not None or (
            workload is not None and workload.service_account_ref is None
        )
        if own and not self._ambient.allows(cluster_scoped=view.cluster_scoped):
            raise ForbiddenError(
                f"{path}.auth asks for the operator's own identity, and --ambient-identity={self._ambient.value} "
                "does not let the generator use it",
                hint=f"Set {path}.auth.workloadIdentity.serviceAccountRef",
            )

    def _registry(self, spec: ACRAccessTokenSpec, path: str) -> tuple[Cloud, Address]:
        cloud = CLOUDS.get(spec.environment_type)
        if cloud is None:
            raise SpecError(
                f"{path}.environmentType {spec.environment_type} has no registries that are known here",
                hint="Set the cloud of the registry",
            )
        address = self._outgoing.check(spec.registry, "", f"{path}.registry")
        if address.base.partition("://")[0].lower() != "https" or address.base.count("/") > 2:
            raise SpecError(
                f"{path}.registry must be the host of a registry", hint="Such as example.azurecr.io"
            )
        cloud.check_registry(address.host, f"{path}.registry")
        return cloud, address

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("username", "password")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, ACRAccessTokenSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        cloud, registry = self._registry(spec, path)
        source = await _source(spec, Finder(view.key, view.namespace, cluster))
        if isinstance(source, OwnAccount):
            cloud = in_own_pod(cloud)
        session = self._session(AzureIdentity(source, cloud), path, cluster)
        token = await session.token(cloud.management_scope)
        service = registry.base.partition("://")[2]
        form = {"grant_type": "access_token", "service": service, "access_token": token.reveal().decode()}
        if tenant := spec.tenant_id or getattr(source, "tenant", ""):
            form["tenant"] = tenant
        found = await self._post(registry, "exchange", form, source, session)
        password = found.refresh_token
        if spec.scope and password:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "scope": spec.scope,
                "refresh_token": password,
            }
            password = (await self._post(registry, "token", form, source, session)).access_token
        if not password:
            raise unreadable(self._ask(registry, "exchange", {}))
        return Generated(SecretData({"username": USERNAME, "password": password}))

    def _ask(self, registry: Address, call: str, form: Mapping[str, str]) -> Ask:
        name = {"exchange": "ExchangeToken", "token": "GetAccessToken"}[call]
        return Ask(_SERVICE, name, registry, "POST", f"/oauth2/{call}", _FORM, urlencode(form).encode())

    async def _post(
        self, registry: Address, call: str, form: Mapping[str, str], source: Source, session: TokenSession
    ) -> _Tokens:
        """What the registry gives for a form.

        Raises:
            KeyferryError: it gives nothing.
        """
        ask = self._ask(registry, call, form)
        reply: Reply = await self._outgoing.ask(ask)
        if reply.status != 200:
            if reply.status == 401:
                session.forget()  # it may have been taken back; whoever tries again brings a new one
            raise self._outgoing.refused(reply, ask, what=f"a login for {who(source)}", hint=_HINT)
        found: _Tokens = decoded(reply, ask, _Tokens)
        return found

    def _session(self, identity: AzureIdentity, path: str, cluster: ClusterAccess) -> TokenSession:
        """The tokens of an identity. Its fingerprint covers all that they are made from."""
        fingerprint = identity.fingerprint()
        session = self._sessions.get(fingerprint)
        if session is None:
            authority = authority_address(identity.cloud, self._outgoing, path)
            exchange = IdentityExchange(identity, authority, self._sdk, cluster)
            session = self._sessions[fingerprint] = TokenSession(exchange, self._clock)
        self._sessions.move_to_end(fingerprint)
        while len(self._sessions) > MAX_SESSIONS:
            # Not closed: somebody may be waiting for its exchange, and would be cancelled with it.
            self._sessions.popitem(last=False)
        return session

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """What a registry gave ends by itself."""

    async def close(self) -> None:
        """Forget all tokens."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


async def _source(spec: ACRAccessTokenSpec, finder: Finder) -> Source:
    auth = spec.auth
    if auth.managed_identity is not None:
        return ManagedIdentity(auth.managed_identity.identity_id)
    if auth.workload_identity is not None:
        account = auth.workload_identity.service_account_ref
        return (
            own_account() if account is None else await finder.account_of(account, otherwise=spec.tenant_id)
        )
    principal = auth.service_principal
    if principal is not None and principal.secret_ref.client_id and principal.secret_ref.client_secret:
        return await finder.secret_of(
            spec.tenant_id, principal.secret_ref.client_id, principal.secret_ref.client_secret
        )
    raise SpecError("the generator's spec names nobody to ask as")
