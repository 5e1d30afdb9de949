"""An operator that starts on a world that is right writes nothing to it and asks no store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha3_224
from pathlib import Path

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import Object, entry, external_secret, owner_reference, secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE, TWO = canary("one"), canary("two")
FINALIZER = "externalsecrets.external-secrets.io/externalsecret-cleanup"
StartOperator = Callable[..., OperatorProcess]


def writes(proxy: ApiProxy) -> list[str]:
    verbs = ("create", "update", "patch", "delete")
    asked = [record.request for record in proxy.requests()]
    return [f"{one.verb} {one.resource} {one.name}" for one in asked if one.verb in verbs]


def hashed(text: str) -> str:
    return sha3_224(text.encode()).hexdigest()


POLICIES = {
    "owner": {},
    "orphan": {"creationPolicy": "Orphan"},
    "merge": {"creationPolicy": "Merge", "name": "foreign"},
    "waiting": {"creationPolicy": "Merge", "name": "not-there"},
    "both": {"creationPolicy": "CreateOrMerge"},
    "none": {"creationPolicy": "None"},
    "deleted": {"deletionPolicy": "Delete"},
}


def test_restart_writes_nothing_and_reads_no_store(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    tenant.create(store({"db": ONE}, controller="private"), secret("foreign", {"theirs": TWO}))
    for name, target in POLICIES.items():
        tenant.create(external_secret(name, entry("v", "gone" if name == "deleted" else "db"), target=target))
    paused = {"annotations": {"keyferry.io/paused": "true"}}
    tenant.create(
        external_secret("once", entry("v", "db"), refreshPolicy="CreatedOnce"),
        external_secret("zero", entry("v", "db"), refreshInterval="0"),
        external_secret("paused", entry("v", "db"), metadata=paused),
    )
    names = [*POLICIES, "once", "zero", "paused"]
    first = private_operator(kubeconfig=proxied_kubeconfig)
    for name in names:
        eventually(lambda name=name: tenant.told(name), timeout_s=SYNC_S)
    first.stop()
    api_proxy.reset_requests()
    second = private_operator(kubeconfig=proxied_kubeconfig)
    for name in names:
        tenant.wait_looks(second, name)
    second.stop()

    assert writes(api_proxy) == []
    assert "sync: " not in second.log


def test_secret_of_the_established_operator_is_taken_over_without_a_write(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    """Its Secret, status and finalizer as it leaves them."""
    tenant.create(store({"db": TWO}, controller="private"))
    own: Object = {"labels": {"team": "a"}, "annotations": {"note": "x"}}
    found = tenant.create(
        external_secret("app", entry("v", "db"), metadata={**own, "finalizers": [FINALIZER]})
    )
    write_as_the_established_operator(tenant, found, own)
    before, status = tenant.version("Secret", "app"), tenant.get("ExternalSecret", "app")["status"]
    operator = private_operator(kubeconfig=proxied_kubeconfig)
    tenant.wait_looks(operator, "app")
    eventually(lambda: "finalizers" not in tenant.get("ExternalSecret", "app")["metadata"])
    operator.stop()

    assert tenant.version("Secret", "app") == before
    assert tenant.get("ExternalSecret", "app")["status"] == status
    assert [one.split()[0] for one in writes(api_proxy) if "app" in one] == ["patch"]
    assert "sync: " not in operator.log


def test_templated_secret_of_the_established_operator_is_left_as_it_is(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    """Its labels are the template's, and not copies of the ExternalSecret's; its refresh is an hour away."""
    tenant.create(store({"db": TWO}, controller="private"))
    own: Object = {"labels": {"team": "a"}, "annotations": {"note": "x"}}
    target = {"template": {"metadata": {"labels": {"from": "template"}}, "data": {"v": "{{ .v }}"}}}
    found = tenant.create(external_secret("app", entry("v", "db"), metadata=own, target=target))
    write_as_the_established_operator(tenant, found, own, copied={"labels": {"from": "template"}})
    before = tenant.version("Secret", "app")
    operator = private_operator()
    tenant.wait_looks(operator, "app")
    operator.stop()

    assert tenant.version("Secret", "app") == before
    assert "sync: " not in operator.log


def write_as_the_established_operator(
    tenant: Tenant, found: Object, own: Object, copied: Object | None = None
) -> None:
    """The target, written by its manager, and the status.

    Args:
        own: labels and annotations of the ExternalSecret, for the hash in its status.
        copied: those of the Secret; the same if left out.
    """
    copied = own if copied is None else copied
    numbers = " ".join(str(byte) for byte in ONE.encode())
    labels = {
        "reconcile.external-secrets.io/managed": "true",
        "reconcile.external-secrets.io/created-by": hashed(f"{tenant.namespace}/app"),
    }
    annotations = {"reconcile.external-secrets.io/data-hash": hashed(f"map[v:[{numbers}]]")}
    target = secret(
        "app",
        {"v": ONE},
        owners=[owner_reference(found)],
        labels=copied.get("labels", {}) | labels,
        annotations=copied.get("annotations", {}) | annotations,
    )
    tenant.kube.post(tenant.path("Secret"), target, fieldManager="externalsecrets.external-secrets.io/app")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta = hashed("{annotations:map[note:x] labels:map[team:a]}")
    synced = {
        "type": "Ready",
        "status": "True",
        "reason": "SecretSynced",
        "message": "secret synced",
        "lastTransitionTime": now,
    }
    status = {
        "refreshTime": now,
        "syncedResourceVersion": f"1-{meta}",
        "conditions": [synced],
        "binding": {"name": "app"},
    }
    tenant.set_status("ExternalSecret", "app", status)


def test_target_that_appears_while_the_operator_is_away_is_noticed_at_its_return(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    tenant.create(store({"db": ONE}, controller="private"))
    tenant.create(external_secret("app", entry("v", "db"), target={"creationPolicy": "Merge"}))
    first = private_operator()
    tenant.wait_told("app", "SecretMissing")
    first.stop()
    tenant.create(secret("app", {"theirs": TWO}))
    private_operator()

    tenant.wait_values("app", {"theirs": TWO, "v": ONE})
    tenant.wait_synced("app")


def test_drift_while_the_operator_is_away_is_repaired_at_its_return(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    tenant.create(store({"db": ONE}, controller="private"))
    for name in ("edited", "deleted", "relabelled"):
        tenant.create(external_secret(name, entry("v", "db")))
    first = private_operator()
    for name in ("edited", "deleted", "relabelled"):
        tenant.wait_synced(name)
    first.stop()
    tenant.set_data("edited", {"v": TWO})
    tenant.delete("Secret", "deleted")
    tenant.label("Secret", "relabelled", {"reconcile.external-secrets.io/managed": None})
    second = private_operator()

    tenant.wait_values("edited", {"v": ONE})
    tenant.wait_values("deleted", {"v": ONE})
    eventually(
        lambda: (
            "reconcile.external-secrets.io/managed"
            in tenant.get("Secret", "relabelled")["metadata"]["labels"]
        )
    )
    assert tenant.sync_calls(second, "relabelled") == 0


def test_store_deleted_while_the_operator_is_away_is_told_at_the_next_refresh(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    tenant.create(store({"db": ONE}, controller="private"))
    tenant.create(external_secret("app", entry("v", "db"), refreshInterval="300ms"))
    first = private_operator()
    tenant.wait_synced("app")
    first.stop()
    tenant.delete("SecretStore", "store")
    private_operator()

    tenant.wait_failed("app", f'SecretStore "{tenant.namespace}/store" does not exist')
    assert tenant.values("app") == {"v": ONE}
