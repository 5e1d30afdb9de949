"""Who asks Azure: a service principal, a ServiceAccount that Entra ID trusts, or the operator itself.

The result is a description with a fingerprint; `tokens.py` turns it into tokens.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from keyferry.api.meta import NamespacedReference, SecretKeySelector, ServiceAccountSelector
from keyferry.core.stores import effective_namespace
from keyferry.errors import AuthFailed, ForbiddenError, SpecError
from keyferry.ports import ClusterAccess, ObjectKey
from keyferry.providers.azure.clouds import Cloud
from keyferry.secretdata import SecretBytes

CLIENT_ANNOTATION: Final = "azure.workload.identity/client-id"
TENANT_ANNOTATION: Final = "azure.workload.identity/tenant-id"
DEFAULT_AUDIENCE: Final = "api://AzureADTokenExchange"
"""Whom Entra ID wants a ServiceAccount's token to be for; other clouds may want another."""

CLIENT_VARIABLE: Final = "AZURE_CLIENT_ID"
TENANT_VARIABLE: Final = "AZURE_TENANT_ID"
TOKEN_FILE_VARIABLE: Final = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - a variable's name
AUTHORITY_VARIABLE: Final = "AZURE_AUTHORITY_HOST"
"""What the workload identity webhook sets in the operator's pod."""

_ID: Final = re.compile(r"[0-9A-Za-z.-]{1,256}")
"""Ids of tenants, which may be domain names, and of clients."""
_IDENTITY_ID: Final = re.compile(r"[0-9A-Za-z._/()-]{1,512}")
"""A managed identity: its client id, or the path of the resource."""
_PEM: Final = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A service principal that knows a password."""

    tenant: str
    client: str
    secret: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A service principal that signs with a certificate's key. `pem` holds both."""

    tenant: str
    client: str
    pem: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FederatedAccount:
    """A ServiceAccount that stands for an application or managed identity."""

    tenant: str
    client: str
    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...]

    @property
    def subject(self) -> str:
        """As federated credentials name it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """The operator's own ServiceAccount, as the workload identity webhook has set it up in its pod."""

    tenant: str
    client: str
    token_file: str


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """A managed identity of the machine that the operator runs on; its only one where no id is set."""

    id: str = ""


Source = ClientSecret | ClientCertificate | FederatedAccount | OwnAccount | ManagedIdentity


@dataclass(frozen=True, slots=True)
class AzureIdentity:
    """Who asks, where tokens are issued, and which vault is asked.

    Args:
        vault: its address; empty where there is none.
    """

    source: Source
    cloud: Cloud
    vault: str = ""

    def fingerprint(self) -> str:
        """Hash over all that decides what may be read."""
        source: tuple[object, ...]
        match self.source:
            case ClientSecret(tenant, client, secret):
                source = ("secret", tenant, client, secret.reveal())
            case ClientCertificate(tenant, client, pem):
                source = ("certificate", tenant, client, pem.reveal())
            case FederatedAccount(tenant, client, namespace, name, uid, audiences):
                source = ("federated", tenant, client, namespace, name, uid, audiences)
            case OwnAccount(tenant, client, token_file):
                source = ("own", tenant, client, token_file)
            case ManagedIdentity(id_):
                source = ("managed", id_)
        cloud = self.cloud
        parts = ("azurekv", self.vault, cloud.name, cloud.authority, cloud.vaults, cloud.resource, source)
        return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()


def who(source: Source) -> str:
    """Who asks, as errors name it."""
    match source:
        case ClientSecret() | ClientCertificate():
            return f'client "{source.client}"'
        case FederatedAccount():
            return f'client "{source.client}" for ServiceAccount "{source.namespace}/{source.name}"'
        case OwnAccount():
            return "the operator's own workload identity"
        case ManagedIdentity():
            return f'managed identity "{source.id}"' if source.id else "the operator's managed identity"


def own_account() -> OwnAccount:
    """What the workload identity webhook has set up in the operator's pod.

    Raises:
        AuthFailed: it has not.
    """
    found = [os.environ.get(name, "") for name in (TENANT_VARIABLE, CLIENT_VARIABLE, TOKEN_FILE_VARIABLE)]
    if not all(found):
        raise AuthFailed(
            f"the operator has no workload identity: {CLIENT_VARIABLE}, {TENANT_VARIABLE} and "
            f"{TOKEN_FILE_VARIABLE} must be set in its environment",
            hint="Label its pod azure.workload.identity/use=true, or name a ServiceAccount in serviceAccountRef",
        )
    return OwnAccount(*found)


def in_own_pod(cloud: Cloud) -> Cloud:
    """The cloud as the operator's own pod knows it: the webhook says where its token is exchanged."""
    authority = os.environ.get(AUTHORITY_VARIABLE, "").strip().rstrip("/")
    if not authority or cloud.custom:
        return cloud
    return replace(cloud, authority=authority)


def check_id(text: str, where: str) -> None:
    """Check that it reads like the id of a tenant or client.

    Raises:
        SpecError: it does not.
    """
    if _ID.fullmatch(text) is None:
        raise SpecError(
            f"{where} is no id of Entra ID",
            hint="Copy it from the portal: 32 hexadecimal digits with hyphens",
        )


def check_identity_id(text: str, where: str) -> None:
    """Check that it reads like the id of a managed identity. Raises as `check_id`."""
    if text and _IDENTITY_ID.fullmatch(text) is None:
        raise SpecError(
            f"{where} is no managed identity", hint="Set its client id, or the path of its resource"
        )


def check_selector(selector: SecretKeySelector | None, where: str) -> None:
    """Check that a reference to a Secret is there, with all that it needs.

    Raises:
        SpecError: it is not.
    """
    if selector is None or not selector.name or not selector.key:
        raise SpecError(f"{where} must have a name and a key", hint="Name a Secret and one of its keys")


class Finder:
    """Reads what proves an identity, for one object and namespace.

    Args:
        owner: the store or generator.
        namespace: of the ExternalSecret.
        cluster: where Secrets and ServiceAccounts are read.
    """

    def __init__(self, owner: ObjectKey, namespace: str, cluster: ClusterAccess) -> None:
        self._owner = owner
        self._namespace = namespace
        self._cluster = cluster

    def where(self, reference: NamespacedReference) -> str:
        """The namespace of what a reference leads to.

        Raises:
            ForbiddenError: there is none.
        """
        found = effective_namespace(reference, self._owner.namespace, self._namespace)
        if not found:
            raise ForbiddenError(
                f"{self._owner} names an object without a namespace, which only an ExternalSecret can fill in"
            )
        return found

    async def value(self, selector: SecretKeySelector) -> SecretBytes:
        """The value of a Secret's key, without white space around it.

        Raises:
            AuthFailed: there is none.
            KubeError: the Secret cannot be read.
        """
        where = self.where(selector)
        secret = await self._cluster.read_secret(where, selector.name)
        value = secret.data.get(selector.key)
        stripped = b"" if value is None else value.reveal().strip()
        if not stripped:
            raise AuthFailed(
                f'Secret "{where}/{selector.name}" has no value under the key "{selector.key}"',
                hint=f"Add it, or correct the {self._owner.kind}",
            )
        return SecretBytes(stripped)

    async def id(self, selector: SecretKeySelector) -> str:
        """The id of a tenant or client that a Secret keeps. Raises as `value`."""
        text = (await self.value(selector)).reveal().decode("ascii", "replace")
        if _ID.fullmatch(text) is None:
            raise AuthFailed(
                f'key "{selector.key}" of Secret "{self.where(selector)}/{selector.name}" is no id of Entra ID',
                hint="Write the id alone, without quotes or base64 of your own",
            )
        return text

    async def secret_of(
        self, tenant: str, client: SecretKeySelector, secret: SecretKeySelector
    ) -> ClientSecret:
        """A service principal with its password. Raises as `value`."""
        value = await self.value(secret)
        if not value.reveal().isascii():
            raise AuthFailed(
                f'key "{secret.key}" of Secret "{self.where(secret)}/{secret.name}" is no client secret',
                hint="Write it as the portal showed it once: the value, not the id, without base64 of your own",
            )
        return ClientSecret(tenant, await self.id(client), value)

    async def certificate_of(
        self, tenant: str, client: SecretKeySelector, pem: SecretKeySelector
    ) -> ClientCertificate:
        """A service principal with its certificate and key. Raises as `value`."""
        value = await self.value(pem)
        if value.reveal().count(_PEM) < 2:
            raise AuthFailed(
                f'key "{pem.key}" of Secret "{self.where(pem)}/{pem.name}" is no certificate with its key as PEM',
                hint="Write both into it, one after the other",
            )
        return ClientCertificate(tenant, await self.id(client), value)

    async def account_of(
        self,
        reference: ServiceAccountSelector,
        *,
        client: str = "",
        tenant: str = "",
        audience: str = "",
        otherwise: str = "",
    ) -> FederatedAccount:
        """A ServiceAccount, with the ids that the store or its annotations give.

        Args:
            client, tenant: as the store has them; empty where it leaves them to the annotations.
            audience: whom its token is for; empty for what Entra ID wants.
            otherwise: the tenant where nobody names one; empty for that of the operator's pod.

        Raises:
            AuthFailed: an id is missing, or there are two.
            KubeError: the ServiceAccount cannot be read.
        """
        where = self.where(reference)
        account = await self._cluster.read_service_account(where, reference.name)
        name = f'ServiceAccount "{where}/{reference.name}"'
        found = {
            "clientID": self._one(client, account.annotations.get(CLIENT_ANNOTATION, ""), "clientID", name),
            "tenantID": self._one(tenant, account.annotations.get(TENANT_ANNOTATION, ""), "tenantID", name),
        }
        found["tenantID"] = found["tenantID"] or otherwise or os.environ.get(TENANT_VARIABLE, "")
        for what, annotation in (("clientID", CLIENT_ANNOTATION), ("tenantID", TENANT_ANNOTATION)):
            if _ID.fullmatch(found[what]) is None:
                problem = f"there is no {what}" if not found[what] else f"the {what} is none of Entra ID"
                raise AuthFailed(f"{problem} for {name}", hint=f"Annotate it with {annotation}")
        audiences = (audience or DEFAULT_AUDIENCE, *reference.audiences)
        return FederatedAccount(
            found["tenantID"], found["clientID"], where, reference.name, account.uid, audiences
        )

    def _one(self, given: str, annotated: str, what: str, name: str) -> str:
        if given and annotated and given != annotated:
            raise AuthFailed(
                f"multiple {what} found: the {self._owner.kind} names another than {name} is annotated with",
                hint="Remove one of them",
            )
        return given or annotated
