"""One who may do everything in a Vault: for tests, which set up engines, secrets, policies and tokens with it.

Logins are in `logins.py`, engines that make credentials in `engines.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyferry.testing.eventually import eventually
from keyferry.testing.vault.api import Api, VaultRefused
from keyferry.testing.vault.engines import Engines
from keyferry.testing.vault.logins import Logins


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and the name by which it can be looked up and revoked without it."""

    value: str = field(repr=False)
    accessor: str


class Administrator(Engines, Logins):
    """See the module's docstring.

    Args:
        api: with the root token.
        unseal_key: opens the Vault.
    """

    def __init__(self, api: Api, *, unseal_key: str = "") -> None:
        super().__init__(api)
        self._unseal_key = unseal_key

    @property
    def root_token(self) -> str:
        """What it authenticates with."""
        return self.api.token

    # -- key/value secrets

    def mount_kv(self, mount: str, version: int = 2) -> None:
        """Mount an engine for key/value secrets there, where it is not mounted yet, and wait until it serves."""
        self.mount(mount, "kv", {"version": str(version)})
        # A new engine of version 2 sets itself up first, and refuses meanwhile.
        eventually(lambda: self._ready(mount, version), every_s=0.02)

    def _ready(self, mount: str, version: int) -> bool:
        if version != 2:
            return True
        status, _ = self.api.send("GET", f"{mount}/config")
        return status == 200

    def put(
        self, mount: str, key: str, data: Mapping[str, Any], *, version: int = 2, cas: int | None = None
    ) -> int:
        """Write a secret; the number of its new version, 0 in an engine of version 1.

        Args:
            mount: of the engine.
            key: below the mount.
            data: its fields.
            version: the engine's.
            cas: the version that it must have now.
        """
        if version == 1:
            self.api.request("POST", f"{mount}/{key}", dict(data))
            return 0
        options = {} if cas is None else {"options": {"cas": cas}}
        answer = self.api.request("POST", f"{mount}/data/{key}", {"data": dict(data), **options})
        return int(answer["data"]["version"])

    def read(self, mount: str, key: str, *, version: int = 2) -> dict[str, Any]:
        """The fields of a secret."""
        if version == 1:
            return dict(self.api.request("GET", f"{mount}/{key}")["data"])
        return dict(self.api.request("GET", f"{mount}/data/{key}")["data"]["data"])

    def annotate(
        self, mount: str, key: str, custom: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        """Set a secret's custom_metadata, and `max_versions`, `cas_required`, `delete_version_after`."""
        metadata = {} if custom is None else {"custom_metadata": dict(custom)}
        self.api.request("POST", f"{mount}/metadata/{key}", {**metadata, **settings})

    def delete(self, mount: str, key: str, *versions: int, engine: int = 2) -> None:
        """Delete the newest version of a secret, or these; they can come back. In version 1 the secret."""
        if engine == 1:
            self.api.request("DELETE", f"{mount}/{key}")
        elif versions:
            self.api.request("POST", f"{mount}/delete/{key}", {"versions": list(versions)})
        else:
            self.api.request("DELETE", f"{mount}/data/{key}")

    def undelete(self, mount: str, key: str, *versions: int) -> None:
        """Bring deleted versions back."""
        self.api.request("POST", f"{mount}/undelete/{key}", {"versions": list(versions)})

    def destroy(self, mount: str, key: str, *versions: int) -> None:
        """Destroy versions for good; what is known of them stays."""
        self.api.request("POST", f"{mount}/destroy/{key}", {"versions": list(versions)})

    def forget(self, mount: str, key: str) -> None:
        """Remove a secret with all its versions and metadata."""
        self.api.request("DELETE", f"{mount}/metadata/{key}")

    # -- policies and tokens

    def policy(self, name: str, rules: Mapping[str, Sequence[str]] | str) -> str:
        """Write a policy: capabilities by path, or HCL; its name."""
        if not isinstance(rules, str):
            rules = policy_text(rules)
        self.api.request("PUT", f"sys/policies/acl/{name}", {"policy": rules})
        return name

    def token(self, *policies: str, **settings: Any) -> Token:
        """A token of its own (no parent) with these policies; `settings` as of auth/token/create: `ttl`,
        `period`, `explicit_max_ttl`, `num_uses`, `renewable`.
        """  # noqa: D205 - one sentence
        wanted = {"policies": list(policies), "no_parent": True, "no_default_policy": not policies}
        auth = self.api.request("POST", "auth/token/create", wanted | settings)["auth"]
        return Token(auth["client_token"], auth["accessor"])

    def look_up(self, accessor: str) -> dict[str, Any] | None:
        """What Vault knows of a token (`ttl`, `policies`, `path`, …), None where it is no more."""
        try:
            return dict(
                self.api.request("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
            )
        except VaultRefused as refused:
            if refused.status == 400:
                return None
            raise

    def revoke(self, accessor: str) -> None:
        """End a token, and what was leased by it."""
        self.api.request("POST", "auth/token/revoke-accessor", {"accessor": accessor})

    def accessors(self) -> list[str]:
        """Of all tokens that live."""
        return [str(one) for one in self.api.request("LIST", "auth/token/accessors")["data"]["keys"]]

    # -- the server

    def seal(self) -> None:
        """Close the Vault: it answers 503 until it is unsealed."""
        self.api.request("PUT", "sys/seal")

    def unseal(self) -> None:
        """Open it, and wait until it serves."""
        self.api.request("PUT", "sys/unseal", {"key": self._unseal_key})
        eventually(lambda: self.api.send("GET", "sys/health")[0] == 200, timeout_s=30.0, every_s=0.05)

    def write_audit_log(self, path: Path, name: str = "file") -> None:
        """Have what is asked written to a file: values as HMACs, accessors plain."""
        options = {"file_path": str(path), "hmac_accessor": "false"}
        self.api.request("PUT", f"sys/audit/{name}", {"type": "file", "options": options})


def policy_text(rules: Mapping[str, Sequence[str]]) -> str:
    """A policy in HCL, from capabilities by path."""
    blocks = []
    for path, capabilities in rules.items():
        listed = ", ".join(f'"{capability}"' for capability in capabilities)
        blocks.append(f'path "{path}" {{\n  capabilities = [{listed}]\n}}\n')
    return "".join(blocks)
