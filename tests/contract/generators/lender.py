"""A VaultDynamicSecret generator as one process has it, and the real Vault behind it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keyferry.api.generators.vault import VaultDynamicSecretSpec
from keyferry.api.model import convert
from keyferry.core.addresses import AddressPolicy
from keyferry.ports import Generated, GeneratorView, ObjectKey
from keyferry.providers.vault.dynamic import VaultDynamicSecretGenerator
from keyferry.providers.vault.provider import VaultProvider
from keyferry.testing.clock import MovableClock
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.postgres import PostgresServer
from keyferry.testing.vault import VaultProxy, VaultServer

KIND = "VaultDynamicSecret"
PAGE = Path(__file__).resolve().parents[3] / "docs/leases.md"


def granted(mark: str) -> dict[str, list[str]]:
    """What a policy of the page grants, by path."""
    text = re.search(rf"<!-- policy: {mark} -->\n```hcl\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert text is not None
    rules = re.findall(r'path "([^"]+)" {\s*capabilities = (\[[^\]]*\])\s*}', text[1])
    return {path: json.loads(capabilities) for path, capabilities in rules}


KEEPING = granted("leases")
"""What keeping leases needs besides the right to what is read, and Vault's policy `default`."""
WITHOUT_DEFAULT = KEEPING | granted("no-default")


@dataclass
class Lender:
    """A generator, as one process has it, and the Vault behind it."""

    vault: VaultServer
    proxy: VaultProxy
    cluster: Cluster
    mount: str
    clock: MovableClock
    open: Callable[[], VaultDynamicSecretGenerator]
    end: Callable[[VaultDynamicSecretGenerator], Any]
    generator: VaultDynamicSecretGenerator
    rules: dict[str, list[str]] = field(default_factory=dict)

    @property
    def administrator(self) -> Any:
        return self.vault.administrator

    @property
    def auth(self) -> dict[str, Any]:
        return {
            "appRole": {
                "roleRef": {"name": "approle", "key": "role"},
                "secretRef": {"name": "approle", "key": "secret"},
            }
        }

    def allow(self, **rules: list[str]) -> None:
        self.rules |= {path.replace("__", "/"): may for path, may in rules.items()}
        self.administrator.policy(self.mount, self.rules)

    def log_in_as(self, **settings: Any) -> None:
        """The identity's tokens live as these settings say, from now on."""
        role = self.administrator.app_role(self.mount, [self.mount], **settings)
        self.cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)

    def view(self, path: str, *, cluster_wide: bool = False, **spec: Any) -> GeneratorView:
        provider = {
            "server": self.proxy.url,
            "caBundle": base64.b64encode(self.proxy.ca_pem.encode()).decode(),
            "auth": self.auth,
        } | spec.pop("provider", {})
        typed = convert({"path": path, "provider": provider} | spec, VaultDynamicSecretSpec)
        key = ObjectKey("ClusterGenerator", "", "main") if cluster_wide else ObjectKey(KIND, "team-a", "main")
        return GeneratorView(key, KIND, "team-a", typed)

    async def make(self, path: str = "", **spec: Any) -> Generated:
        view = self.view(path or self.creds, **spec)
        self.generator.check(view)
        return await self.generator.generate(view, self.cluster)

    async def renew(self, made: Generated, path: str = "", **spec: Any) -> Any:
        return await self.generator.renew(self.view(path or self.creds, **spec), made.state, self.cluster)

    async def clean(self, made: Generated, path: str = "", **spec: Any) -> None:
        await self.generator.cleanup(self.view(path or self.creds, **spec), made.state, self.cluster)

    async def restart(self) -> None:
        """The process ends as it should, and another one begins."""
        await self.end(self.generator)
        self.generator = self.open()

    @property
    def creds(self) -> str:
        return f"{self.mount}/creds/app"

    def database(self, postgres: PostgresServer, **role: str) -> None:
        self.administrator.database(self.mount, postgres)
        self.administrator.database_role(self.mount, "app", **role)
        self.allow(**{f"{self.mount}__creds__app": ["read"]})

    def leases(self) -> list[str]:
        found: list[str] = self.administrator.leases(self.creds)
        return found


def values(made: Generated) -> dict[str, str]:
    return {key: value.reveal().decode() for key, value in made.data.items()}


def state(made: Generated) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.state)
    return found


@pytest.fixture
async def lender(vault: VaultServer, vault_proxy: VaultProxy, unique: str) -> AsyncIterator[Lender]:
    providers: dict[int, VaultProvider] = {}
    clock = MovableClock()

    def begin() -> VaultDynamicSecretGenerator:
        provider = VaultProvider(AddressPolicy(("127.0.0.1",)), clock=clock)
        (generator,) = provider.generators()
        assert isinstance(generator, VaultDynamicSecretGenerator)
        providers[id(generator)] = provider
        return generator

    async def end(generator: VaultDynamicSecretGenerator) -> None:
        await generator.close()
        await providers.pop(id(generator)).close()

    made = Lender(vault, vault_proxy, Cluster(), unique, clock, begin, end, begin(), dict(KEEPING))
    made.allow()
    made.log_in_as(token_ttl="1h")
    vault.audit.reset()
    yield made
    for provider in providers.values():
        await provider.close()
    vault.administrator.revoke_leases(unique)


async def issuer(lender: Lender, **settings: Any) -> str:
    """The path of a role that issues tokens, which the identity may use, as the page has it."""
    wanted = {"allowed_policies": [lender.mount], "token_explicit_max_ttl": 0} | settings
    lender.administrator.api.request("POST", f"auth/token/roles/{lender.mount}", wanted)
    del lender.rules["sys/leases/revoke"]
    lender.rules |= granted("tokens")
    lender.allow(**{f"auth__token__create__{lender.mount}": ["update"]})
    return f"auth/token/create/{lender.mount}"
