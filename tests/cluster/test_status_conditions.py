"""The Ready condition and the events of an ExternalSecret: exact, complete, and silent where nothing is new."""

from __future__ import annotations

import time

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import entry, external_secret, secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE, TWO = canary("one"), canary("two")


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_status_of_a_synced_object_is_complete_and_nothing_more(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    began = now()
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    status = tenant.wait_synced("app")["status"]
    ended = now()

    assert sorted(status) == ["binding", "conditions", "refreshTime", "syncedResourceVersion"]
    (condition,) = status["conditions"]
    assert began <= condition.pop("lastTransitionTime") <= ended
    assert began <= status["refreshTime"] <= ended
    assert condition == {
        "type": "Ready",
        "status": "True",
        "reason": "SecretSynced",
        "message": "secret synced",
        "observedGeneration": 1,
    }


def test_transition_time_moves_only_with_the_status(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "first")))
    tenant.wait_failed("app", "'first'")
    first = tenant.ready("app")
    eventually(lambda: now() > first["lastTransitionTime"])
    tenant.edit_spec("app", data=[entry("v", "second")])
    tenant.wait_failed("app", "'second'")
    second = tenant.ready("app")
    tenant.edit_spec("app", data=[entry("v", "db")])
    tenant.wait_synced("app")
    third = tenant.ready("app")
    eventually(lambda: now() > third["lastTransitionTime"])
    tenant.annotate("ExternalSecret", "app", {"force-sync": "1"})
    synced = tenant.get("ExternalSecret", "app")["status"]["syncedResourceVersion"]
    eventually(lambda: tenant.get("ExternalSecret", "app")["status"]["syncedResourceVersion"] != synced)
    fourth = tenant.ready("app")

    assert second["lastTransitionTime"] == first["lastTransitionTime"]
    assert third["lastTransitionTime"] > second["lastTransitionTime"]
    assert fourth == third
    assert [one["observedGeneration"] for one in (first, second, third)] == [1, 2, 3]


def test_failure_is_one_status_write_and_one_event_however_often_it_is_tried(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "gone")))
    message = tenant.wait_failed("app")["status"]["conditions"][0]["message"]
    version = tenant.version("ExternalSecret", "app")
    tenant.wait_event("ExternalSecret", "app", "UpdateFailed")

    def tried_again() -> bool:
        return tenant.metric(operator, "externalsecret_sync_calls_error", "app") >= 3

    eventually(tried_again, timeout_s=SYNC_S)
    assert tenant.version("ExternalSecret", "app") == version
    (event,) = tenant.raw_events("ExternalSecret", "app")
    assert (event["type"], event["reason"], event["message"], event["count"]) == (
        "Warning",
        "UpdateFailed",
        message.removeprefix("could not get secret data from provider: "),
        1,
    )
    assert event["source"] == {"component": "external-secrets"}
    assert event["involvedObject"]["uid"] == tenant.get("ExternalSecret", "app")["metadata"]["uid"]


def test_condition_of_a_failure_that_ends_has_no_trace_of_it(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"other": ONE}), external_secret("app", entry("v", "db"), refreshInterval="300ms"))
    tenant.wait_failed("app")
    tenant.set_store(store({"db": ONE}))
    found = tenant.wait_synced("app")

    assert tenant.told("app") == ("True", "SecretSynced", "secret synced")
    assert len(found["status"]["conditions"]) == 1


def test_other_conditions_are_left_as_they_are(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    found = tenant.wait_synced("app")
    deleted = {"type": "Deleted", "status": "False", "lastTransitionTime": now()}
    tenant.set_status("ExternalSecret", "app", {"conditions": [deleted, *found["status"]["conditions"]]})
    tenant.edit_spec("app", data=[entry("v", "gone")])
    tenant.wait_failed("app")

    assert deleted in tenant.get("ExternalSecret", "app")["status"]["conditions"]


def test_kubectl_lists_what_the_established_operators_columns_show(
    tenant: Tenant, operator: OperatorProcess, cluster: LocalCluster, shared_store: str
) -> None:
    tenant.create(
        store({"db": ONE}),
        store({"db": ONE}, name=shared_store, cluster=True, validation_result=1),
        external_secret("app", entry("v", "db"), store={"name": "store", "kind": "SecretStore"}),
        external_secret("broken", entry("v", "gone"), refreshInterval="15m"),
    )
    tenant.wait_synced("app")
    tenant.wait_failed("broken")
    tenant.wait_told("store", "Valid", kind="SecretStore")
    tenant.wait_told(shared_store, "ValidationUnknown", kind="ClusterSecretStore")

    def columns(*what: str) -> list[list[str]]:
        """Without the last one, which is an age."""
        table = cluster.kubectl("get", *what, "--namespace", tenant.namespace)
        return [line.split()[:-1] for line in table.splitlines()]

    assert columns("es") == [
        ["NAME", "STORETYPE", "STORE", "REFRESH", "INTERVAL", "STATUS", "READY", "LAST"],
        ["app", "SecretStore", "store", "1h0m0s", "SecretSynced", "True"],
        ["broken", "store", "15m", "SecretSyncedError"],  # False, and no time of a sync
    ]
    assert [row[2:] for row in columns("ss")] == [["STATUS", "CAPABILITIES"], ["Valid", "ReadWrite"]]
    (_, row) = columns("css", shared_store)
    assert row[2:] == ["ValidationUnknown", "ReadWrite"]


def test_describe_alone_tells_what_to_do(
    tenant: Tenant, operator: OperatorProcess, cluster: LocalCluster
) -> None:
    tenant.create(
        store({"db": f'{{"user":"{ONE}","password":"{TWO}"}}'}),
        external_secret("app", entry("v", "db", property="pasword")),
    )
    tenant.wait_failed("app")
    tenant.wait_event("ExternalSecret", "app", "UpdateFailed")
    text = cluster.kubectl("describe", "externalsecret", "app", "--namespace", tenant.namespace)
    flowing = " ".join(text.split())

    cause = "the remote secret has no property 'pasword'; it has 'password', 'user'"
    where = f'error processing spec.data[0] (key: db), err: SecretStore "{tenant.namespace}/store"'
    message = f"could not get secret data from provider: {where}: {cause}"
    assert f"Message: {message}" in flowing
    assert "Reason: SecretSyncedError Status: False Type: Ready" in flowing
    events = text.partition("\nEvents:")[2]
    assert "UpdateFailed" in events
    assert "external-secrets" in events
    assert f"{where}: {cause}" in events


def test_ownership_conflict_tells_both_sides_names(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(
        store({"db": ONE}),
        external_secret("first", entry("v", "db"), target={"name": "app"}),
    )
    tenant.wait_synced("first")
    tenant.create(external_secret("second", entry("v", "db"), target={"name": "app"}))
    tenant.wait_failed("second")

    where = f"Secret \"{tenant.namespace}/app\" is owned by ExternalSecret 'first'"
    message = (
        f"target is owned by another ExternalSecret: {where}. Give one of the two another spec.target.name"
    )
    assert tenant.told("second") == ("False", "SecretSyncedError", message)


@pytest.mark.parametrize("policy", ["Owner", "Orphan"])
def test_secret_that_the_api_server_refuses_is_told_in_its_words(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    """A Secret's type asks for keys that the ExternalSecret does not bring."""
    tls = secret("app", {"tls.crt": "-", "tls.key": "-"}) | {"type": "kubernetes.io/tls"}
    tenant.create(tls, store({"db": ONE}))
    tenant.create(external_secret("app", entry("v", "db"), target={"creationPolicy": policy}))

    tenant.wait_failed(
        "app", 'could not update secret: Secret "app" is invalid: [data[tls.crt]: Required value'
    )
    assert tenant.values("app") == {"tls.crt": "-", "tls.key": "-"}
