"""One vault: its address, its permissions, and what is in it; a certificate goes with its key and secret."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from keyferry.testing.azure.identities import Tenant
from keyferry.testing.azure.material import imported_certificate
from keyferry.testing.azure.objects import KINDS, Item, Kind, Shelf, Version
from keyferry.testing.azure.permissions import Mode, Permissions


@dataclass(slots=True)
class Vault:
    """A vault.

    Args:
        host: its host name; `port` is 443 where it is reached by that name.
        firewall: whether it lets nobody in.
        sparse: whether its lists begin with an empty page, as those of vaults with many deleted objects may.
        endless: whether its lists are empty pages without end, as no vault's are.
        next_host: where the links of its lists lead instead of to itself.
        challenge_resource: for what its challenges ask a token, instead of for vaults.
        raw_challenge: what stands in the header of its challenges instead.
        login: the address of the Entra ID that its challenges lead to.
        limit: so many calls in so many seconds; none by default.
    """

    name: str
    tenant: Tenant
    host: str
    port: int
    permissions: Permissions
    login: str
    firewall: bool = False
    sparse: bool = False
    endless: bool = False
    next_host: str = ""
    challenge_resource: str = ""
    raw_challenge: str = ""
    limit: tuple[int, float] | None = None
    shelves: dict[Kind, Shelf] = field(default_factory=lambda: {kind: Shelf(kind) for kind in KINDS})
    served: deque[float] = field(default_factory=deque)

    @classmethod
    def create(cls, name: str, tenant: Tenant, mode: Mode, *, port: int = 443, login: str = "") -> Vault:
        """A new, empty vault.

        Args:
            port: where it is reached on loopback; 443 for one that has a name of its own.
        """
        cloud = tenant.cloud
        host = f"{name}.{cloud.vault_suffix}" if port == 443 else "127.0.0.1"
        login = login or f"https://{cloud.login_hosts[0]}"
        return cls(name, tenant, host, port, Permissions(name, mode), login)

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{self.host}" if self.port == 443 else f"https://{self.host}:{self.port}"


def put_certificate(
    vault: Vault, name: str, text: str, *, password: str = "", tags: dict[str, str] | None = None
) -> Version:
    """Import a certificate with its key: it comes with a key and a secret of the same name."""
    made = imported_certificate(text, password)
    made.certificate.tags = dict(tags or {})
    vault.shelves["certificates"].add(name, made.certificate)
    made.key.id = made.secret.id = made.certificate.id
    made.key.tags = made.secret.tags = made.certificate.tags
    made.key.attributes = made.secret.attributes = made.certificate.attributes
    made.secret.content["kid"] = f"{vault.url}/keys/{name}/{made.key.id}"
    vault.shelves["keys"].add(name, made.key, managed=True)
    vault.shelves["secrets"].add(name, made.secret, managed=True)
    return made.certificate


def _belonging(vault: Vault, kind: Kind, name: str, *, deleted: bool) -> list[Kind]:
    """The kinds of which an object goes with this one."""
    others: list[Kind] = [kind]
    if kind == "certificates":
        others += [one for one in ("secrets", "keys") if vault.shelves[one].holds(name, deleted=deleted)]
    return others


def delete(vault: Vault, kind: Kind, name: str) -> Item:
    """Delete an object; a certificate goes with its key and secret."""
    for one in _belonging(vault, kind, name, deleted=False)[1:]:
        vault.shelves[one].delete(name)
    return vault.shelves[kind].delete(name)


def recover(vault: Vault, kind: Kind, name: str) -> Item:
    """Bring an object back; a certificate comes with its key and secret."""
    for one in _belonging(vault, kind, name, deleted=True)[1:]:
        vault.shelves[one].recover(name)
    return vault.shelves[kind].recover(name)


def purge(vault: Vault, kind: Kind, name: str) -> None:
    """Forget a deleted object; a certificate goes with its key and secret."""
    for one in _belonging(vault, kind, name, deleted=True)[1:]:
        vault.shelves[one].purge(name)
    vault.shelves[kind].purge(name)
