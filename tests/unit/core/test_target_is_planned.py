"""All creation policies on all that may exist: what is written, what is kept, what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from keyferry.api import names
from keyferry.core.desired import (
    MAX_SECRET_BYTES,
    Action,
    ImmutableError,
    OwnedByAnotherError,
    Owner,
    Target,
    is_intact,
    plan_delete,
    plan_metadata,
    plan_write,
)
from keyferry.core.hashing import created_by_hash, data_hash, field_manager
from keyferry.errors import ON_CHANGE, OwnershipError, RenderError
from keyferry.secretdata import SecretData

DATA = SecretData({"password": b"new"})
CREATING = ["Owner", "Orphan", "CreateOrMerge"]
WRITING = [*CREATING, "Merge"]
MERGING = ["Merge", "CreateOrMerge"]
NOT_OWNING = ["Orphan", "Merge", "CreateOrMerge"]
OUR_LABELS = {"app": "shop", names.LABEL_MANAGED: "true"}
CREATED_BY = {names.LABEL_CREATED_BY: created_by_hash("team-a", "db")}


def _labels(policy):
    return OUR_LABELS | (CREATED_BY if policy == "Owner" else {})


def _annotations(data):
    return {"note": "hello", names.ANNOTATION_DATA_HASH: data_hash(data)}


@pytest.fixture
def right(secret, reference):
    """The Secret as a former sync left it."""

    def build(policy="Owner", data=DATA, **changes):
        return secret(
            data,
            **{
                "labels": _labels(policy),
                "annotations": _annotations(data),
                "references": [reference()] if policy == "Owner" else None,
                "ours": {
                    "data": set(data),
                    "labels": set(_labels(policy)),
                    "annotations": {"note", names.ANNOTATION_DATA_HASH},
                },
            }
            | changes,
        )

    return build


# -- nothing exists


@pytest.mark.parametrize("policy", CREATING)
def test_secret_is_created(policy, owner, reference):
    plan = plan_write(owner, Target("db", policy), None, DATA)

    assert (plan.action, plan.namespace, plan.name, plan.type) == (Action.CREATE, "team-a", "db", "Opaque")
    assert plan.labels == _labels(policy)
    assert plan.annotations == _annotations(DATA)
    assert plan.owner_references == ([reference()] if policy == "Owner" else [])
    assert (plan.data, plan.data_changed, plan.immutable) == (DATA, True, False)
    assert plan.manager == field_manager("db")


def test_secret_is_created_immutable_where_asked(owner):
    assert plan_write(owner, Target("db", immutable=True), None, DATA).immutable


def test_merge_waits_for_a_secret(owner):
    plan = plan_write(owner, Target("db", "Merge"), None, DATA)

    assert (plan.action, dict(plan.data), plan.data_changed, plan.immutable) == (
        Action.WAIT,
        {},
        False,
        False,
    )


def test_policy_none_writes_nothing_whatever_exists(owner, secret):
    for existing in (None, secret({"password": b"old"}, labels={})):
        plan = plan_write(owner, Target("db", "None"), existing, DATA)

        assert plan.action is Action.NOTHING


# -- nobody's Secret exists


@pytest.mark.parametrize("policy", WRITING)
def test_nobodys_secret_is_taken_over(policy, owner, secret, reference):
    existing = secret(
        {"foreign": b"f", "password": b"old"}, labels={"theirs": "1"}, annotations={"their": "2"}
    )

    plan = plan_write(owner, Target("db", policy), existing, DATA)

    kept = {"foreign": b"f"} if policy in MERGING else {}
    wanted = SecretData({**kept, "password": b"new"})
    assert (plan.action, plan.data_changed, plan.existing) == (Action.UPDATE, True, existing)
    assert plan.data == wanted
    assert plan.labels == {"theirs": "1"} | _labels(policy)
    assert plan.annotations == {"their": "2"} | _annotations(wanted)
    assert plan.owner_references == ([reference()] if policy == "Owner" else [])
    assert plan.type == existing.type


@pytest.mark.parametrize("policy", WRITING)
def test_metadata_of_a_secret_may_be_absent_altogether(policy, owner, secret):
    existing = dataclasses.replace(secret(), metadata={"name": "db", "labels": None, "managedFields": None})

    assert plan_write(owner, Target("db", policy), existing, DATA).labels == _labels(policy)


# -- ours exists


@pytest.mark.parametrize("policy", WRITING)
def test_secret_that_is_right_is_not_written(policy, owner, right):
    plan = plan_write(owner, Target("db", policy), right(policy), DATA)

    assert (plan.action, plan.reason) == (Action.NOTHING, "the Secret is right")


def test_secret_of_the_reference_operator_is_not_written(owner, right, reference):
    """A takeover rewrites nothing that is right, whatever the order of keys in its metadata."""
    existing = right(references=[dict(reversed(reference().items()))])
    existing.metadata["labels"] = dict(reversed(existing.labels.items()))

    assert plan_write(owner, Target("db"), existing, DATA).action is Action.NOTHING


@pytest.mark.parametrize("policy", WRITING)
def test_what_we_wrote_and_no_longer_want_is_pruned(policy, owner, right):
    existing = right(
        policy,
        SecretData({"password": b"new", "gone": b"g", "foreign": b"f"}),
        labels=_labels(policy) | {"gone": "1", "theirs": "2"},
        annotations={"note": "hello", "gone": "1", "their": "2"},
        ours={"data": {"password", "gone"}, "labels": {"app", "gone"}, "annotations": {"note", "gone"}},
    )

    plan = plan_write(owner, Target("db", policy), existing, DATA)

    assert set(plan.data) == ({"password", "foreign"} if policy in MERGING else {"password"})
    assert plan.labels == _labels(policy) | {"theirs": "2"}
    assert plan.annotations == _annotations(plan.data) | {"their": "2"}


def test_value_of_the_store_wins_over_a_foreign_one(owner, secret):
    plan = plan_write(owner, Target("db", "Merge"), secret({"password": b"foreign"}), DATA)

    assert plan.data == DATA


def test_no_label_of_the_external_secret_overrides_ours(owner, secret):
    forged = dataclasses.replace(
        owner,
        labels={names.LABEL_MANAGED: "false", names.LABEL_CREATED_BY: "forged"},
        annotations={names.ANNOTATION_DATA_HASH: "forged"},
    )
    for policy, existing in [(p, e) for p in WRITING for e in (None, secret())]:
        plan = plan_write(forged, Target("db", policy), existing, DATA)
        if plan.action is Action.WAIT:
            continue

        assert plan.labels == {names.LABEL_MANAGED: "true"} | (CREATED_BY if policy == "Owner" else {})
        assert plan.annotations == {names.ANNOTATION_DATA_HASH: data_hash(DATA)}


# -- whose it is


@pytest.mark.parametrize(
    "changes",
    [
        {"apiVersion": "external-secrets.io/v1beta1"},
        {"uid": "former"},
        {"controller": False},
        {"blockOwnerDeletion": False},
    ],
    ids=["older-version", "other-uid", "no-controller", "not-blocking"],
)
def test_reference_to_ourselves_is_put_right_in_its_place(changes, owner, right, reference):
    others = [{"kind": "A", "name": "a"}, {"kind": "B", "name": "b"}]
    existing = right(references=[others[0], reference(**changes), others[1]])

    plan = plan_write(owner, Target("db"), existing, DATA)

    assert plan.owner_references == [others[0], reference(), others[1]]
    assert (plan.action, plan.data_changed) == (Action.UPDATE, False)


def test_several_references_to_ourselves_become_one(owner, right, reference):
    """The API server refuses a second controller, for ever."""
    other = {"kind": "A", "name": "a"}
    former = reference(apiVersion="external-secrets.io/v1beta1", uid="former", controller=False)
    existing = right(references=[other, former, reference(), former])

    assert plan_write(owner, Target("db"), existing, DATA).owner_references == [other, reference()]


@pytest.mark.parametrize("policy", WRITING)
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_secret_of_another_external_secret_is_refused(policy, version, owner, secret, reference):
    existing = secret(references=[reference("other", apiVersion=f"external-secrets.io/{version}")])

    with pytest.raises(OwnedByAnotherError) as caught:
        plan_write(owner, Target("db", policy), existing, DATA)

    assert caught.value.message == "Secret \"team-a/db\" is owned by ExternalSecret 'other'"
    assert caught.value.retry == ON_CHANGE


@pytest.mark.parametrize(
    "changes",
    [
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"kind": "PushSecret"},
        {"apiVersion": "external-secrets.io.example.com/v1"},
        {"apiVersion": "v1"},
    ],
)
def test_secret_of_another_controller_is_taken_only_without_becoming_its_owner(
    changes, owner, secret, reference
):
    """Even if it has the ExternalSecret's very name."""
    theirs = reference(**changes)
    with pytest.raises(OwnershipError) as caught:
        plan_write(owner, Target("db", "Owner"), secret(references=[theirs]), DATA)

    assert not isinstance(caught.value, OwnedByAnotherError)
    for policy in NOT_OWNING:
        plan = plan_write(owner, Target("db", policy), secret(references=[theirs]), DATA)
        assert (plan.action, plan.owner_references) == (Action.UPDATE, [theirs])


def test_owner_that_is_no_controller_does_not_stop_us(owner, secret, reference):
    theirs = reference("other", controller=False)

    plan = plan_write(owner, Target("db"), secret(references=[theirs]), DATA)

    assert plan.owner_references == [theirs, reference()]


@pytest.mark.parametrize("policy", NOT_OWNING)
def test_ownership_is_given_up_when_the_policy_changes(policy, owner, right, reference):
    other = {"kind": "A", "name": "a"}
    existing = right(references=[other, reference(uid="former")])

    plan = plan_write(owner, Target("db", policy), existing, DATA)

    assert (plan.action, plan.owner_references) == (Action.UPDATE, [other])
    assert names.LABEL_CREATED_BY not in plan.labels


@pytest.mark.parametrize("policy", NOT_OWNING)
def test_created_by_of_somebody_else_goes_away(policy, owner, secret):
    existing = secret(labels={names.LABEL_CREATED_BY: "somebody"})

    assert names.LABEL_CREATED_BY not in plan_write(owner, Target("db", policy), existing, DATA).labels


# -- immutable


@pytest.mark.parametrize("policy", WRITING)
def test_immutable_secret_that_the_spec_asks_for_keeps_its_data_and_gets_its_metadata(policy, owner, secret):
    old = SecretData({"password": b"old"})
    existing = secret(old, immutable=True, annotations={names.ANNOTATION_DATA_HASH: data_hash(old)})

    plan = plan_write(owner, Target("db", policy, immutable=True), existing, DATA)

    assert (plan.action, plan.data, plan.data_changed) == (Action.UPDATE, old, False)
    assert plan.immutable
    assert plan.labels == _labels(policy)
    assert plan.annotations == _annotations(old)


@pytest.mark.parametrize("policy", WRITING)
@pytest.mark.parametrize(
    ("asked", "noted"),
    [
        pytest.param(True, {}, id="never-ours"),
        pytest.param(True, {names.ANNOTATION_DATA_HASH: data_hash(DATA)}, id="made-anew-by-somebody"),
        pytest.param(
            False,
            {names.ANNOTATION_DATA_HASH: data_hash(SecretData({"password": b"old"}))},
            id="ours-and-not-asked-for",
        ),
    ],
)
def test_immutable_secret_with_other_data_is_not_called_right(policy, asked, noted, owner, secret):
    existing = secret({"password": b"old"}, immutable=True, annotations=noted)

    with pytest.raises(ImmutableError) as caught:
        plan_write(owner, Target("db", policy, immutable=asked), existing, DATA)

    assert str(caught.value) == (
        'Secret "team-a/db" is immutable and holds other data. Delete it, or use another spec.target.name'
    )


@pytest.mark.parametrize("policy", WRITING)
@pytest.mark.parametrize("asked", [True, False])
def test_immutable_secret_that_holds_the_data_already_is_taken_over(policy, asked, owner, secret):
    plan = plan_write(owner, Target("db", policy, immutable=asked), secret(DATA, immutable=True), DATA)

    assert (plan.action, plan.data_changed, plan.immutable) == (Action.UPDATE, False, True)
    assert plan.annotations == _annotations(DATA)


def test_whose_an_immutable_secret_is_comes_before_what_it_holds(owner, secret, reference):
    existing = secret({"password": b"old"}, immutable=True, references=[reference("other")])

    with pytest.raises(OwnedByAnotherError):
        plan_write(owner, Target("db"), existing, DATA)


def test_secret_becomes_immutable_together_with_its_last_data(owner, right):
    plan = plan_write(owner, Target("db", immutable=True), right(data=SecretData({"password": b"old"})), DATA)

    assert (plan.data, plan.data_changed, plan.immutable) == (DATA, True, True)


def test_secret_becomes_immutable_though_nothing_else_changes(owner, right):
    plan = plan_write(owner, Target("db", immutable=True), right(), DATA)

    assert (plan.action, plan.data_changed, plan.reason) == (Action.UPDATE, False, "its metadata changed")


# -- size


@pytest.mark.parametrize("policy", CREATING)
def test_secret_may_be_as_large_as_the_api_server_takes(policy, owner):
    data = SecretData({"a": b"x" * (MAX_SECRET_BYTES - 1), "b" * 253: b"x"})

    assert plan_write(owner, Target("db", policy), None, data).action is Action.CREATE


@pytest.mark.parametrize("existing", [False, True])
def test_larger_secret_is_refused_without_asking_the_api_server(existing, owner, secret):
    data = SecretData({"a": b"x" * MAX_SECRET_BYTES, "b": b"x"})

    with pytest.raises(RenderError) as caught:
        plan_write(owner, Target("db"), secret() if existing else None, data)

    assert caught.value.message == "the Secret would hold 1048577 bytes, and Kubernetes allows 1048576"


def test_kept_keys_count_for_the_size_too(owner, secret):
    existing = secret({"foreign": b"x"})

    with pytest.raises(RenderError):
        plan_write(owner, Target("db", "Merge"), existing, SecretData({"a": b"x" * MAX_SECRET_BYTES}))


# -- metadata alone


def test_intact_secret_has_our_label_and_the_hash_of_its_data(secret):
    annotations = {names.ANNOTATION_DATA_HASH: data_hash(DATA)}
    labels = {names.LABEL_MANAGED: "true"}

    assert is_intact(secret(DATA, labels=labels, annotations=annotations))
    assert not is_intact(secret({"password": b"other"}, labels=labels, annotations=annotations))
    assert not is_intact(secret(DATA, labels=labels, annotations={}))
    assert not is_intact(secret(DATA, labels={}, annotations=annotations))
    assert not is_intact(secret(DATA, labels={names.LABEL_MANAGED: "false"}, annotations=annotations))
    assert not is_intact(secret(DATA))


@pytest.mark.parametrize("policy", WRITING)
def test_lost_label_is_put_back_and_the_data_left_alone(policy, owner, right):
    plan = plan_metadata(owner, Target("db", policy), right(policy, labels={"theirs": "1"}))

    assert (plan.action, plan.data_changed, plan.data) == (Action.UPDATE, False, DATA)
    assert plan.labels == _labels(policy) | {"theirs": "1"}


def test_metadata_is_planned_only_for_our_secret(owner, secret, reference):
    with pytest.raises(OwnedByAnotherError):
        plan_metadata(owner, Target("db"), secret(references=[reference("other")]))


# -- deletion


def test_our_secret_is_deleted(owner, right):
    existing = right()

    plan = plan_delete(owner, Target("db"), existing, "gone at the store")

    assert (plan.action, plan.reason, plan.existing) == (Action.DELETE, "gone at the store", existing)


def test_nothing_is_deleted_where_nothing_is(owner):
    plan = plan_delete(owner, Target("db"), None, "gone")

    assert (plan.action, plan.data_changed, plan.immutable) == (Action.NOTHING, False, False)


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"controller": False}, {"kind": "PushSecret"}, {"apiVersion": "apps/v1"}, None],
)
def test_secret_that_we_do_not_control_is_never_deleted(changes, owner, secret, reference):
    """Not even with our label, which anybody can copy."""
    references = [reference(**changes)] if changes is not None else []
    existing = secret(labels=_labels("Owner"), references=references)

    with pytest.raises(OwnershipError):
        plan_delete(owner, Target("db"), existing, "gone")


def test_plan_does_not_show_values(owner, secret):
    plan = plan_write(
        owner, Target("db"), secret({"password": b"hunter2"}), SecretData({"password": b"hunter3"})
    )

    assert "hunter" not in repr(plan)


def test_owner_without_labels_is_fine():
    plan = plan_write(Owner("n", "m", "u"), Target("t"), None, SecretData())

    assert plan.annotations == {names.ANNOTATION_DATA_HASH: data_hash(SecretData())}
