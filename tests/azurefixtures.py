"""A strict Azure for a session's tests, for conftest files to import.

    from tests.azurefixtures import azure, azure_environment, running_azure  # noqa: F401 - fixtures

    def test_something(azure: StrictAzure, azure_environment: None) -> None:
        administrator = azure.administrator()
        app = administrator.create_app(with_secret=True)
        vault = administrator.create_vault(unique)
        administrator.put_secret(unique, "db", canary("db"))

How to use it is in the docstring of `keyferry.testing.azure`. It is shared by the session's tests: vaults and
registries get names of the test's own, and every `administrator()` has a directory of its own. On the control plane
(tests/cluster) `azure_operator` is the operator of class `azure`, which finds the double under Azure's own names,
and `azure_app` a tenant with a vault: Entra ID verifies its tokens by the real API server's keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.azure import StrictAzure
from keyferry.testing.azuretenant import CONTROLLER, AzureTenant
from keyferry.testing.leaks import LeakDetector
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant


@pytest.fixture(scope="session")
def running_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrictAzure]:
    """The Azure that the session's tests share. Its log stays in pytest's temporary folder."""
    log = tmp_path_factory.mktemp("azure") / "azure.log"
    with StrictAzure(log=log) as running:
        yield running
    assert log.read_text() == ""  # a hole in the double


@pytest.fixture
def azure(running_azure: StrictAzure) -> Iterator[StrictAzure]:
    """The double without faults, with nobody on its machine and an empty call log."""
    control = running_azure.control
    _calm(running_azure)
    control.administer("remove_from_machine")
    control.reset_calls()
    yield running_azure
    _calm(running_azure)


def _calm(azure: StrictAzure) -> None:
    azure.control.clear_faults()
    azure.control.token_lifetime(0)


@pytest.fixture
def azure_environment(azure: StrictAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process finds the double by the clouds' own host names; nothing of the developer's Azure reaches a test."""
    for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_", "IMDS_"))]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in azure.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def azure_operator(
    operator_kubeconfig: Path,
    running_azure: StrictAzure,
    leaks: LeakDetector,
    running: list[OperatorProcess],
) -> Iterator[OperatorProcess]:
    """The operator of class `azure`. Its environment leads it to the double by Azure's own host names."""
    flags = [f"--controller-class={CONTROLLER}", "--loglevel=debug"]
    process = OperatorProcess(operator_kubeconfig, running_azure.environment, flags)
    with process.start():
        running.append(process)
        yield process
        running.remove(process)
        leaks.look("metrics of the operator of class azure", process.metrics())
    leaks.look("log of the operator of class azure", process.log)
    assert "a bug in Keyferry" not in process.log


@pytest.fixture
def azure_app(tenant: Tenant, azure: StrictAzure, cluster: LocalCluster) -> AzureTenant:
    """One who works in the test's namespace and has a vault. The call log begins with the test."""
    administrator = azure.administrator()
    administrator.trust_cluster(cluster.issuer, cluster.ca_pem)
    return AzureTenant(tenant, azure, administrator, cluster.issuer)
