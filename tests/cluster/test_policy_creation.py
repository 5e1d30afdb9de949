"""creationPolicy decides whether a Secret is made, whose it is, and what becomes of one that is there already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from keyferry.testing.builders import (
    Object,
    config_map,
    entry,
    external_secret,
    owner_reference,
    secret,
    store,
)
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

OURS, THEIRS = canary("ours"), canary("theirs")
MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"
SYNCED = ("True", "SecretSynced", "secret synced")
OWNED = "target is owned by another ExternalSecret: Secret \"{ns}/app\" is owned by ExternalSecret 'other'"
CONTROLLED = (
    "failed to take ownership of target secret: Secret \"{ns}/app\" is controlled by ConfigMap 'boss'. "
    "Use another spec.target.name, or creationPolicy Merge"
)


@dataclass(frozen=True)
class Expected:
    """What the target and the condition are afterwards.

    Args:
        told: reason and the start of the message; synced if left out.
        data: of the Secret; None where there is none.
        managed, owned: whether the managed label, the created-by label and our owner reference are there.
        untouched: whether the Secret was not written at all.
    """

    told: tuple[str, str] = ("SecretSynced", "secret synced")
    data: dict[str, str] | None = field(default_factory=lambda: {"v": OURS})
    managed: bool = True
    owned: bool = False
    untouched: bool = False


MERGED = {"v": OURS, "theirs": THEIRS}
FOREIGN = {"v": THEIRS, "theirs": THEIRS}
NO_SECRET = Expected(("SecretMissing", "secret will not be created due to CreationPolicy=Merge"), None)
NOTHING_DONE = Expected(data=FOREIGN, managed=False, untouched=True)
OTHERS = Expected(("SecretSyncedError", OWNED), {"v": THEIRS}, untouched=True)
BOSSES = Expected(("SecretSyncedError", CONTROLLED), FOREIGN, managed=False, untouched=True)

# What is there before: nothing; somebody's Secret; one of another ExternalSecret; one of another controller;
# one with an owner that does not control it.
MATRIX: dict[str, dict[str, Expected]] = {
    "Owner": {
        "nothing": Expected(owned=True),
        "foreign": Expected(owned=True),
        "other-external-secret": OTHERS,
        "other-controller": BOSSES,
        "other-owner": Expected(owned=True),
    },
    "Orphan": {
        "nothing": Expected(),
        "foreign": Expected(),
        "other-external-secret": OTHERS,
        "other-controller": Expected(),
        "other-owner": Expected(),
    },
    "Merge": {
        "nothing": NO_SECRET,
        "foreign": Expected(data=MERGED),
        "other-external-secret": OTHERS,
        "other-controller": Expected(data=MERGED),
        "other-owner": Expected(data=MERGED),
    },
    "CreateOrMerge": {
        "nothing": Expected(),
        "foreign": Expected(data=MERGED),
        "other-external-secret": OTHERS,
        "other-controller": Expected(data=MERGED),
        "other-owner": Expected(data=MERGED),
    },
    "None": {
        "nothing": Expected(data=None),
        "foreign": NOTHING_DONE,
        "other-external-secret": Expected(data={"v": THEIRS}, untouched=True),
        "other-controller": NOTHING_DONE,
        "other-owner": NOTHING_DONE,
    },
}


def prepare(tenant: Tenant, before: str) -> list[Object]:
    """Put the target there; its owner references."""
    labels: Any = {"labels": {"app": "theirs"}, "annotations": {"note": "theirs"}}
    owners: list[Object] = []
    if before == "other-external-secret":
        tenant.create(external_secret("other", entry("v", "theirs"), target={"name": "app"}))
        tenant.wait_synced("other")
        return tenant.get("Secret", "app")["metadata"]["ownerReferences"]  # type: ignore[no-any-return]
    if before.startswith("other-"):
        boss = tenant.create(config_map("boss"))
        owners = [owner_reference(boss, controller=before == "other-controller")]
    if before != "nothing":
        tenant.create(secret("app", FOREIGN, owners=owners, **labels))
    return owners


@pytest.mark.parametrize("before", MATRIX["Owner"])
@pytest.mark.parametrize("policy", MATRIX)
def test_creation_policy_and_what_is_there_decide_about_the_secret(
    tenant: Tenant, operator: OperatorProcess, policy: str, before: str
) -> None:
    expected = MATRIX[policy][before]
    tenant.create(store({"ours": OURS, "theirs": THEIRS}))
    owners = prepare(tenant, before)
    version = None if before == "nothing" else tenant.version("Secret", "app")
    tenant.create(
        external_secret("mine", entry("v", "ours"), target={"name": "app", "creationPolicy": policy})
    )
    reason, message = expected.told
    source = tenant.wait_told("mine", reason, holding=message.replace("{ns}", tenant.namespace))

    found = tenant.find("Secret", "app")
    if expected.data is None:
        assert found is None
        return
    assert found is not None
    ours = [owner_reference(source)] if expected.owned else []
    assert tenant.values("app") == expected.data
    assert found["metadata"].get("ownerReferences", []) == [*owners, *ours]
    assert (found["metadata"]["resourceVersion"] == version) == expected.untouched
    labels = found["metadata"].get("labels", {})
    assert labels.get(MANAGED) == ("true" if expected.managed else None)
    if before != "other-external-secret":
        assert (CREATED_BY in labels) == expected.owned
    if before not in ("nothing", "other-external-secret"):
        assert labels["app"] == "theirs"
        assert found["metadata"]["annotations"]["note"] == "theirs"


@pytest.mark.parametrize("asked", [False, True], ids=["mutable", "immutable"])
@pytest.mark.parametrize("policy", ["Owner", "Merge"])
def test_immutable_secret_of_somebody_else_is_not_called_synced(
    tenant: Tenant, operator: OperatorProcess, policy: str, asked: bool
) -> None:
    """It cannot be given the data. When it goes, all is well."""
    tenant.create(store({"ours": OURS}), secret("app", {"v": THEIRS}) | {"immutable": True})
    version = tenant.version("Secret", "app")
    target = {"creationPolicy": policy, "immutable": asked}
    tenant.create(external_secret("app", entry("v", "ours"), target=target))
    tenant.wait_failed("app", "could not update secret, target is immutable: ")

    assert tenant.version("Secret", "app") == version
    tenant.delete("Secret", "app")
    if policy == "Merge":
        tenant.create(secret("app", {"theirs": THEIRS}))
    tenant.wait_told("app", "SecretSynced")
    assert tenant.values("app")["v"] == OURS


@pytest.mark.parametrize("policy", ["Owner", "CreateOrMerge"])
def test_creation_is_told_as_an_event_and_an_update_as_another(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"db": OURS}))
    tenant.create(external_secret("app", entry("v", "db"), target={"creationPolicy": policy}))
    tenant.wait_event("ExternalSecret", "app", "Created")
    tenant.set_store(store({"db": THEIRS}))
    tenant.annotate("ExternalSecret", "app", {"force-sync": "1"})
    tenant.wait_event("ExternalSecret", "app", "Updated")

    assert tenant.events("ExternalSecret", "app") == [
        ("Normal", "Created", "secret created"),
        ("Normal", "Updated", "secret updated"),
    ]


@pytest.mark.parametrize("policy", ["Merge", "CreateOrMerge"])
def test_policy_that_merges_keeps_others_keys_also_when_they_change(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"db": OURS}), secret("app", {"theirs": "1"}))
    tenant.create(external_secret("app", entry("v", "db"), target={"creationPolicy": policy}))
    tenant.wait_synced("app")
    tenant.edit("Secret", "app", secret("app", {"theirs": "2", "more": THEIRS}))

    tenant.wait_values("app", {"theirs": "2", "more": THEIRS, "v": OURS})
    assert tenant.told("app") == SYNCED


def test_two_external_secrets_merge_into_one_secret(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"a": OURS, "b": THEIRS}), secret("app", {"base": "x"}))
    for key in ("a", "b"):
        target = {"name": "app", "creationPolicy": "Merge"}
        tenant.create(external_secret(f"part-{key}", entry(key, key), target=target, refreshInterval="300ms"))
    tenant.wait_values("app", {"base": "x", "a": OURS, "b": THEIRS})
    calls = tenant.sync_calls(operator, "part-a")
    tenant.wait_refreshes(operator, "part-a", calls + 2)
    version = tenant.version("Secret", "app")
    tenant.wait_refreshes(operator, "part-a", calls + 4)

    assert tenant.version("Secret", "app") == version
    assert tenant.told("part-a") == tenant.told("part-b") == SYNCED


def test_merge_waits_and_notices_the_target_at_once(tenant: Tenant, operator: OperatorProcess) -> None:
    """The refresh interval is an hour: nothing but the target's creation can be what wakes it."""
    tenant.create(store({"db": OURS}))
    tenant.create(external_secret("app", entry("v", "db"), target={"creationPolicy": "Merge"}))
    waiting = tenant.wait_told("app", "SecretMissing")
    tenant.create(secret("app", {"theirs": THEIRS}))
    tenant.wait_values("app", {"theirs": THEIRS, "v": OURS})
    tenant.wait_synced("app")
    tenant.delete("Secret", "app")
    tenant.wait_told("app", "SecretMissing")
    tenant.create(secret("app", {"again": THEIRS}))
    tenant.wait_values("app", {"again": THEIRS, "v": OURS})

    assert tenant.wait_synced("app")["status"]["binding"] == {"name": "app"}
    assert "binding" not in waiting["status"]


@pytest.mark.parametrize("policy", ["Orphan", "Merge", "CreateOrMerge", "None"])
def test_secret_survives_a_policy_that_owns_nothing_any_more(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    """From Owner to another policy: the owner reference goes, so that the Secret outlives its source."""
    tenant.create(store({"db": OURS}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    tenant.edit_spec("app", target={"creationPolicy": policy})
    tenant.wait_synced("app")

    metadata = tenant.get("Secret", "app")["metadata"]
    kept = policy == "None"
    assert ("ownerReferences" in metadata) == kept
    assert (CREATED_BY in metadata["labels"]) == kept
    assert tenant.values("app") == {"v": OURS}
