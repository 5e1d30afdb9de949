"""What administrators do in this Azure: the double's side of `Administrator`. Arguments and results are JSON."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from keyferry.testing.azure import vault as vaults
from keyferry.testing.azure.clouds import CLOUDS, LOCAL
from keyferry.testing.azure.identities import (
    TOKEN_EXCHANGE,
    ClientCertificate,
    ClientSecret,
    FederatedCredential,
    Identity,
    Tenant,
    digest_of,
)
from keyferry.testing.azure.material import key_version
from keyferry.testing.azure.objects import Kind, Version
from keyferry.testing.azure.permissions import Mode
from keyferry.testing.azure.registries import Registry
from keyferry.testing.azure.vault import Vault
from keyferry.testing.azure.world import HTTPS, World

OpenPort = Callable[[], Awaitable[int]]

_ADJUSTABLE: Final = frozenset(
    {"challenge_resource", "endless", "firewall", "limit", "next_host", "raw_challenge", "sparse"}
)


class Office:
    """Each public method is an operation.

    Args:
        world: what is administered.
        open_port: gives a new loopback port, for vaults and registries of the local cloud.
    """

    def __init__(self, world: World, open_port: OpenPort) -> None:
        self._world = world
        self._open_port = open_port
        self._vaults: dict[str, Vault] = {}
        self._registries: dict[str, Registry] = {}

    # Directories

    def create_tenant(self, cloud: str, domain: str) -> str:
        """A new directory; its id."""
        tenant = Tenant(CLOUDS[cloud], domain or f"{uuid.uuid4().hex[:8]}.onmicrosoft.com")
        self._world.entra.tenants[tenant.id] = tenant
        return tenant.id

    def trust_issuer(self, url: str, ca_pem: str) -> None:
        """Believe this CA for an issuer's documents."""
        self._world.issuers.trust(url, ca_pem)

    def create_app(self, tenant: str) -> dict[str, str]:
        """An app registration with its service principal."""
        return self._add(Identity(self._world.entra.tenants[tenant], "app"))

    def create_managed_identity(self, tenant: str, system: bool, on_machine: bool) -> dict[str, str]:
        """A managed identity."""
        resource = (
            "/subscriptions/00000000-0000-0000-0000-000000000001/resourcegroups/double/providers/"
            f"Microsoft.ManagedIdentity/userAssignedIdentities/{uuid.uuid4().hex[:8]}"
        )
        identity = Identity(
            self._world.entra.tenants[tenant],
            "system" if system else "user",
            resource_id="" if system else resource,
            on_machine=on_machine,
        )
        if on_machine:
            self._world.machine.identities.append(identity)
        return self._add(identity)

    def remove_from_machine(self, client_id: str = "") -> None:
        """Take an identity, or all, off the machine."""
        left = [one for one in self._world.machine.identities if client_id not in ("", one.client_id)]
        self._world.machine.identities[:] = left

    def _add(self, identity: Identity) -> dict[str, str]:
        identity.tenant.identities[identity.client_id] = identity
        self._world.identities[identity.client_id] = identity
        return {
            "client_id": identity.client_id,
            "oid": identity.oid,
            "tenant": identity.tenant.id,
            "resource_id": identity.resource_id,
        }

    def add_client_secret(self, client_id: str) -> str:
        """A new secret of an app."""
        made = f"{secrets.token_urlsafe(8)[:3]}8Q~{secrets.token_urlsafe(24)}"
        self._world.identities[client_id].secrets.append(ClientSecret(digest_of(made)))
        return made

    def end_client_secrets(self, client_id: str, remove: bool) -> None:
        """Let all secrets of an app be expired, or gone."""
        identity = self._world.identities[client_id]
        identity.secrets = [] if remove else [replace(one, ended=True) for one in identity.secrets]

    def add_certificate(self, client_id: str, pem: str) -> None:
        """Register a certificate on an app."""
        self._world.identities[client_id].certificates.append(ClientCertificate.read(pem))

    def remove_certificates(self, client_id: str) -> None:
        """Let no certificate of an app count any more."""
        self._world.identities[client_id].certificates.clear()

    def federate(self, client_id: str, issuer: str, subject: str, audience: str = TOKEN_EXCHANGE) -> None:
        """Let tokens of an issuer stand for an identity."""
        credential = FederatedCredential(issuer, subject, audience)
        self._world.identities[client_id].federated.append(credential)

    def remove_federation(self, client_id: str) -> None:
        """Let no tokens stand for an identity any more."""
        self._world.identities[client_id].federated.clear()

    def disable_identity(self, client_id: str, disabled: bool) -> None:
        """Disable an identity, or enable it again."""
        self._world.identities[client_id].disabled = disabled

    # Vaults and registries

    async def create_vault(self, name: str, tenant: str, mode: Mode) -> str:
        """A vault; its address. One of the local cloud has a loopback port of its own."""
        found = self._world.entra.tenants[tenant]
        local = found.cloud is LOCAL
        port = await self._open_port() if local else HTTPS
        login = f"https://127.0.0.1:{self._world.login_port}" if local else ""
        vault = Vault.create(name, found, mode, port=port, login=login)
        self._world.vaults.by_host[vault.host, vault.port] = vault
        self._vaults[name] = vault
        return vault.url

    def delete_vault(self, vault: str) -> None:
        """Forget a vault."""
        gone = self._vaults.pop(vault)
        del self._world.vaults.by_host[gone.host, gone.port]

    def configure_vault(self, vault: str, **how: Any) -> None:
        """Change how a vault answers: fields of `Vault`."""
        found = self._vaults[vault]
        if "limit" in how:
            calls, seconds = how["limit"] or (0, 0.0)
            how["limit"] = (int(calls), float(seconds)) if calls else None
        for name, value in how.items():
            if name not in _ADJUSTABLE:
                raise ValueError(name)
            setattr(found, name, value)

    def grant(self, vault: str, oid: str, permissions: Sequence[str], scope: str = "") -> None:
        """Grant something in a vault."""
        self._vaults[vault].permissions.grant(oid, permissions, scope)

    def revoke(self, vault: str, oid: str) -> None:
        """Take back all that an identity was granted in a vault."""
        self._vaults[vault].permissions.revoke(oid)

    async def create_registry(self, name: str, tenant: str) -> str:
        """A registry; its host and port."""
        found = self._world.entra.tenants[tenant]
        local = found.cloud is LOCAL
        port = await self._open_port() if local else HTTPS
        host = "127.0.0.1" if local else f"{name}.{found.cloud.registry_suffix}"
        registry = Registry(name, found, host, port)
        self._world.registries.by_host[host, port] = registry
        self._registries[name] = registry
        return registry.service

    def grant_registry(self, registry: str, oid: str, actions: Sequence[str]) -> None:
        """Let an identity do something in a registry; nothing takes it all back."""
        roles = self._registries[registry].roles
        if actions:
            roles.setdefault(oid, set()).update(actions)
        else:
            roles.pop(oid, None)

    def read_registry_token(self, registry: str, token: str, kind: str) -> Any:
        """What a token of a registry says: the oid behind a refresh token, the access of an access token."""
        found = self._registries[registry]
        if kind == "refresh":
            return self._world.registries.subject_of(token, found)
        return self._world.registries.access_of(token, found)

    # Objects of vaults

    def put_secret(
        self,
        *,
        vault: str,
        name: str,
        value: str,
        content_type: str = "",
        tags: Mapping[str, str] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> str:
        """Create a secret, or give it a new version; the version."""
        content = {"value": value} | ({"contentType": content_type} if content_type else {})
        version = Version(content, tags=dict(tags or {}))
        version.attributes.change(dict(attributes or {}))
        return self._vaults[vault].shelves["secrets"].add(name, version).id

    def put_key(
        self,
        *,
        vault: str,
        name: str,
        kty: str = "RSA",
        crv: str = "P-256",
        size: int = 2048,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create a key, or give it a new version; the version."""
        version = key_version({}, wanted={"kty": kty, "crv": crv, "key_size": size})
        version.tags = dict(tags or {})
        return self._vaults[vault].shelves["keys"].add(name, version).id

    def put_certificate(
        self, vault: str, name: str, content: str, password: str = "", tags: Mapping[str, str] | None = None
    ) -> str:
        """Import a certificate with its key: PEM, or base64 of PKCS#12; the version."""
        made = vaults.put_certificate(
            self._vaults[vault], name, content, password=password, tags=dict(tags or {})
        )
        return made.id

    def change(
        self,
        *,
        vault: str,
        kind: Kind,
        name: str,
        version: str = "",
        tags: Mapping[str, str] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Change tags and attributes (enabled, nbf, exp) of a version, the current one where none is named."""
        found = self._vaults[vault].shelves[kind].version(name, version)
        if tags is not None:
            found.tags = dict(tags)
        found.attributes.change(dict(attributes or {}))

    def delete(self, vault: str, kind: Kind, name: str) -> None:
        """Delete an object; it can be recovered."""
        vaults.delete(self._vaults[vault], kind, name)

    def recover(self, vault: str, kind: Kind, name: str) -> None:
        """Bring a deleted object back."""
        vaults.recover(self._vaults[vault], kind, name)

    def purge(self, vault: str, kind: Kind, name: str) -> None:
        """Forget a deleted object."""
        vaults.purge(self._vaults[vault], kind, name)

    def value(self, vault: str, name: str, version: str = "") -> str:
        """A secret's value, for tests of what was written."""
        return str(self._vaults[vault].shelves["secrets"].version(name, version).content["value"])

    def certificate(self, vault: str, name: str) -> str:
        """A certificate's DER as base64, for tests."""
        cer = self._vaults[vault].shelves["certificates"].version(name).content["cer"]
        return base64.b64encode(base64.b64decode(cer)).decode()
