"""What somebody does to a target Secret by hand: repaired at once, and read from the store only where it must be."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from keyferry.reconcile.repairs import AT_ONCE
from keyferry.testing.builders import Object, encoded, entry, external_secret, secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"
DATA_HASH = "reconcile.external-secrets.io/data-hash"

DATA_EDITS: dict[str, Callable[[Tenant], object]] = {
    "value-changed": lambda tenant: tenant.edit("Secret", "app", {"data": encoded({"v": TWO})}),
    "value-emptied": lambda tenant: tenant.edit("Secret", "app", {"data": {"v": ""}}),
    "key-added": lambda tenant: tenant.edit("Secret", "app", {"data": encoded({"more": TWO})}),
    "key-removed": lambda tenant: tenant.edit("Secret", "app", {"data": {"w": None}}),
    "all-data-removed": lambda tenant: tenant.edit("Secret", "app", {"data": None}),
    "deleted": lambda tenant: tenant.delete("Secret", "app"),
    "value-and-label": lambda tenant: tenant.edit(
        "Secret", "app", {"metadata": {"labels": {MANAGED: None}}, "data": encoded({"v": TWO})}
    ),
    "value-and-hash-removed": lambda tenant: tenant.edit(
        "Secret", "app", {"metadata": {"annotations": {DATA_HASH: None}}, "data": encoded({"v": TWO})}
    ),
}


@pytest.mark.parametrize("edit", DATA_EDITS)
@pytest.mark.parametrize("policy", ["Owner", "CreateOrMerge"])
def test_edit_of_the_data_is_repaired_at_once(
    tenant: Tenant, operator: OperatorProcess, policy: str, edit: str
) -> None:
    """The refresh interval is an hour. Where foreign keys are kept, an added one is no damage."""
    target = {"creationPolicy": policy}
    tenant.create(store({"a": ONE}), external_secret("app", entry("v", "a"), entry("w", "a"), target=target))
    tenant.wait_synced("app")
    before = metadata_of(tenant)
    DATA_EDITS[edit](tenant)
    kept = {"more": TWO} if (policy, edit) == ("CreateOrMerge", "key-added") else {}
    tenant.wait_values("app", {"v": ONE, "w": ONE, **kept})

    def is_as_before() -> bool:
        after = metadata_of(tenant)
        same = DATA_HASH if kept else ""
        after["annotations"].pop(same, None)
        return bool(
            after == {**before, "annotations": {k: v for k, v in before["annotations"].items() if k != same}}
        )

    eventually(is_as_before)
    assert tenant.told("app") == ("True", "SecretSynced", "secret synced")


def test_somebody_who_never_stops_is_answered_more_and_more_rarely(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Or both would take turns as fast as they can, with a read of the store each time."""
    tenant.create(store({"a": ONE}), external_secret("app", entry("v", "a")))
    tenant.wait_synced("app")
    before = tenant.sync_calls(operator, "app")
    for _ in range(AT_ONCE):
        DATA_EDITS["value-changed"](tenant)
        tenant.wait_values("app", {"v": ONE})
    DATA_EDITS["value-changed"](tenant)
    told = f"again and again: it is put right more rarely kind=ExternalSecret namespace={tenant.namespace} name=app"
    eventually(lambda: told in operator.log)

    assert tenant.values("app") == {"v": TWO}
    assert tenant.sync_calls(operator, "app") == before + AT_ONCE
    DATA_EDITS["deleted"](tenant)
    tenant.annotate("ExternalSecret", "app", {"external-secrets.io/force-sync": "1"})
    tenant.wait_values("app", {"v": ONE})


def metadata_of(tenant: Tenant) -> Object:
    metadata = tenant.get("Secret", "app")["metadata"]
    return {name: metadata.get(name) for name in ("labels", "annotations", "ownerReferences")}


@pytest.mark.parametrize("policy", ["Owner", "CreateOrMerge", "Merge"])
def test_repair_is_told_as_an_event(tenant: Tenant, operator: OperatorProcess, policy: str) -> None:
    tenant.create(store({"a": ONE}), secret("app", {}))
    tenant.create(external_secret("app", entry("v", "a"), target={"creationPolicy": policy}))
    tenant.wait_event("ExternalSecret", "app", "Updated")
    tenant.edit("Secret", "app", {"data": encoded({"v": TWO})})
    tenant.wait_values("app", {"v": ONE})

    def counted() -> bool:
        (event,) = tenant.raw_events("ExternalSecret", "app")
        return (event["reason"], event["message"], event["count"]) == ("Updated", "secret updated", 2)

    eventually(counted)


METADATA_EDITS: dict[str, Any] = {
    "foreign-label-added": {"labels": {"theirs": "x"}},
    "foreign-annotation-added": {"annotations": {"theirs": "x"}},
    "managed-label-removed": {"labels": {MANAGED: None}},
    "managed-label-changed": {"labels": {MANAGED: "false"}},
    "created-by-label-removed": {"labels": {CREATED_BY: None}},
    "copied-label-changed": {"labels": {"team": "b"}},
    "copied-label-removed": {"labels": {"team": None}},
    "copied-annotation-changed": {"annotations": {"note": "y"}},
    "hash-annotation-removed": {"annotations": {DATA_HASH: None}},
    "hash-annotation-changed": {"annotations": {DATA_HASH: "0" * 56}},
    "owner-reference-removed": {"ownerReferences": None},
    "all-labels-removed": {"labels": None},
}


@pytest.mark.parametrize("edit", METADATA_EDITS)
def test_edit_of_labels_annotations_or_owner_is_repaired_without_asking_the_store(
    tenant: Tenant, operator: OperatorProcess, edit: str
) -> None:
    """The store holds another value by then, and it must not arrive."""
    own = {"labels": {"team": "a"}, "annotations": {"note": "x"}}
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), metadata=own))
    tenant.wait_synced("app")
    before = metadata_of(tenant)
    tenant.set_store(store({"db": TWO}))
    calls, looks = tenant.sync_calls(operator, "app"), tenant.looks(operator, "app")
    tenant.edit("Secret", "app", {"metadata": METADATA_EDITS[edit]})
    edited = tenant.version("Secret", "app")
    if edit.startswith("foreign"):
        field = "labels" if "label" in edit else "annotations"
        before[field]["theirs"] = "x"
    tenant.wait_looks(operator, "app", more_than=looks)
    eventually(lambda: metadata_of(tenant) == before)

    assert tenant.values("app") == {"v": ONE}
    assert tenant.sync_calls(operator, "app") == calls
    if edit.startswith("foreign"):
        assert tenant.version("Secret", "app") == edited


@pytest.mark.parametrize("policy", ["Merge", "CreateOrMerge"])
def test_labels_of_a_secret_that_is_not_owned_are_repaired_without_asking_the_store(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"db": ONE}), secret("app", {"theirs": TWO}, labels={"app": "theirs"}))
    tenant.create(external_secret("app", entry("v", "db"), target={"creationPolicy": policy}))
    tenant.wait_synced("app")
    calls = tenant.sync_calls(operator, "app")
    tenant.label("Secret", "app", {MANAGED: None, "app": "changed"})

    eventually(
        lambda: tenant.get("Secret", "app")["metadata"]["labels"] == {MANAGED: "true", "app": "changed"}
    )
    assert tenant.sync_calls(operator, "app") == calls
    assert tenant.values("app") == {"theirs": TWO, "v": ONE}


def test_data_that_is_right_again_is_not_asked_for(
    tenant: Tenant, private_operator: Callable[..., OperatorProcess]
) -> None:
    """Edited and put back while the operator is not looking."""
    tenant.create(store({"db": ONE}, controller="private"), external_secret("app", entry("v", "db")))
    operator = private_operator()
    tenant.wait_synced("app")
    calls, looks = tenant.sync_calls(operator, "app"), tenant.looks(operator, "app")
    operator.signal(signal.SIGSTOP)
    tenant.set_store(store({"db": TWO}, controller="private"))
    tenant.set_data("app", {"v": TWO})
    tenant.set_data("app", {"v": ONE})
    operator.signal(signal.SIGCONT)
    tenant.wait_looks(operator, "app", more_than=looks)
    # A later event of the same watch, so that the two before have been looked at.
    looks = tenant.looks(operator, "app")
    tenant.label("Secret", "app", {"theirs": "x"})
    version = tenant.version("Secret", "app")
    tenant.wait_looks(operator, "app", more_than=looks)

    assert tenant.sync_calls(operator, "app") == calls
    assert tenant.values("app") == {"v": ONE}
    assert tenant.version("Secret", "app") == version


def test_orphan_is_repaired_only_when_its_refresh_is_due(tenant: Tenant, operator: OperatorProcess) -> None:
    """As in the established operator: nobody looks at an Orphan in between."""
    orphan = {"creationPolicy": "Orphan"}
    tenant.create(
        store({"db": ONE}),
        external_secret("late", entry("v", "db"), target=orphan),
        external_secret("soon", entry("v", "db"), target=orphan, refreshInterval="300ms"),
    )
    tenant.wait_synced("late")
    tenant.wait_synced("soon")
    looks = tenant.looks(operator, "late")
    tenant.set_data("late", {"v": TWO})
    tenant.set_data("soon", {"v": TWO})
    tenant.wait_values("soon", {"v": ONE})
    tenant.delete("Secret", "soon")
    tenant.wait_values("soon", {"v": ONE})
    tenant.wait_looks(operator, "late", more_than=looks)

    assert tenant.values("late") == {"v": TWO}


def test_secret_of_policy_none_is_nobodys_business(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), secret("app", {"theirs": TWO}))
    tenant.create(external_secret("app", entry("v", "db"), target={"creationPolicy": "None"}))
    tenant.wait_synced("app")
    calls, looks = tenant.sync_calls(operator, "app"), tenant.looks(operator, "app")
    tenant.set_data("app", {"theirs": ONE})
    tenant.wait_looks(operator, "app", more_than=looks)

    assert tenant.sync_calls(operator, "app") == calls
    assert tenant.values("app") == {"theirs": ONE}


def test_own_writes_make_no_work(tenant: Tenant, operator: OperatorProcess) -> None:
    """Neither the watch's echo of the Secret nor that of the status asks the store again."""
    tenant.create(store({"db": ONE}))
    tenant.wait_told("store", "Valid", kind="SecretStore")
    for name in ("app", "later"):
        tenant.create(external_secret(name, entry("v", "db")))
        tenant.wait_synced(name)

    assert tenant.sync_calls(operator, "app") == 1
