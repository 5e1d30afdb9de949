"""One ExternalSecret for many namespaces: who is selected, what is right, what is written, what is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from keyferry.api.cluster_external_secret import (
    ClusterExternalSecretSpec,
    ClusterExternalSecretStatus,
    FailedNamespace,
)
from keyferry.api.conditions import Condition
from keyferry.api.model import convert
from keyferry.core import fanout
from keyferry.core.fanout import Fit, Seen, Selection
from keyferry.errors import KubeError, NotReadyError, OwnershipError, SpecError
from keyferry.kube.status import FIELD_MANAGER

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
EMBEDDED: dict[str, Any] = {
    "secretStoreRef": {"name": "store"},
    "data": [{"secretKey": "v", "remoteRef": {"key": "db"}}],
}
DEFAULTED: dict[str, Any] = {
    **EMBEDDED,
    "refreshInterval": "1h0m0s",
    "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain"},
}


def spec(**fields: Any) -> ClusterExternalSecretSpec:
    return convert({"externalSecretSpec": EMBEDDED, **fields}, ClusterExternalSecretSpec)


def want(annotations: dict[str, str] | None = None, **fields: Any) -> fanout.Wanted:
    return fanout.wanted("ces", "uid-1", annotations or {}, spec(**fields), EMBEDDED)


# Selection


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        pytest.param({}, set(), id="nothing-selects-nobody"),
        pytest.param({"namespaces": ["a", "gone"]}, {"a"}, id="names"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "x"}}}, {"b"}, id="deprecated-selector"),
        pytest.param({"namespaceSelector": {}}, {"a", "b", "c"}, id="empty-selector-takes-all"),
        pytest.param(
            {"namespaceSelectors": [{"matchLabels": {"team": "x"}}, {"matchLabels": {"team": "y"}}]},
            {"b", "c"},
            id="any-selector",
        ),
        pytest.param(
            {"namespaceSelectors": [{"matchLabels": {"team": "x"}}], "namespaces": ["a"]},
            {"a", "b"},
            id="selectors-and-names-add-up",
        ),
    ],
)
def test_namespaces_are_selected_by_any_of_the_ways(fields, taken):
    labels = {"a": {}, "b": {"team": "x"}, "c": {"team": "y"}}
    selection = Selection.of(spec(**fields))

    assert {name for name in labels if selection.takes(name, labels[name])} == taken


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"namespaceSelectors": [{}, {"matchExpressions": [{"key": "k", "operator": "Is"}]}]}, "s[1]"),
        ({"namespaceSelector": {"matchExpressions": [{"key": "k", "operator": "In"}]}}, ""),
    ],
    ids=["in-the-list", "deprecated"],
)
def test_malformed_selector_is_told_by_its_field(fields, place):
    with pytest.raises(SpecError, match="a label selector") as told:
        Selection.of(spec(**fields))

    assert told.value.message.startswith(f"spec.namespaceSelector{place}: ")


# What is wanted


def test_name_is_the_objects_own_unless_it_names_another():
    assert [want().name, want(externalSecretName="other").name] == ["ces", "other"]


def test_only_force_sync_is_passed_on():
    metadata = {"annotations": {"note": "y"}, "labels": {"team": "x"}}
    made = want({"external-secrets.io/force-sync": "1", "other": "z"}, externalSecretMetadata=metadata)

    assert made.annotations == {"note": "y", "external-secrets.io/force-sync": "1"}
    assert made.labels == {"team": "x"}


def test_document_is_owned_and_holds_the_spec_as_it_was_written():
    raw = EMBEDDED | {"later": "field"}
    made = fanout.wanted("ces", "uid-1", {}, spec(externalSecretMetadata={"labels": {"team": "x"}}), raw)

    assert fanout.document(made, "a") == {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {
            "name": "ces",
            "namespace": "a",
            "labels": {"team": "x"},
            "ownerReferences": [
                {
                    "apiVersion": "external-secrets.io/v1",
                    "kind": "ClusterExternalSecret",
                    "name": "ces",
                    "uid": "uid-1",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": raw,
    }


# By what is kept in memory


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, Fit.RIGHT, id="right"),
        pytest.param({"controller": "uid-2"}, Fit.WRONG, id="of-another"),
        pytest.param({"deleting": True}, Fit.WRONG, id="being-deleted"),
        pytest.param({"same_spec": False}, Fit.WRONG, id="other-spec"),
        pytest.param({"labels": {}}, Fit.WRONG, id="label-is-missing"),
        pytest.param({"labels": {"team": "z"}}, Fit.WRONG, id="label-has-another-value"),
        pytest.param({"annotations": {}}, Fit.WRONG, id="annotation-is-missing"),
        pytest.param({"labels": {"team": "x", "mine": "1"}}, Fit.FURTHER, id="further-label"),
        pytest.param({"annotations": {"note": "y", "mine": "1"}}, Fit.FURTHER, id="further-annotation"),
    ],
)
def test_fit_is_told_by_what_is_kept(changes, expected):
    made = want(externalSecretMetadata={"labels": {"team": "x"}, "annotations": {"note": "y"}})
    right = {
        "controller": "uid-1",
        "deleting": False,
        "labels": {"team": "x"},
        "annotations": {"note": "y"},
        "same_spec": True,
    }

    assert fanout.fit(made, Seen(**(right | changes))) is expected


@pytest.mark.parametrize(
    ("stored", "same"),
    [
        pytest.param(EMBEDDED, True, id="as-written"),
        pytest.param(DEFAULTED, True, id="with-defaults-of-the-api-server"),
        pytest.param({**DEFAULTED, "refreshInterval": "5m"}, False, id="edited"),
        pytest.param({"data": "none"}, False, id="unreadable"),
    ],
)
def test_specs_are_compared_by_what_they_mean(stored, same):
    assert fanout.is_same_spec(want().spec, msgspec.json.encode(stored)) is same


# What is read whole


def existing(**metadata: Any) -> dict[str, Any]:
    made = want(externalSecretMetadata={"labels": {"team": "x"}})
    document = fanout.document(made, "a")
    document["metadata"] |= {"uid": "es-1", "resourceVersion": "7", "managedFields": [], **metadata}
    return document | {"spec": DEFAULTED, "status": {"binding": {"name": "x"}}}


def wrote(manager: str, *labels: str, annotations: tuple[str, ...] = ()) -> dict[str, Any]:
    fields = {
        "f:labels": {f"f:{name}": {} for name in labels},
        "f:annotations": {f"f:{name}": {} for name in annotations},
    }
    return {"manager": manager, "operation": "Update", "fieldsV1": {"f:metadata": fields}}


MADE = want(externalSecretMetadata={"labels": {"team": "x"}})


def test_what_is_right_is_not_written():
    assert fanout.correction(MADE, existing()) is None


def test_labels_and_annotations_of_others_are_right():
    fields = [wrote("kubectl-label", "mine", annotations=("note",)), wrote(FIELD_MANAGER, "team")]
    found = existing(labels={"team": "x", "mine": "1"}, annotations={"note": "y"}, managedFields=fields)

    assert fanout.correction(MADE, found) is None


@pytest.mark.parametrize("manager", fanout.WRITERS)
def test_what_was_written_before_and_is_not_wanted_any_more_goes(manager):
    """Also what the reference operator wrote."""
    fields = [wrote(manager, "team", "old", annotations=("gone",)), wrote("kubectl-label", "mine")]
    labels = {"team": "x", "old": "1", "mine": "1"}
    found = existing(labels=labels, annotations={"gone": "1"}, managedFields=fields)

    body = fanout.correction(MADE, found)

    assert body is not None
    assert (body["metadata"]["labels"], body["metadata"]["annotations"]) == ({"team": "x", "mine": "1"}, {})


def test_our_field_manager_is_one_of_the_writers():
    assert FIELD_MANAGER in fanout.WRITERS


def test_edited_spec_is_replaced_and_the_write_is_guarded():
    found = existing(finalizers=["example.com/hold"]) | {"spec": {**DEFAULTED, "refreshInterval": "5m"}}

    body = fanout.correction(MADE, found)

    assert body is not None
    assert body["spec"] == EMBEDDED
    assert body["metadata"]["resourceVersion"] == "7"
    assert body["metadata"]["finalizers"] == ["example.com/hold"]
    assert "managedFields" not in body["metadata"]


def test_object_of_the_same_name_that_was_there_before_is_followed():
    """A ClusterExternalSecret that was deleted and made anew, or restored from a backup."""
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}
    stale = {**MADE.reference, "uid": "uid-0"}

    body = fanout.correction(MADE, existing(ownerReferences=[stale, other]))

    assert body is not None
    assert body["metadata"]["ownerReferences"] == [other, MADE.reference]


@pytest.mark.parametrize(
    "references",
    [
        pytest.param(None, id="nobodys"),
        pytest.param([{**MADE.reference, "name": "other"}], id="another-objects"),
        pytest.param([{**MADE.reference, "kind": "Application"}], id="another-kinds"),
        pytest.param([{**MADE.reference, "apiVersion": "example.com/v1"}], id="another-groups"),
        pytest.param([{**MADE.reference, "controller": False}], id="not-the-controller"),
    ],
)
def test_external_secret_of_somebody_else_is_refused(references):
    with pytest.raises(OwnershipError) as told:
        fanout.correction(MADE, existing(ownerReferences=references))

    assert told.value.message == "external secret already exists in namespace"


def test_external_secret_that_is_being_deleted_is_waited_for():
    with pytest.raises(NotReadyError, match="is being deleted"):
        fanout.correction(MADE, existing(deletionTimestamp="2026-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("references", "controlled"),
    [
        (None, False),
        ([{"uid": "uid-1"}], False),
        ([{"uid": "uid-2", "controller": True}], False),
        ([{"uid": "uid-2"}, {"uid": "uid-1", "controller": True}], True),
    ],
)
def test_only_what_is_controlled_is_deleted(references, controlled):
    assert fanout.is_controlled(existing(ownerReferences=references), "uid-1") is controlled


# What goes


def test_obsolete_are_those_elsewhere_and_those_of_a_former_name():
    ours = [("b", "old"), ("a", "old"), ("a", "new"), ("left", "new"), ("left", "old")]

    found = fanout.obsolete("new", selected={"a", "b"}, provisioned={"a"}, ours=ours)

    assert found == [("a", "old"), ("left", "new"), ("left", "old")]


# When again


@pytest.mark.parametrize(
    ("fields", "pause"),
    [
        pytest.param({}, 3600.0, id="an-hour-by-default"),
        pytest.param({"refreshTime": "5m"}, 300.0, id="as-it-says"),
        pytest.param({"refreshTime": "1ms"}, 1.0, id="not-without-a-pause"),
        pytest.param({"refreshTime": "0s"}, None, id="never"),
    ],
)
def test_pause_is_that_of_the_spec(fields, pause):
    assert fanout.pause_s(spec(**fields)) == pause


# Status


def ready(**fields: Any) -> Condition:
    return Condition(type="Ready", last_transition_time="2026-01-05T10:00:00Z", **fields)


def told(
    before: ClusterExternalSecretStatus, failed: dict[str, Any], provisioned: set[str], generation: int = 1
) -> ClusterExternalSecretStatus:
    later = (generation, NOW + timedelta(hours=generation - 1))
    return fanout.spread_status(before, "ces", provisioned, failed, later)


def test_status_where_all_is_well_has_sorted_namespaces_and_no_message():
    assert told(ClusterExternalSecretStatus(), {}, {"b", "a"}) == ClusterExternalSecretStatus(
        external_secret_name="ces",
        provisioned_namespaces=("a", "b"),
        conditions=(ready(status="True", observed_generation=1),),
    )


def test_status_of_a_failure_counts_and_tells_the_first_cause():
    failed = {
        "d": KubeError("later"),
        "b": OwnershipError(fanout.MESSAGE_CLASH, hint="Delete it"),
    }
    message = (
        'one or more namespaces failed (2 of 4): namespace "b": external secret already exists in namespace. '
        "Delete it"
    )

    assert told(ClusterExternalSecretStatus(), failed, {"a", "c"}) == ClusterExternalSecretStatus(
        external_secret_name="ces",
        failed_namespaces=(
            FailedNamespace(namespace="b", reason="external secret already exists in namespace"),
            FailedNamespace(namespace="d", reason="later"),
        ),
        provisioned_namespaces=("a", "c"),
        conditions=(ready(status="False", message=message, observed_generation=1),),
    )


@pytest.mark.parametrize(("namespaces", "longest"), [(1_000, 256), (5_000, 80), (10_000, 40)])
def test_long_reasons_are_cut_so_that_the_status_can_be_stored(namespaces, longest):
    """etcd takes 1.5 MiB."""
    failed = {f"{number:063}": KubeError("x" * 900) for number in range(namespaces)}
    status = told(ClusterExternalSecretStatus(), failed, set())

    assert {len(one.reason) for one in status.failed_namespaces} == {longest}
    assert len(msgspec.json.encode(status)) < 1.5 * 2**20 - 50_000


def test_same_outcome_gives_the_same_status_and_time_moves_with_the_state_only():
    first = told(ClusterExternalSecretStatus(), {}, {"a"})
    failed = told(first, {"a": KubeError("no")}, set(), generation=2)

    assert told(first, {}, {"a"}) == first
    assert told(first, {}, {"a"}, generation=3).conditions[0].last_transition_time == "2026-01-05T10:00:00Z"
    assert failed.conditions[0].last_transition_time == "2026-01-05T11:00:00Z"


def test_refusal_of_the_spec_keeps_what_is_known_and_other_conditions():
    other = Condition(type="Other", status="True")
    before = ClusterExternalSecretStatus(
        external_secret_name="ces", provisioned_namespaces=("a",), conditions=(other,)
    )

    after = fanout.refused_status(before, SpecError("spec.x: wrong"), (2, NOW))

    assert after.provisioned_namespaces == ("a",)
    assert after.conditions == (other, ready(status="False", message="spec.x: wrong", observed_generation=2))


def test_message_of_a_status_is_that_of_its_ready_condition():
    assert fanout.ready_message(ClusterExternalSecretStatus()) == ""
    assert fanout.ready_message(told(ClusterExternalSecretStatus(), {"a": KubeError("no")}, set())) != ""


# Reading the spec


def test_spec_is_read_with_what_it_embeds_as_it_was_written():
    typed, raw = fanout.load(msgspec.json.encode({"externalSecretSpec": EMBEDDED | {"later": 1}}))

    assert typed == spec()
    assert raw == EMBEDDED | {"later": 1}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "externalSecretSpec"),
        (
            {"externalSecretSpec": {**EMBEDDED, "refreshInterval": "1d"}},
            'refreshInterval "1d": not a duration',
        ),
        ({"externalSecretSpec": EMBEDDED, "refreshTime": "often"}, 'refreshTime "often"'),
    ],
    ids=["without-anything", "embedded-interval", "own-interval"],
)
def test_spec_that_cannot_be_used_is_told_by_its_field(body, told):
    with pytest.raises(SpecError) as error:
        fanout.load(msgspec.json.encode(body))

    assert told in error.value.message
