"""ECRAuthorizationToken and STSSessionToken: what AWS gives to who asks as a store does."""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from keyferry.api.generators.aws import ECRAuthorizationTokenSpec, STSSessionTokenSpec
from keyferry.api.model import Model
from keyferry.api.providers.aws import AWSAuth
from keyferry.clock import Clock
from keyferry.core.generator_spec import spec_path, typed
from keyferry.core.stores import check_references
from keyferry.errors import AccessDenied, CredentialsExpired, ProviderError, SpecError
from keyferry.metrics import count_provider_call
from keyferry.ports import AmbientIdentity, ClusterAccess, Generated, GeneratorView
from keyferry.providers.aws.asked import Asked
from keyferry.providers.aws.credentials import CredentialSession
from keyferry.providers.aws.errors import translated, unreadable
from keyferry.providers.aws.identity import AwsIdentity, check_ambient, check_login, find_source
from keyferry.providers.aws.sdk import ECR, ECR_PUBLIC, STS, AwsSdk
from keyferry.secretdata import SecretData

PUBLIC_REGION: Final = "us-east-1"
"""The one region that the public registry gives tokens in."""
MAX_SESSIONS: Final = 64
"""Identities whose credentials are kept, least recently used first to go."""
_SCOPES: Final = ("", "private", "public")
_DURATIONS: Final = (900, 129_600)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: the service, where, and the client's method with the action that policies name."""

    service: str
    region: str
    operation: str
    action: str

    @property
    def asked(self) -> Asked:
        """For errors."""
        return Asked(f"{self.service}:{self.action}", self.region)


class _AwsGenerator:
    """What both have in common: who asks.

    Args:
        sdk: shared with the stores, and closed by them.
        clock: to know when credentials end.
        ambient: which generators may use the operator's own identity.
    """

    def __init__(self, sdk: AwsSdk, clock: Clock, ambient: AmbientIdentity) -> None:
        self._sdk = sdk
        self._clock = clock
        self._ambient = ambient
        self._sessions: OrderedDict[str, CredentialSession] = OrderedDict()

    def _check(self, view: GeneratorView, spec: Model, auth: AWSAuth, region: str, role: str) -> str:
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        check_references(spec, view.key.namespace, path)
        check_login(auth, region, role, path)
        check_ambient(auth, self._ambient, cluster_scoped=view.cluster_scoped, what="generator", path=path)
        return path

    async def _ask(
        self,
        view: GeneratorView,
        login: tuple[AWSAuth, str, str],
        cluster: ClusterAccess,
        call: _Call,
        **given: Any,
    ) -> Mapping[str, Any]:
        """AWS's answer. Credentials that it calls expired are renewed once.

        Args:
            login: auth, region and role of the spec.

        Raises:
            KeyferryError: there are no credentials, or AWS refuses.
        """
        auth, region, role = login
        source = await find_source(auth, view.key, view.namespace, cluster)
        session = self._session(AwsIdentity(region, "", source, roles=(role,) if role else ()), cluster)
        try:
            return await self._ask_once(session, call, given)
        except CredentialsExpired:
            await session.renew()
        return await self._ask_once(session, call, given)

    async def _ask_once(
        self, session: CredentialSession, call: _Call, given: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        signer = await session.signer()
        failure: ProviderError
        try:
            answer = await self._sdk.call(call.service, call.region, call.operation, signer, **given)
        except Exception as error:  # noqa: BLE001 - told, or raised again if it is a bug
            failure = translated(error, call.asked)
        else:
            count_provider_call(f"AWS/{call.service.upper()}", call.action, ok=True)
            return answer
        count_provider_call(f"AWS/{call.service.upper()}", call.action, ok=False)
        # Raised here and not above: the SDK's exception may quote the answer, which holds credentials.
        raise failure

    def _session(self, identity: AwsIdentity, cluster: ClusterAccess) -> CredentialSession:
        """The credentials of an identity. Its fingerprint covers all that they are made from."""
        fingerprint = identity.fingerprint()
        session = self._sessions.get(fingerprint)
        if session is None:
            session = self._sessions[fingerprint] = CredentialSession(
                identity, self._sdk, cluster, self._clock
            )
        self._sessions.move_to_end(fingerprint)
        while len(self._sessions) > MAX_SESSIONS:
            # Not closed: somebody may be waiting for its exchange, and would be cancelled with it.
            self._sessions.popitem(last=False)
        return session

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """What AWS gave ends by itself."""

    async def close(self) -> None:
        """Forget all credentials."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


class ECRAuthorizationTokenGenerator(_AwsGenerator):
    """A login for Amazon's container registries."""

    kind: ClassVar[str] = "ECRAuthorizationToken"
    spec: ClassVar[type[Model]] = ECRAuthorizationTokenSpec
    stateful: ClassVar[bool] = False

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, ECRAuthorizationTokenSpec)
        path = self._check(view, spec, spec.auth, spec.region, spec.role)
        if spec.scope not in _SCOPES:
            raise SpecError(f"{path}.scope must be private or public")

    def keys(self, view: GeneratorView) -> Sequence[str]:
        """See `ports.Generator.keys`. The public registry has one address, and tells none."""
        if typed(view.spec, ECRAuthorizationTokenSpec).scope == "public":
            return ("username", "password", "expires_at")
        return ("username", "password", "proxy_endpoint", "expires_at")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, ECRAuthorizationTokenSpec)
        public = spec.scope == "public"
        service, region = (ECR_PUBLIC, PUBLIC_REGION) if public else (ECR, spec.region)
        call = _Call(service, region, "get_authorization_token", "GetAuthorizationToken")
        answer = await self._ask(view, (spec.auth, spec.region, spec.role), cluster, call)
        made = _registry_login(answer.get("authorizationData"), public=public)
        if made is None:
            raise unreadable(call.asked)
        return Generated(SecretData(made))


class STSSessionTokenGenerator(_AwsGenerator):
    """Temporary credentials of the IAM user whose access keys ask."""

    kind: ClassVar[str] = "STSSessionToken"
    spec: ClassVar[type[Model]] = STSSessionTokenSpec
    stateful: ClassVar[bool] = False

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, STSSessionTokenSpec)
        path = self._check(view, spec, spec.auth, spec.region, spec.role)
        if spec.auth.jwt is not None:
            raise SpecError(
                f"{path}.auth.jwt cannot be used: AWS gives session tokens to access keys of users alone",
                hint="Use auth.secretRef, or let the workload take the role itself",
            )
        wanted = spec.request_parameters
        least, most = _DURATIONS
        if (
            wanted is not None
            and wanted.session_duration is not None
            and not least <= wanted.session_duration <= most
        ):
            raise SpecError(f"{path}.requestParameters.sessionDuration must be from {least} to {most}")

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("access_key_id", "secret_access_key", "session_token", "expiration")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, STSSessionTokenSpec)
        call = _Call(STS, spec.region, "get_session_token", "GetSessionToken")
        given: dict[str, Any] = {}
        if (wanted := spec.request_parameters) is not None:
            named = {
                "DurationSeconds": wanted.session_duration,
                "SerialNumber": wanted.serial_number,
                "TokenCode": wanted.token_code,
            }
            given = {name: value for name, value in named.items() if value}
        try:
            answer = await self._ask(view, (spec.auth, spec.region, spec.role), cluster, call, **given)
        except AccessDenied:
            refused = True
        else:
            refused = False
        if refused:
            # No policy can allow or deny this call: the advice that fits others would mislead.
            raise AccessDenied(
                "AWS gives these credentials no session token",
                hint="It takes access keys of a user, without role and session token; with serialNumber the "
                "device must be the user's, and tokenCode the one that it shows now",
            )
        made = _session(answer.get("Credentials"))
        if made is None:
            raise unreadable(call.asked)
        return Generated(SecretData(made))


def _registry_login(given: Any, *, public: bool) -> dict[str, str] | None:
    """What the registry's answer holds; None where it is no such answer."""
    data = given if public else given[0] if isinstance(given, list) and len(given) == 1 else None
    if not isinstance(data, Mapping):
        return None
    expires_at = data.get("expiresAt")
    endpoint = "" if public else data.get("proxyEndpoint")
    try:
        login = base64.b64decode(data.get("authorizationToken") or "", validate=True).decode()
    except (binascii.Error, ValueError, TypeError):
        return None
    user, separator, password = login.partition(":")
    if not separator or not isinstance(expires_at, datetime) or not isinstance(endpoint, str):
        return None
    made = {"username": user, "password": password, "expires_at": str(int(expires_at.timestamp()))}
    return made if public else made | {"proxy_endpoint": endpoint}


def _session(given: Any) -> dict[str, str] | None:
    """What STS's answer holds; None where it is no such answer."""
    if not isinstance(given, Mapping):
        return None
    names = {
        "access_key_id": "AccessKeyId",
        "secret_access_key": "SecretAccessKey",
        "session_token": "SessionToken",
    }
    made = {name: given.get(theirs) for name, theirs in names.items()}
    ends = given.get("Expiration")
    if not all(isinstance(value, str) and value for value in made.values()) or not isinstance(ends, datetime):
        return None
    return {name: str(value) for name, value in made.items()} | {"expiration": str(int(ends.timestamp()))}
