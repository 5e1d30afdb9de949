"""The whole table: creationPolicy, deletionPolicy, what is there, what the store has; and edits afterwards.

`expected` says what docs/kinds/externalsecret.md says, in a few lines of its own; every cell is made by a real
operator on a real API server. The cells of one pair of policies are made together, so that they cost one wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from keyferry.errors import KubeInvalid
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
from keyferry.testing.tenant import Tenant, ready_of, soon

OLD, NEW, THEIRS = canary("old"), canary("new"), canary("theirs")
MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"

CREATION = ("Owner", "Orphan", "Merge", "CreateOrMerge", "None")
DELETION = ("Retain", "Delete", "Merge")
EXISTING = (
    "nothing",
    "a-secret-of-nobody",
    "a-secret-of-another-external-secret",
    "a-secret-of-another-controller",
    "a-secret-of-its-own",
    "an-immutable-secret-of-nobody",
)
STORES = {"all": {"a": NEW, "b": NEW}, "some": {"a": NEW}, "none": {}}
FOREIGN = {"a": THEIRS, "theirs": THEIRS}

MERGING = ("Merge", "CreateOrMerge")
REFUSED = {
    ("Merge", "Delete"): "deletionPolicy=Delete must not be used when the controller doesn't own the secret",
    ("CreateOrMerge", "Delete"): "deletionPolicy=Delete must not be used when the controller doesn't own",
    ("None", "Delete"): "deletionPolicy=Delete must not be used when the controller doesn't own the secret",
    ("None", "Merge"): "deletionPolicy=Merge must not be used with creationPolicy=None",
}


@dataclass(frozen=True)
class Cell:
    """What comes of one cell.

    Args:
        reason, message: of the condition; what the message begins with.
        data: of the Secret; None where there is none.
        written: whether the Secret was written at all.
        owned: whether it carries our owner reference and created-by label.
        bound: whether status.binding names the Secret.
    """

    reason: str
    message: str
    data: dict[str, str] | None
    written: bool = False
    owned: bool = False
    bound: bool = False


def expected(creation: str, deletion: str, existing: str, has: str) -> Cell:
    """What the documentation says of a cell."""
    own = existing == "a-secret-of-its-own"
    before = _before(creation, existing)
    owned = own and creation in ("Owner", "None")
    if deletion == "Retain" and has != "all":
        left = Cell("SecretSyncedError", "could not get secret data from provider: ", before)
    elif deletion == "Delete" and has == "none":
        left = _deleted(creation, before, own=own)
    elif creation == "None":
        left = Cell("SecretSynced", "secret synced", before)
    elif creation == "Merge" and before is None:
        left = Cell("SecretMissing", "secret will not be created due to CreationPolicy=Merge", None)
    else:
        return _written(creation, existing, before, STORES[has])
    return replace(left, owned=owned, bound=own)


def _deleted(creation: str, before: dict[str, str] | None, *, own: bool) -> Cell:
    if creation != "Owner":
        return Cell("SecretSyncedError", "could not delete secret: deletionPolicy=Delete with", before)
    if own or before is None:
        return Cell("SecretDeleted", "secret deleted due to DeletionPolicy=Delete", None)
    return Cell("SecretSyncedError", "could not delete secret: ", before)


def _written(creation: str, existing: str, before: dict[str, str] | None, values: dict[str, str]) -> Cell:
    failed = "SecretSyncedError"
    if existing == "a-secret-of-another-external-secret":
        return Cell(failed, "target is owned by another ExternalSecret: ", before)
    if existing == "a-secret-of-another-controller" and creation == "Owner":
        return Cell(failed, "failed to take ownership of target secret: ", before)
    kept = {key: value for key, value in (before or {}).items() if creation in MERGING and value == THEIRS}
    data = kept | values
    if existing == "an-immutable-secret-of-nobody" and data != before:
        return Cell(failed, "could not update secret, target is immutable: ", before)
    owned = creation == "Owner"
    return Cell("SecretSynced", "secret synced", data, written=True, owned=owned, bound=True)


def _before(creation: str, existing: str) -> dict[str, str] | None:
    """The data that is there before."""
    if existing == "nothing":
        return None
    if existing != "a-secret-of-its-own":
        return FOREIGN
    own = {"a": OLD, "b": OLD}
    return {"theirs": THEIRS, **own} if creation in MERGING else own


def name_of(existing: str, has: str) -> str:
    return f"{existing}-and-the-store-has-{has}"


def prepare(tenant: Tenant, creation: str, deletion: str) -> None:
    """Everything there is before the policies are at work; at its end nothing is being written any more."""
    for has, values in STORES.items():
        tenant.create(store(values, name=has), store({"a": OLD, "b": OLD}, name=f"was-{has}"))
    boss = tenant.create(config_map("boss"))
    other = tenant.create(
        external_secret("other", entry("a", "a"), store="all", target={"creationPolicy": "None"})
    )
    owners = {
        "a-secret-of-another-external-secret": [owner_reference(other)],
        "a-secret-of-another-controller": [owner_reference(boss)],
    }
    for has in STORES:
        for existing in EXISTING[1:]:
            name = name_of(existing, has)
            if existing == "a-secret-of-its-own":
                if creation in MERGING:
                    tenant.create(secret(name, {"theirs": THEIRS}))
                first = {"creationPolicy": "Owner" if creation == "None" else creation}
                tenant.create(cell(name, f"was-{has}", first))
                continue
            immutable = {"immutable": True} if existing.startswith("an-immutable") else {}
            tenant.create(secret(name, FOREIGN, owners=owners.get(existing, ())) | immutable)
    for has in STORES:
        tenant.wait_values(
            name_of("a-secret-of-its-own", has), _before(creation, "a-secret-of-its-own") or {}
        )
        tenant.wait_synced(name_of("a-secret-of-its-own", has))


def cell(name: str, of: str, target: dict[str, Any]) -> Object:
    return external_secret(name, entry("a", "a"), entry("b", "b"), store=of, target=target)


def told(tenant: Tenant, names: Iterable[str]) -> dict[str, Object]:
    """The objects, once all of them have said what has become of their present spec."""
    names = list(names)

    def are_told() -> dict[str, Object]:
        found = {one["metadata"]["name"]: one for one in tenant.kube.list(tenant.path("ExternalSecret"))}
        for name in names:
            ready = ready_of(found[name])
            if ready.get("observedGeneration") != found[name]["metadata"]["generation"]:
                raise LookupError(f"{name}: {ready}")
        return found

    return soon(are_told)


@pytest.mark.parametrize("deletion", DELETION, ids="deletion-policy-{}".format)
@pytest.mark.parametrize("creation", CREATION, ids="creation-policy-{}".format)
def test_policies_and_what_is_there_and_what_the_store_has_decide(
    tenant: Tenant, operator: OperatorProcess, creation: str, deletion: str
) -> None:
    policies = {"creationPolicy": creation, "deletionPolicy": deletion}
    if (creation, deletion) in REFUSED:
        with pytest.raises(KubeInvalid, match=r"spec\.target") as refused:
            tenant.create(cell("app", "all", policies))
        assert REFUSED[creation, deletion] in refused.value.message
        return
    prepare(tenant, creation, deletion)
    before = {one["metadata"]["name"]: one for one in tenant.kube.list(tenant.path("Secret"))}
    table = {name_of(existing, has): (existing, has) for existing in EXISTING for has in STORES}
    for name, (existing, has) in table.items():
        if existing == "a-secret-of-its-own":
            spec = cell(name, has, policies)["spec"]
            tenant.edit("ExternalSecret", name, {"spec": spec})
        else:
            tenant.create(cell(name, has, policies))
    sources = told(tenant, table)
    after = {one["metadata"]["name"]: one for one in tenant.kube.list(tenant.path("Secret"))}

    wrong = {
        name: difference
        for name, (existing, has) in table.items()
        if (
            difference := _differences(
                tenant, expected(creation, deletion, existing, has), sources[name], before, after
            )
        )
    }
    assert wrong == {}


def _differences(
    tenant: Tenant, wanted: Cell, source: Object, before: dict[str, Object], after: dict[str, Object]
) -> list[str]:
    """What of a cell is not as it should be."""
    name, ready = source["metadata"]["name"], ready_of(source)
    wrong = []
    if ready["reason"] != wanted.reason or not ready["message"].startswith(wanted.message):
        wrong.append(f"told {ready['reason']}: {ready['message']}")
    if ((source["status"].get("binding") or {}).get("name") == name) != wanted.bound:
        wrong.append(f"binding {source['status'].get('binding')}")
    found = after.get(name)
    if found is None or wanted.data is None:
        return wrong + (["there is a Secret or none"] if (found is None) != (wanted.data is None) else [])
    if tenant.values(name) != wanted.data:
        held = sorted(tenant.values(name))  # not the values: what fails is printed
        wrong.append(f"holds other data, or other keys than {sorted(wanted.data)}: {held}")
    metadata = found["metadata"]
    ours = [one for one in metadata.get("ownerReferences", []) if one["uid"] == source["metadata"]["uid"]]
    if bool(ours) != wanted.owned or (CREATED_BY in metadata.get("labels", {})) != wanted.owned:
        wrong.append(f"owners {metadata.get('ownerReferences')}, labels {metadata.get('labels')}")
    if wanted.written and metadata["labels"].get(MANAGED) != "true":
        wrong.append("not managed")
    if not wanted.written and metadata["resourceVersion"] != before[name]["metadata"]["resourceVersion"]:
        wrong.append("written")
    others = [
        one for one in before.get(name, {}).get("metadata", {}).get("ownerReferences", []) if one not in ours
    ]
    theirs = [one for one in others if one["kind"] != "ExternalSecret" or one["name"] != name]
    if [one for one in theirs if one not in metadata.get("ownerReferences", [])]:
        wrong.append("somebody else's owner reference is gone")
    return wrong


# -- edits afterwards


@pytest.mark.parametrize("first", CREATION, ids="from-{}".format)
def test_creation_policy_can_be_changed_to_any_other(
    tenant: Tenant, operator: OperatorProcess, first: str
) -> None:
    """What was written before is written on, its owner is who the new policy says."""
    names = {f"to-{second.lower()}": second for second in CREATION if second != first}
    tenant.create(store({"a": NEW, "b": NEW}))
    for name in names:
        tenant.create(secret(name, FOREIGN), cell(name, "store", {"creationPolicy": first}))
    told(tenant, names)
    for name, second in names.items():
        tenant.edit_spec(name, target={"creationPolicy": second})
    told(tenant, names)

    ours = {"a": NEW, "b": NEW}
    for name, second in names.items():
        writers = [policy for policy in (first, second) if policy != "None"]
        keeps = all(policy in MERGING for policy in writers)
        metadata = tenant.get("Secret", name)["metadata"]
        assert tenant.values(name) == {**({"theirs": THEIRS} if keeps else {}), **ours}, name
        assert bool(metadata.get("ownerReferences")) == ("Owner" in (second, *writers[-1:])), name
        assert tenant.told(name)[1:] == ("SecretSynced", "secret synced")


WRITING = [policy for policy in CREATION if policy != "None"]


def test_what_was_ours_and_is_no_longer_wanted_goes_and_what_is_others_stays(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Keys, labels and annotations, under each policy that writes."""
    tenant.create(store({"a": NEW, "b": NEW}))
    theirs: dict[str, Any] = {"labels": {"their": "x"}, "annotations": {"their": "x"}}
    for policy in WRITING:
        name = policy.lower()
        tenant.create(secret(name, {"theirs": THEIRS}, **theirs))
        made = cell(name, "store", {"creationPolicy": policy})
        made["metadata"] |= {"labels": {"our": "x", "kept": "x"}, "annotations": {"our": "x", "kept": "x"}}
        tenant.create(made)
    told(tenant, map(str.lower, WRITING))
    for policy in WRITING:
        changes = {"labels": {"our": None, "kept": "y"}, "annotations": {"our": None, "kept": "y"}}
        tenant.edit(
            "ExternalSecret", policy.lower(), {"metadata": changes, "spec": {"data": [entry("b", "b")]}}
        )

    for policy in WRITING:
        tenant.wait_values(policy.lower(), {"b": NEW, **({"theirs": THEIRS} if policy in MERGING else {})})
        metadata = tenant.get("Secret", policy.lower())["metadata"]
        noted = {"reconcile.external-secrets.io/data-hash", *theirs["annotations"], "kept"}
        labels = {MANAGED, "their", "kept", *([CREATED_BY] if policy == "Owner" else [])}
        assert set(metadata["annotations"]) == noted
        assert set(metadata["labels"]) == labels
        assert (metadata["labels"]["kept"], metadata["annotations"]["kept"]) == ("y", "y")


def test_renamed_target_moves_what_is_owned_and_leaves_all_else(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"a": NEW, "b": NEW}))
    ours = {"a": NEW, "b": NEW}
    for policy in CREATION:
        name = policy.lower()
        tenant.create(secret(f"old-{name}", FOREIGN), secret(f"new-{name}", FOREIGN))
        tenant.create(cell(name, "store", {"creationPolicy": policy, "name": f"old-{name}"}))
    told(tenant, map(str.lower, CREATION))
    for policy in CREATION:
        tenant.edit_spec(policy.lower(), target={"name": f"new-{policy.lower()}"})
    sources = told(tenant, map(str.lower, CREATION))

    tenant.wait_gone("Secret", "old-owner")
    for policy in CREATION:
        name, merged = policy.lower(), {"theirs": THEIRS, **ours}
        data = FOREIGN if policy == "None" else merged if policy in MERGING else ours
        assert tenant.values(f"new-{name}") == data
        if policy != "Owner":
            assert tenant.values(f"old-{name}") == data
        bound = {} if policy == "None" else {"name": f"new-{name}"}
        assert sources[name]["status"].get("binding", {}) == bound


def test_immutable_can_be_asked_for_later_and_never_be_taken_back(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Kubernetes takes it back from no Secret; a new name, or its deletion, makes one that can change."""
    tenant.create(store({"a": OLD, "b": OLD}))
    names = [policy.lower() for policy in WRITING]
    for policy in WRITING:
        if policy == "Merge":
            tenant.create(secret("merge", {"theirs": THEIRS}))
        tenant.create(cell(policy.lower(), "store", {"creationPolicy": policy}))
    told(tenant, names)
    for name in names:
        tenant.edit_spec(name, target={"immutable": True})
    told(tenant, names)
    asked = {name: tenant.get("Secret", name).get("immutable") for name in names}
    tenant.set_store(store({"a": NEW, "b": NEW}))
    for name in names:
        tenant.label("ExternalSecret", name, {"again": "yes"})
        soon(lambda name=name: tenant.get("Secret", name)["metadata"]["labels"].get("again") == "yes")
    kept = {name: (tenant.values(name)["a"], tenant.told(name)[1]) for name in names}
    for name in names:
        tenant.edit_spec(name, target={"immutable": None})
    told(tenant, names)
    refused = {name: tenant.told(name)[1:] for name in names}
    for name in names:
        tenant.delete("Secret", name)
        if name == "merge":
            tenant.create(secret("merge", {"theirs": THEIRS}))

    assert asked == dict.fromkeys(names, True)
    assert kept == dict.fromkeys(names, (OLD, "SecretSynced"))
    for name in names:
        where = f'Secret "{tenant.namespace}/{name}" is immutable and holds other data'
        hint = "Delete it, or use another spec.target.name"
        assert refused[name] == (
            "SecretSyncedError",
            f"could not update secret, target is immutable: {where}. {hint}",
        )
        if name != "orphan":  # of which nobody takes notice before its refresh
            tenant.wait_values(name, {"a": NEW, "b": NEW, **({"theirs": THEIRS} if name == "merge" else {})})
            tenant.wait_synced(name)
            assert "immutable" not in tenant.get("Secret", name)
