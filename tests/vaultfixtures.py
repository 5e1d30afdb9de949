"""A real Vault and a real PostgreSQL for a session's tests, for conftest files to import.

All tests below tests/contract and tests/cluster have them:

    def test_something(vault: VaultServer) -> None:
        vault.administrator.mount_kv("team")
        vault.administrator.put("team", "app/db", {"password": canary("db")})
        token = vault.administrator.token(vault.administrator.policy("app", {"team/data/app/*": ["read"]}))

How to use them is in the docstring of `keyferry.testing.vault`. Both are shared by the session's tests: mounts,
policies, roles and users get names of the test's own (the `namespace` where there is one). On the control plane
(tests/cluster) `vault` also trusts the cluster: `auth/kubernetes` asks its API server, `auth/jwt` its keys.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from keyferry.localcluster import StreamProgress, binaries
from keyferry.testing.postgres import PostgresServer
from keyferry.testing.vault import VaultProxy, VaultServer

NEED_VAULT = frozenset({"vault", "vault_proxy"})


def build_if_needed(session: pytest.Session) -> None:
    """Build before any test's clock runs: the first time takes minutes."""
    if session.config.option.collectonly:
        return
    if any(NEED_VAULT.intersection(getattr(item, "fixturenames", ())) for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            binaries.obtain_vault(StreamProgress(sys.stderr))


def started_vault(tmp_path_factory: pytest.TempPathFactory) -> VaultServer:
    """A Vault to be started, whose log stays in pytest's temporary folder."""
    return VaultServer(log=tmp_path_factory.mktemp("vault") / "vault.log")


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    """The Vault that the session's tests share."""
    with started_vault(tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The PostgreSQL that the session's tests share. Its log stays in pytest's temporary folder."""
    with PostgresServer(log=tmp_path_factory.mktemp("postgres") / "postgres.log") as running:
        yield running


@pytest.fixture
def vault_proxy(vault: VaultServer) -> Iterator[VaultProxy]:
    """The shared Vault by an address of the test's own, that can fail and counts calls."""
    with vault.proxy() as proxy:
        yield proxy
