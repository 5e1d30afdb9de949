"""Writing once is enough: the plan made on the result of a write is to write nothing.

The API server's part, the book-keeping of managed fields on an update, is told here in a few lines.
Source: Kubernetes documentation, Server-Side Apply, "Field management".
"""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from keyferry.api import names
from keyferry.core.desired import (
    Action,
    ExistingSecret,
    ImmutableError,
    Owner,
    Target,
    is_intact,
    plan_metadata,
    plan_write,
)
from keyferry.core.hashing import data_hash, field_manager
from keyferry.errors import OwnershipError
from keyferry.secretdata import SecretData

OURS, THEIRS = field_manager("db"), "kubectl-edit"
KEYS = st.sampled_from(["a", "b", "c", "d"])
LABELS = st.sampled_from(["l1", "l2", names.LABEL_MANAGED, names.LABEL_CREATED_BY])
ANNOTATIONS = st.sampled_from(["n1", "n2", names.ANNOTATION_DATA_HASH])
BOOLEANS = st.booleans()
VALUES = st.sampled_from(["", "x", "true"])
POLICIES = st.sampled_from(["Owner", "Orphan", "Merge", "CreateOrMerge", "None"])


def _reference(kind, name, uid, controller, version):
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": controller}


REFERENCES = st.builds(
    _reference,
    st.sampled_from(["ExternalSecret", "Deployment"]),
    st.sampled_from(["db", "other"]),
    st.sampled_from(["u1", "u2"]),
    st.booleans(),
    st.sampled_from(["external-secrets.io/v1", "external-secrets.io/v1beta1", "apps/v1"]),
)
OWNERS = st.builds(
    Owner,
    st.just("n"),
    st.just("db"),
    st.just("u1"),
    st.dictionaries(LABELS, VALUES),
    st.dictionaries(ANNOTATIONS, VALUES),
)
DATA = st.dictionaries(KEYS, st.binary(max_size=2)).map(SecretData)
TARGETS = st.builds(Target, st.just("db"), POLICIES, st.just("Retain"), st.booleans())


def _managed(manager, data, labels, annotations):
    def fields(keys):
        return {".": {}, **{f"f:{key}": {} for key in keys}}

    metadata = {"f:labels": fields(labels), "f:annotations": fields(annotations)}
    return {"manager": manager, "fieldsV1": {"f:data": fields(data), "f:metadata": metadata}}


@st.composite
def _existing(draw, immutable=BOOLEANS):
    data = draw(DATA)
    labels = draw(st.dictionaries(LABELS, VALUES))
    annotations = draw(st.dictionaries(ANNOTATIONS, VALUES))
    references = draw(st.lists(REFERENCES, max_size=3))
    assume(sum(reference["controller"] for reference in references) <= 1)

    def some(keys):
        return draw(st.sets(st.sampled_from(sorted(keys)))) if keys else set()

    metadata = {
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": references,
        "managedFields": [
            _managed(manager, some(data), some(labels), some(annotations)) for manager in (OURS, THEIRS)
        ],
    }
    return ExistingSecret("u", "1", metadata, "Opaque", draw(immutable), data)


def _changed(before, after):
    return {key for key in after if key not in before or before[key] != after[key]}


def _names_of(existing, manager):
    fields = next(e for e in existing.metadata["managedFields"] if e["manager"] == manager)["fieldsV1"]
    meta = fields["f:metadata"]
    return [
        {k[2:] for k in f if k != "."} for f in (fields["f:data"], meta["f:labels"], meta["f:annotations"])
    ]


def _applied(plan):
    """The Secret that the API server has after the plan was carried out."""
    before = plan.existing or ExistingSecret(
        "u",
        "0",
        {"managedFields": [_managed(m, (), (), ()) for m in (OURS, THEIRS)]},
        "Opaque",
        False,
        SecretData(),
    )
    pairs = [(before.data, plan.data), (before.labels, plan.labels), (before.annotations, plan.annotations)]
    ours, theirs = [], []
    for (old, new), mine, others in zip(
        pairs, _names_of(before, OURS), _names_of(before, THEIRS), strict=True
    ):
        changed = _changed(old, new)
        ours.append((mine | changed) & set(new))
        theirs.append((others - changed) & set(new))
    metadata = {
        "labels": dict(plan.labels),
        "annotations": dict(plan.annotations),
        "ownerReferences": list(plan.owner_references),
        "managedFields": [_managed(OURS, *ours), _managed(THEIRS, *theirs)],
    }
    return ExistingSecret("u", "2", metadata, plan.type, plan.immutable, plan.data)


@given(OWNERS, TARGETS, st.none() | _existing(), DATA)
def test_second_plan_is_to_write_nothing(owner, target, existing, data):
    try:
        plan = plan_write(owner, target, existing, data)
    except (OwnershipError, ImmutableError):
        return
    if plan.action not in (Action.CREATE, Action.UPDATE):
        assert plan.action is Action.NOTHING or (existing is None and target.creation_policy == "Merge")
        return
    after = _applied(plan)

    assert is_intact(after)
    assert plan_write(owner, target, after, data).action is Action.NOTHING
    assert plan_metadata(owner, target, after).action is Action.NOTHING


@given(OWNERS, TARGETS, _existing(), DATA)
def test_nothing_of_others_is_lost(owner, target, existing, data):
    try:
        plan = plan_write(owner, target, existing, data)
    except (OwnershipError, ImmutableError):
        return
    assume(plan.action is Action.UPDATE)
    data_ours, labels_ours, annotations_ours = _names_of(existing, OURS)

    assert set(existing.labels) - labels_ours - {names.LABEL_CREATED_BY} <= set(plan.labels)
    assert set(existing.annotations) - annotations_ours <= set(plan.annotations)
    if target.creation_policy in ("Merge", "CreateOrMerge"):
        assert set(existing.data) - data_ours <= set(plan.data)
    foreign = [r for r in existing.owner_references if r["name"] != "db" or r["kind"] != "ExternalSecret"]
    assert all(reference in plan.owner_references for reference in foreign)


@given(OWNERS, TARGETS, st.none() | _existing(), DATA)
def test_at_most_one_controller_is_asked_for(owner, target, existing, data):
    try:
        plan = plan_write(owner, target, existing, data)
    except (OwnershipError, ImmutableError):
        return

    assert sum(bool(reference.get("controller")) for reference in plan.owner_references) <= 1


@given(OWNERS, TARGETS, _existing(immutable=st.just(True)), DATA)
def test_immutable_data_is_never_touched(owner, target, existing, data):
    try:
        plan = plan_write(owner, target, existing, data)
    except (OwnershipError, ImmutableError):
        return

    assert plan.action is Action.NOTHING or (plan.data == existing.data and plan.immutable)


@given(OWNERS, TARGETS, _existing(immutable=st.just(True)), DATA)
def test_hash_is_never_written_on_immutable_data_of_others(owner, target, existing, data):
    """Where the plan stands, the data is what was asked for, or was ours before."""
    try:
        plan = plan_write(owner, target, existing, data)
    except (OwnershipError, ImmutableError):
        return
    assume(plan.action is Action.UPDATE)
    keeps = {} if target.creation_policy in ("Owner", "Orphan") else dict(existing.data)

    noted = existing.annotations.get(names.ANNOTATION_DATA_HASH)
    assert noted == data_hash(existing.data) or {**keeps, **data}.items() >= dict(existing.data).items()
