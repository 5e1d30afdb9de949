"""VaultDynamicSecret on a real control plane, with a real Vault and a real PostgreSQL: leases are kept, and end."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from keyferry.api import names
from keyferry.testing.builders import Object, external_secret, generated, generator
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.postgres import PostgresServer, Refused
from keyferry.testing.tenant import Tenant, soon
from keyferry.testing.vault import VaultProxy, VaultServer
from keyferry.testing.vaulttenant import CONTROLLER, VaultTenant

pytestmark = [pytest.mark.long, pytest.mark.restless]  # leases of seconds are renewed all the time

KIND = "VaultDynamicSecret"
LOCAL, SHORT = "--allow-address=127.0.0.1", "--generator-gc-grace-period=1s"
Start = Callable[..., OperatorProcess]


@pytest.fixture(scope="module")
def lending_operator(
    operator_kubeconfig: Path, leaks: LeakDetector, running: list[OperatorProcess]
) -> Iterator[OperatorProcess]:
    """The operator of class `vault`, which may connect to this machine."""
    flags = [f"--controller-class={CONTROLLER}", LOCAL, SHORT, "--loglevel=debug"]
    process = OperatorProcess(operator_kubeconfig, {}, flags)
    with process.start():
        running.append(process)
        yield process
        running.remove(process)
    leaks.look("log of the operator of class vault", process.log)
    assert "a bug in Keyferry" not in process.log


class Database:
    """A namespace whose ServiceAccount may have users made in a database."""

    def __init__(self, tenant: Tenant, vault: VaultServer, postgres: PostgresServer) -> None:
        self.app = VaultTenant(tenant, vault)
        self.tenant = tenant
        self.vault = vault
        self.administrator = vault.administrator
        self.postgres = postgres
        self.path = f"{tenant.namespace}/creds/app"

    def open(self, *, ttl: str, max_ttl: str = "1h", **role: Any) -> None:
        """Have users live so long, and the ServiceAccount ask for them; `role` as of its logins."""
        self.administrator.database(self.tenant.namespace, self.postgres)
        self.administrator.database_role(self.tenant.namespace, "app", ttl=ttl, max_ttl=max_ttl)
        self.app.role(**({"token_ttl": "1h"} | role))
        self.app.allow(
            {
                f"{self.tenant.namespace}/*": ["read", "update"],
                "sys/leases/revoke": ["update"],
                "auth/token/renew-accessor": ["update"],
            }
        )
        self.tenant.create(self.app.account())
        self.vault.audit.reset()

    def spec(self, path: str = "", *, controller: str = CONTROLLER, **spec: Any) -> Object:
        """The spec of a generator."""
        provider = self.app.block(path=None) | spec.pop("provider", {})
        return {"provider": provider, "path": path or self.path, "controller": controller} | spec

    def ask(self, name: str = "app", *, refresh: str = "0", **spec: Any) -> Object:
        """A generator and an ExternalSecret that names it; the latter as it is once it is synced."""
        self.tenant.create(generator(KIND, name, **self.spec(**spec)))
        self.tenant.create(external_secret(name, generated(KIND, name), store="", refreshInterval=refresh))
        return self.tenant.wait_synced(name)

    def login(self, name: str = "app") -> tuple[str, str]:
        """User and password in the Secret."""
        held = self.tenant.values(name)
        return held["username"], held["password"]

    def may_log_in(self, login: tuple[str, str]) -> bool:
        try:
            return self.postgres.may_log_in(*login)
        except Refused as refused:
            if "does not exist" not in str(refused):  # dropped at just that moment
                raise
            return False

    def leases(self) -> list[str]:
        return self.administrator.leases(self.path)

    def ends(self) -> dict[str, str]:
        """When each lease ends, as Vault has it."""
        found = {one: self.administrator.lease(one) for one in self.leases()}
        return {one: lease["expire_time"] for one, lease in found.items() if lease is not None}

    def wait_renewed(self) -> None:
        """Wait until every lease that there is now ends later than it did."""
        before = self.ends()
        assert before

        def are_later() -> bool:
            now = self.ends()
            return before.keys() <= now.keys() and all(now[one] > ends for one, ends in before.items())

        eventually(are_later, every_s=0.2)

    def wait_revoked(self, login: tuple[str, str]) -> None:
        """Wait until nothing is lent, and the user is gone."""
        soon(lambda: [] == self.leases())
        soon(lambda: not self.may_log_in(login))

    def states(self) -> list[Object]:
        version = names.GENERATORS_API_VERSION
        return list(
            self.tenant.kube.list(path_of(version, "generatorstates", namespace=self.tenant.namespace))
        )

    def logins(self) -> int:
        """How often somebody logged in as the namespace's ServiceAccount."""
        return len(self.app.logins())


@pytest.fixture
def database(tenant: Tenant, vault: VaultServer, postgres: PostgresServer) -> Database:
    return Database(tenant, vault, postgres)


# While it is in use


def test_lease_is_renewed_without_a_write_and_revoked_with_its_object(
    database: Database, lending_operator: OperatorProcess
) -> None:
    tenant = database.tenant
    database.open(ttl="8s")
    before = database.ask()
    login = database.login()
    secret = tenant.version("Secret", "app")
    assert database.may_log_in(login)
    database.wait_renewed()

    assert (secret, before["metadata"]["resourceVersion"]) == (
        tenant.version("Secret", "app"),
        tenant.version("ExternalSecret", "app"),
    )
    assert (1, 1) == (len(database.leases()), database.logins())
    assert ["Created"] == [reason for _, reason, _ in tenant.events("ExternalSecret", "app")]
    tenant.delete("ExternalSecret", "app")
    database.wait_revoked(login)
    soon(lambda: [] == database.states())


def test_credentials_outlive_the_operator(database: Database, private_operator: Start) -> None:
    """However it ends: nothing is renewed before its time, nothing new is lent, and one login is enough for all."""
    tenant = database.tenant
    database.open(ttl="24s", token_ttl="24s")
    operator = private_operator(LOCAL, SHORT)
    wanted = [f"app-{number}" for number in range(10)]
    tenant.create(generator(KIND, "gen", **database.spec(controller="private")))
    for name in wanted:
        tenant.create(external_secret(name, generated(KIND, "gen"), store="", refreshInterval="0"))
    for name in wanted:
        tenant.wait_synced(name)
    before = {name: (tenant.version("Secret", name), database.login(name)) for name in wanted}
    leases = sorted(database.leases())
    assert (10, 1) == (len(leases), database.logins())
    operator.kill()
    operator = private_operator(LOCAL, SHORT)
    operator.stop()
    private_operator(LOCAL, SHORT)
    assert [] == database.vault.audit.calls("sys/leases/renew")
    database.wait_renewed()

    assert leases == sorted(database.leases())
    assert before == {name: (tenant.version("Secret", name), database.login(name)) for name in wanted}
    assert 2 == database.logins()
    assert 1 == len(database.vault.audit.calls("auth/token/renew-accessor"))
    assert database.may_log_in(before["app-0"][1])


# Where it ends


def test_lease_that_is_revoked_behind_our_back_means_one_new_version_that_logs_in(
    database: Database, lending_operator: OperatorProcess
) -> None:
    tenant = database.tenant
    database.open(ttl="6s")
    database.ask()
    first = database.login()
    (lease,) = database.leases()
    database.administrator.revoke_lease(lease)
    assert not database.may_log_in(first)
    soon(lambda: database.login() != first)
    told = tenant.wait_event("ExternalSecret", "app", "Generated")
    tenant.wait_synced("app")

    assert database.may_log_in(database.login())
    assert ["Created", "Generated", "Updated"] == sorted(
        reason for _, reason, _ in tenant.events("ExternalSecret", "app")
    )
    assert "does not renew it any more: it was revoked, or has ended" in told["message"]


def test_state_that_somebody_deletes_means_credentials_that_log_in(
    database: Database, lending_operator: OperatorProcess
) -> None:
    """With it goes its lease: nobody would look again, where refreshInterval is 0."""
    tenant = database.tenant
    database.open(ttl="1h")
    database.ask()
    first, (state,) = database.login(), database.states()
    version, name = names.GENERATORS_API_VERSION, state["metadata"]["name"]
    tenant.kube.delete(path_of(version, "generatorstates", namespace=tenant.namespace, name=name))
    soon(lambda: database.login() != first)
    told = tenant.wait_event("ExternalSecret", "app", "Generated")
    soon(lambda: 1 == len(database.leases()))

    assert database.may_log_in(database.login())
    assert "their GeneratorState was deleted" in told["message"]


def test_credentials_of_a_cluster_generator_are_replaced_before_their_longest_life_ends(
    database: Database, lending_operator: OperatorProcess
) -> None:
    """By the account of the ExternalSecret's own namespace."""
    tenant, shared = database.tenant, f"lend-{random.token_hex(4)}"
    database.open(ttl="6s", max_ttl="7s")
    block = {"vaultDynamicSecretSpec": database.spec()}
    tenant.create(generator("ClusterGenerator", shared, kind=KIND, generator=block))
    entry = generated("ClusterGenerator", shared)
    tenant.create(external_secret("app", entry, store="", refreshInterval="0"))
    tenant.wait_synced("app")
    first, (lease,) = database.login(), database.leases()
    longest = datetime.fromisoformat(database.administrator.lease(lease)["issue_time"]) + timedelta(seconds=7)
    soon(lambda: database.login() != first)

    second = database.login()
    assert database.may_log_in(second)
    made = [datetime.fromisoformat(one["metadata"]["creationTimestamp"]) for one in database.states()]
    assert max(made) < longest
    told = tenant.wait_event("ExternalSecret", "app", "Generated")
    assert "they end, and cannot be renewed" in told["message"]
    tenant.delete("ExternalSecret", "app")
    database.wait_revoked(second)
    tenant.delete("ClusterGenerator", shared)


def test_entry_that_is_removed_has_its_lease_revoked(
    database: Database, lending_operator: OperatorProcess
) -> None:
    tenant = database.tenant
    database.open(ttl="1h")
    tenant.create(generator("UUID", "uuid"))
    database.ask(refresh="1h")
    login = database.login()
    tenant.edit_spec("app", dataFrom=[generated("UUID", "uuid")])

    soon(lambda: tenant.values("app").keys() == {"uuid"})
    database.wait_revoked(login)


def test_refresh_lends_anew_and_gives_the_former_back(
    database: Database, lending_operator: OperatorProcess
) -> None:
    database.open(ttl="1h")
    database.ask(refresh="2s")
    first = database.login()
    soon(lambda: database.login() != first)
    database.tenant.edit_spec("app", refreshInterval="1h")

    soon(lambda: not database.may_log_in(first))
    soon(lambda: 1 == len(database.leases()))
    assert database.may_log_in(database.login())


def test_deleted_namespace_has_its_leases_revoked_and_ends(
    *, kube: KubeClient, vault: VaultServer, postgres: PostgresServer, lending_operator: OperatorProcess
) -> None:
    """While the ServiceAccount that asked for them still is there."""
    name = f"ending-{random.token_hex(4)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
    database = Database(Tenant(kube, name), vault, postgres)
    database.open(ttl="1h")
    database.ask()
    login = database.login()
    path = path_of("v1", "namespaces", name=name)
    kube.delete(path)
    database.wait_revoked(login)

    eventually(lambda: kube.find(path) is None, timeout_s=120)


# Certificates


def test_certificate_is_issued_anew_before_it_ends(
    database: Database, lending_operator: OperatorProcess
) -> None:
    tenant = database.tenant
    database.open(ttl="1h")
    mount = f"{tenant.namespace}-pki"
    database.administrator.pki(mount)
    database.administrator.pki_role(mount, "web", ttl="6s")
    database.app.allow({f"{mount}/issue/web": ["update"]})
    spec = {"method": "POST", "parameters": {"common_name": "web.example.com"}}
    database.ask(path=f"{mount}/issue/web", **spec)

    def held() -> x509.Certificate:
        return x509.load_pem_x509_certificate(tenant.values("app")["certificate"].encode())

    first = held()
    soon(lambda: held() != first)
    now = datetime.now(UTC)

    assert now < first.not_valid_after_utc
    assert 1 == database.logins()
    tenant.wait_event("ExternalSecret", "app", "Generated", holding="they end, and cannot be renewed")
    tenant.delete("ExternalSecret", "app")
    soon(lambda: [] == database.states())


# Vault is down


def test_vault_that_is_down_at_renewal_is_told_and_the_last_good_secret_stays(
    database: Database, lending_operator: OperatorProcess, vault_proxy: VaultProxy
) -> None:
    tenant = database.tenant
    database.open(ttl="9s")
    database.app.url, database.app.ca_pem = vault_proxy.url, vault_proxy.ca_pem
    database.ask()
    first, secret = database.login(), tenant.version("Secret", "app")
    vault_proxy.sealed()
    told = tenant.wait_told(
        "app", "SecretSynced", holding="could not be renewed so far, and its end is near: "
    )
    event = tenant.wait_event("ExternalSecret", "app", "LeaseNotRenewed", holding="is sealed. Unseal it")
    assert "True" == told["status"]["conditions"][0]["status"]
    assert "Warning" == event["type"]
    tenant.wait_failed("app", holding="is sealed. Unseal it")
    assert (first, secret) == (database.login(), tenant.version("Secret", "app"))
    vault_proxy.clear()

    soon(lambda: database.login() != first)
    assert database.may_log_in(database.login())
    assert "secret synced" == tenant.wait_synced("app")["status"]["conditions"][0]["message"]
