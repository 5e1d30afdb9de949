"""Vault's engines as tests set them up: mounts, credentials of databases, certificates, and their leases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keyferry.localcluster import pins
from keyferry.testing.postgres import SUPERUSER, PostgresServer
from keyferry.testing.vault.api import Api, VaultRefused

MAKE_USER: Final = (
    "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
)


class Engines:
    """A part of `Administrator`.

    Args:
        api: with a token that may do everything.
    """

    def __init__(self, api: Api) -> None:
        self.api = api

    def mount(self, path: str, kind: str, options: Mapping[str, str] | None = None, **settings: Any) -> None:
        """Mount an engine, where none is mounted there yet; `settings` are its `config`, such as max_lease_ttl."""
        mounted = self.api.request("GET", "sys/mounts")["data"]
        if f"{path.strip('/')}/" in mounted:
            return
        wanted = {"type": kind, "options": dict(options or {}), "config": settings}
        self.api.request("POST", f"sys/mounts/{path}", wanted)

    def unmount(self, path: str) -> None:
        """Unmount an engine, with all that it holds."""
        self.api.request("DELETE", f"sys/mounts/{path}")

    # -- databases

    def database(self, path: str, postgres: PostgresServer, name: str = "postgres") -> None:
        """Mount a database engine that makes users in this PostgreSQL; `name` is the connection's."""
        self.mount(path, "database")
        wanted = {
            "plugin_name": pins.POSTGRESQL_ENGINE,
            "allowed_roles": "*",
            "connection_url": postgres.connection_url,
            "username": SUPERUSER,
            "password": postgres.password,
            "password_authentication": "scram-sha-256",
        }
        self.api.request("POST", f"{path}/config/{name}", wanted)

    def database_role(
        self, path: str, role: str, *, ttl: str = "1h", max_ttl: str = "24h", name: str = "postgres"
    ) -> None:
        """Let `PATH/creds/ROLE` make users that live so long."""
        wanted = {
            "db_name": name,
            "creation_statements": list(MAKE_USER),
            "default_ttl": ttl,
            "max_ttl": max_ttl,
        }
        self.api.request("POST", f"{path}/roles/{role}", wanted)

    # -- certificates

    def pki(self, path: str, common_name: str = "test root") -> str:
        """Mount a PKI engine with a root of its own; the root's certificate, PEM."""
        self.mount(path, "pki", max_lease_ttl="87600h")
        wanted = {"common_name": common_name, "ttl": "87600h", "key_type": "ec", "key_bits": 256}
        answer = self.api.request("POST", f"{path}/root/generate/internal", wanted)
        return str(answer["data"]["certificate"])

    def pki_role(self, path: str, role: str, *, ttl: str = "1h", **settings: Any) -> None:
        """Let `PATH/issue/ROLE` issue certificates for any name that live so long."""
        wanted = {
            "allow_any_name": True,
            "enforce_hostnames": False,
            "key_type": "ec",
            "key_bits": 256,
            "ttl": ttl,
        }
        self.api.request("POST", f"{path}/roles/{role}", wanted | settings)

    # -- leases

    def leases(self, prefix: str) -> list[str]:
        """Ids of the leases below a prefix, such as `database/creds/app`."""
        prefix = prefix.rstrip("/")
        try:
            found = self.api.request("LIST", f"sys/leases/lookup/{prefix}/")["data"]["keys"]
        except VaultRefused as refused:
            if refused.status == 404:
                return []
            raise
        leases: list[str] = []
        for name in found:
            if name.endswith("/"):
                leases += self.leases(f"{prefix}/{name}")
            else:
                leases.append(f"{prefix}/{name}")
        return leases

    def lease(self, lease_id: str) -> dict[str, Any] | None:
        """What Vault knows of a lease (`ttl`, `expire_time`, `renewable`, …), None where it is no more."""
        try:
            return dict(self.api.request("PUT", "sys/leases/lookup", {"lease_id": lease_id})["data"])
        except VaultRefused as refused:
            if refused.status == 400:
                return None
            raise

    def revoke_lease(self, lease_id: str) -> None:
        """End a lease, and wait until its credential is gone."""
        self.api.request("PUT", "sys/leases/revoke", {"lease_id": lease_id, "sync": True})

    def revoke_leases(self, prefix: str) -> None:
        """End all leases below a prefix."""
        self.api.request("PUT", f"sys/leases/revoke-prefix/{prefix}", {"sync": True})
