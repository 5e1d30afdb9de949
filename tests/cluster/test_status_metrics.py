"""The metrics that dashboards of the established operator read: their names and labels, and the right numbers."""

from __future__ import annotations

from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE = canary("one")


def samples(tenant: Tenant, operator: OperatorProcess, name: str) -> dict[str, float]:
    """All samples about an object, by metric and those labels that are not its name."""
    found = {}
    own = (f'name="{name}"', f'namespace="{tenant.namespace}"')
    for line in operator.metrics().splitlines():
        head, _, value = line.rpartition(" ")
        if all(label in head for label in own):
            metric, _, labels = head.partition("{")
            rest = [label for label in labels.rstrip("}").split(",") if label not in own]
            found[" ".join([metric, *sorted(rest)])] = float(value)
    return found


def test_metrics_of_an_external_secret_follow_it_from_failure_to_its_end(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}))
    tenant.wait_told("store", "Valid", kind="SecretStore")
    tenant.create(external_secret("app", entry("v", "gone")))
    tenant.wait_failed("app")
    failed = samples(tenant, operator, "app")
    tenant.edit_spec("app", data=[entry("v", "db")])
    tenant.wait_synced("app")
    synced = samples(tenant, operator, "app")
    tenant.delete("ExternalSecret", "app")
    eventually(lambda: samples(tenant, operator, "app") == {}, timeout_s=SYNC_S)

    condition = 'externalsecret_status_condition condition="Ready"'
    assert sorted(failed) == [
        "externalsecret_reconcile_duration",
        f'{condition} status="False"',
        f'{condition} status="True"',
        "externalsecret_sync_calls_error",
        "externalsecret_sync_calls_total",
    ]
    assert sorted(synced) == sorted(failed)
    assert failed[f'{condition} status="False"'] == synced[f'{condition} status="True"'] == 1
    assert failed[f'{condition} status="True"'] == synced[f'{condition} status="False"'] == 0
    assert failed["externalsecret_sync_calls_error"] == failed["externalsecret_sync_calls_total"] == 1
    assert synced["externalsecret_sync_calls_error"] == synced["externalsecret_sync_calls_total"] - 1
    # In nanoseconds.
    assert 1e5 < synced["externalsecret_reconcile_duration"] < 60e9


def test_metrics_of_stores_have_the_kind_in_their_names(
    tenant: Tenant, operator: OperatorProcess, shared_store: str
) -> None:
    tenant.create(
        store({"db": ONE}, name=shared_store),
        store({"db": ONE}, name=shared_store, cluster=True, validation_result=2),
    )
    tenant.wait_told(shared_store, "Valid", kind="SecretStore")
    tenant.wait_told(shared_store, "InvalidProviderConfig", kind="ClusterSecretStore")

    def value(metric: str, namespace: str, **labels: str) -> float:
        pairs = {"name": shared_store, "namespace": namespace, **labels}
        return operator.metric(metric + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(pairs.items())) + "}")

    ready = {"condition": "Ready"}
    assert value("secretstore_status_condition", tenant.namespace, **ready, status="True") == 1
    assert value("clustersecretstore_status_condition", "", **ready, status="False") == 1
    assert value("clustersecretstore_status_condition", "", **ready, status="True") == 0
    text = operator.metrics()
    for metric in ("secretstore_reconcile_duration", "clustersecretstore_reconcile_duration"):
        assert f'{metric}{{name="{shared_store}"' in text


def test_metrics_of_the_process_are_there(operator: OperatorProcess) -> None:
    text = operator.metrics()

    for metric in ("process_cpu_seconds_total", "process_resident_memory_bytes", "keyferry_kube_requests"):
        assert f"\n{metric} " in text
    assert "# TYPE externalsecret_provider_api_calls_count" in text
