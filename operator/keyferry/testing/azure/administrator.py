"""The administrator's side of the Azure double: directories, identities, vaults and what is in them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from keyferry.testing.azure.objects import Kind
from keyferry.testing.azure.permissions import Mode

if TYPE_CHECKING:
    from keyferry.testing.azure.client import AzureControl

SECRETS_USER = "Key Vault Secrets User"


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity.

    Args:
        tenant: the directory's id.
        oid: what permissions are granted to.
        resource_id: of managed identities.
        secret: of apps that have been given one.
    """

    tenant: str
    client_id: str
    oid: str
    resource_id: str = ""
    secret: str = field(default="", repr=False)


class Administrator:
    """One who may do everything in a directory of its own, and in the vaults that belong to it.

    Args:
        control: the double's control API.
        cloud: the cloud of the directory, see `clouds.CLOUDS`.
    """

    def __init__(self, control: AzureControl, cloud: str = "PublicCloud") -> None:
        self._control = control
        self.cloud = cloud
        self.tenant = str(control.administer("create_tenant", cloud=cloud, domain=""))

    def _do(self, operation: str, **arguments: Any) -> Any:
        return self._control.administer(operation, **arguments)

    # Identities

    def trust_cluster(self, issuer: str, ca_pem: str) -> None:
        """Believe this CA for the documents of an issuer of ServiceAccount tokens."""
        self._do("trust_issuer", url=issuer, ca_pem=ca_pem)

    def create_app(self, *, with_secret: bool = False, certificate: str = "") -> Principal:
        """An app registration.

        Args:
            with_secret: give it a client secret.
            certificate: PEM of a certificate to register; empty for none.
        """
        made = self._do("create_app", tenant=self.tenant)
        if certificate:
            self._do("add_certificate", client_id=made["client_id"], pem=certificate)
        secret = self._do("add_client_secret", client_id=made["client_id"]) if with_secret else ""
        return Principal(**made, secret=secret)

    def app_for_service_account(
        self, issuer: str, namespace: str, service_account: str, *, audience: str = ""
    ) -> Principal:
        """An app that tokens of one ServiceAccount stand for."""
        app = self.create_app()
        self.federate(app, issuer, f"system:serviceaccount:{namespace}:{service_account}", audience=audience)
        return app

    def federate(self, who: Principal, issuer: str, subject: str, *, audience: str = "") -> None:
        """Let tokens of an issuer stand for an app or a user-assigned managed identity."""
        further = {"audience": audience} if audience else {}
        self._do("federate", client_id=who.client_id, issuer=issuer, subject=subject, **further)

    def remove_federation(self, who: Principal) -> None:
        """Let no tokens stand for an identity any more."""
        self._do("remove_federation", client_id=who.client_id)

    def managed_identity(self, *, system: bool = False, on_machine: bool = True) -> Principal:
        """A managed identity.

        Args:
            system: assigned by the system; else by a user.
            on_machine: whether the machine with the metadata service has it.
        """
        made = self._do("create_managed_identity", tenant=self.tenant, system=system, on_machine=on_machine)
        return Principal(**made)

    def remove_from_machine(self, who: Principal | None = None) -> None:
        """Take an identity, or all, off the machine."""
        self._do("remove_from_machine", client_id=who.client_id if who else "")

    def new_client_secret(self, who: Principal) -> str:
        """One more secret of an app."""
        return str(self._do("add_client_secret", client_id=who.client_id))

    def expire_client_secrets(self, who: Principal) -> None:
        """Let all secrets of an app be over."""
        self._do("end_client_secrets", client_id=who.client_id, remove=False)

    def remove_client_secrets(self, who: Principal) -> None:
        """Let all secrets of an app be gone."""
        self._do("end_client_secrets", client_id=who.client_id, remove=True)

    def remove_certificates(self, who: Principal) -> None:
        """Let no certificate of an app count any more."""
        self._do("remove_certificates", client_id=who.client_id)

    def disable_identity(self, who: Principal, *, disabled: bool = True) -> None:
        """Disable an identity, or enable it again."""
        self._do("disable_identity", client_id=who.client_id, disabled=disabled)

    # Vaults

    def create_vault(self, name: str, *, mode: Mode = "rbac") -> str:
        """A vault; its address.

        Args:
            name: unlike that of any other vault, of whatever cloud.
            mode: how permissions are granted: by roles, or by access policies.
        """
        return str(self._do("create_vault", name=name, tenant=self.tenant, mode=mode))

    def delete_vault(self, vault: str) -> None:
        """Forget a vault."""
        self._do("delete_vault", vault=vault)

    def configure_vault(self, vault: str, **how: Any) -> None:
        """Change how a vault answers.

        Args:
            how: `firewall` (nobody gets in), `limit` ((calls, seconds), or [] for none), and fields of `vault.Vault` for
                what a vault that is none would do: `sparse`, `endless`, `next_host`, `challenge_resource`,
                `raw_challenge`.
        """
        self._do("configure_vault", vault=vault, **how)

    def grant(self, vault: str, who: Principal, *permissions: str, scope: str = "") -> None:
        """Grant something in a vault.

        Args:
            permissions: roles (`Key Vault Secrets User`) or data actions (`secrets/getSecret/action`); in a vault with
                access policies such as `secrets/get`.
            scope: one object such as `secrets/db`; empty for the whole vault.
        """
        self._do("grant", vault=vault, oid=who.oid, permissions=list(permissions), scope=scope)

    def revoke(self, vault: str, who: Principal) -> None:
        """Take back all that an identity was granted in a vault."""
        self._do("revoke", vault=vault, oid=who.oid)

    # What is in them

    def put_secret(self, vault: str, name: str, value: str | Mapping[str, Any], **how: Any) -> str:
        """Create a secret, or give it a new version; the version.

        Args:
            value: a text, or a mapping that becomes a JSON object.
            how: `content_type`, `tags`, `enabled`, and the moments `not_before` and `expires`.
        """
        text = value if isinstance(value, str) else json.dumps(value)
        told = {key: how.pop(key) for key in ("content_type", "tags") if key in how}
        return str(
            self._do("put_secret", vault=vault, name=name, value=text, attributes=_attributes(**how), **told)
        )

    def put_key(self, vault: str, name: str, *, kty: str = "RSA", **how: Any) -> str:
        """Create a key, or give it a new version; the version. `how` holds `crv`, `size`, `tags`."""
        return str(self._do("put_key", vault=vault, name=name, kty=kty, **how))

    def put_certificate(
        self,
        vault: str,
        name: str,
        content: str | bytes,
        *,
        password: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Import a certificate with its key, as PEM text or PKCS#12 bytes; the version."""
        text = content if isinstance(content, str) else base64.b64encode(content).decode()
        return str(
            self._do(
                "put_certificate",
                vault=vault,
                name=name,
                content=text,
                password=password,
                tags=dict(tags or {}),
            )
        )

    def change(self, vault: str, name: str, *, kind: Kind = "secrets", version: str = "", **how: Any) -> None:
        """Change a version, the current one where none is named; what is left out stays.

        Args:
            how: `tags`, `enabled`, and the moments `not_before` and `expires`.
        """
        tags = how.pop("tags", None)
        where = {"vault": vault, "kind": kind, "name": name, "version": version}
        self._do("change", **where, tags=tags, attributes=_attributes(**how))

    def delete(self, vault: str, name: str, *, kind: Kind = "secrets", purge: bool = False) -> None:
        """Delete an object; it can be recovered unless it is purged, too."""
        self._do("delete", vault=vault, kind=kind, name=name)
        if purge:
            self._do("purge", vault=vault, kind=kind, name=name)

    def recover(self, vault: str, name: str, *, kind: Kind = "secrets") -> None:
        """Bring a deleted object back."""
        self._do("recover", vault=vault, kind=kind, name=name)

    def value(self, vault: str, name: str, *, version: str = "") -> str:
        """A secret's value, for tests of what was written."""
        return str(self._do("value", vault=vault, name=name, version=version))

    def certificate(self, vault: str, name: str) -> bytes:
        """A certificate as DER."""
        return base64.b64decode(self._do("certificate", vault=vault, name=name))

    # Registries

    def create_registry(self, name: str) -> str:
        """A registry; its host, with the port where that is not the usual one."""
        return str(self._do("create_registry", name=name, tenant=self.tenant))

    def grant_registry(self, registry: str, who: Principal, *actions: str) -> None:
        """Let an identity do something in a registry (pull, push, delete, catalog); nothing takes all back."""
        self._do("grant_registry", registry=registry, oid=who.oid, actions=list(actions))

    def refresh_token_owner(self, registry: str, token: str) -> str:
        """The oid behind a registry's refresh token."""
        return str(self._do("read_registry_token", registry=registry, token=token, kind="refresh"))

    def access_of(self, registry: str, token: str) -> list[dict[str, Any]]:
        """What a registry's access token is good for."""
        return list(self._do("read_registry_token", registry=registry, token=token, kind="access"))


def _attributes(
    *, enabled: bool | None = None, not_before: datetime | None = None, expires: datetime | None = None
) -> dict[str, Any]:
    given = {
        "enabled": enabled,
        "nbf": None if not_before is None else int(not_before.timestamp()),
        "exp": None if expires is None else int(expires.timestamp()),
    }
    return {name: value for name, value in given.items() if value is not None}
