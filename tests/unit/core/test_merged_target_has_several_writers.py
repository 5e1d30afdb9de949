"""Labels and annotations of a target that several ExternalSecrets merge into: nobody takes another's."""

from __future__ import annotations

import pytest

from keyferry.api import names
from keyferry.core.desired import Action, ExistingSecret, Target, plan_metadata, plan_write
from keyferry.core.hashing import data_hash, field_manager
from keyferry.secretdata import SecretData

DATA = SecretData({"password": b"new"})
OTHER = field_manager("other")
MERGING = ["Merge", "CreateOrMerge"]


@pytest.fixture
def shared(secret):
    """A target with our labels, whose label `app` and annotation `note` another one wrote after us.

    Where both wrote the same value, both own it.
    """

    def build(
        *, manager: str = OTHER, app: str = "theirs", ours: frozenset[str] = frozenset()
    ) -> ExistingSecret:
        made = secret(
            DATA,
            labels={"app": app, names.LABEL_MANAGED: "true"},
            annotations={"note": "theirs", names.ANNOTATION_DATA_HASH: data_hash(DATA)},
            ours={"data": set(DATA), "labels": {*ours, names.LABEL_MANAGED}},
        )
        fields = {"f:metadata": {"f:labels": {"f:app": {}}, "f:annotations": {"f:note": {}}}}
        made.metadata["managedFields"].append({"manager": manager, "fieldsV1": fields})
        return made

    return build


@pytest.mark.parametrize("policy", MERGING)
def test_what_another_wrote_is_no_drift(owner, shared, policy):
    assert plan_metadata(owner, Target("db", policy), shared()).action is Action.NOTHING


@pytest.mark.parametrize("policy", MERGING)
def test_a_refresh_leaves_what_a_living_other_wrote(owner, shared, policy):
    plan = plan_write(owner, Target("db", policy), shared(), DATA, frozenset({"other"}))

    assert plan.action is Action.NOTHING


@pytest.mark.parametrize("policy", MERGING)
def test_a_refresh_replaces_what_an_other_left_that_is_gone(owner, shared, policy):
    plan = plan_write(owner, Target("db", policy), shared(), DATA)

    assert plan.action is Action.UPDATE
    assert (plan.labels["app"], plan.annotations["note"]) == ("shop", "hello")


@pytest.mark.parametrize("manager", ["kubectl-edit", field_manager("db")])
def test_what_people_changed_is_put_right(owner, shared, manager):
    """And what we ourselves wrote before is ours to change."""
    plan = plan_metadata(owner, Target("db", "Merge"), shared(manager=manager))

    assert plan.labels["app"] == "shop"


def test_the_owner_of_a_target_puts_right_what_anybody_wrote(owner, shared):
    plan = plan_metadata(owner, Target("db", "Owner"), shared())

    assert plan.labels["app"] == "shop"


def test_label_that_both_wrote_alike_stays_when_one_wants_another_value(owner, shared):
    plan = plan_write(
        owner, Target("db", "Merge"), shared(app="both", ours=frozenset({"app"})), DATA, frozenset({"other"})
    )

    assert plan.labels["app"] == "both"


def test_data_of_a_refresh_is_written_all_the_same(owner, shared):
    newer = SecretData({"password": b"newer"})

    plan = plan_write(owner, Target("db", "Merge"), shared(), newer, frozenset({"other"}))

    assert (plan.action, dict(plan.data)) == (Action.UPDATE, dict(newer))
    assert plan.annotations[names.ANNOTATION_DATA_HASH] == data_hash(newer)
    assert plan.labels["app"] == "theirs"
