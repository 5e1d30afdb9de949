"""Targets of templates: their type, finalizers and metadata, and objects that are filled by places."""

from __future__ import annotations

import dataclasses

import pytest

from keyferry.api import names
from keyferry.api.external_secret import Template
from keyferry.api.model import convert
from keyferry.core.desired import (
    Action,
    ExistingSecret,
    ImmutableError,
    Owner,
    SecretPlan,
    Target,
    is_intact,
    lacks_rendered,
    plan_metadata,
    plan_write,
)
from keyferry.core.fieldpath import Fields
from keyferry.core.hashing import field_manager, hash_text
from keyferry.core.manifest import Manifest, fields_as_of_a_secret, read_data
from keyferry.core.ownership import owned_fields
from keyferry.errors import ON_CHANGE, SpecError
from keyferry.secretdata import SecretData

TOKEN, ACCOUNT, UID = (
    names.SERVICE_ACCOUNT_TOKEN_TYPE,
    names.SERVICE_ACCOUNT_NAME_ANNOTATION,
    names.SERVICE_ACCOUNT_UID_ANNOTATION,
)
WIDGET, CONFIG_MAP = Manifest("example.com/v1", "Widget"), Manifest("v1", "ConfigMap")
DATA = SecretData({"a": "1"})
MADE = Owner("team-a", "db", "uid-of-db", {"from": "template"}, {})
"""The owner with what a template made."""


def target(manifest: Manifest | None = None, policy: str = "Owner", *, immutable: bool = False, **template):
    return Target("db", policy, immutable=immutable, manifest=manifest, template=convert(template, Template))


def written(plan: SecretPlan, *, finalizers: list[str] | None = None) -> ExistingSecret:
    """The Secret after a plan was carried out, as the API server has it."""
    kept = list(plan.finalizers or ()) if finalizers is None else finalizers
    marks = {
        "f:labels": {f"f:{key}": {} for key in plan.labels},
        "f:annotations": {f"f:{key}": {} for key in plan.annotations},
        "f:finalizers": {".": {}, **{f'v:"{one}"': {} for one in plan.finalizers or ()}},
    }
    fields = {"f:data": {f"f:{key}": {} for key in plan.data}, "f:metadata": marks}
    metadata = {
        "name": "db",
        "labels": dict(plan.labels),
        "annotations": dict(plan.annotations),
        "ownerReferences": plan.owner_references,
        "finalizers": kept,
        "managedFields": [{"manager": plan.manager, "fieldsV1": fields}],
    }
    return ExistingSecret("uid-1", "7", metadata, plan.type, plan.immutable, plan.data)


def plan(
    wanted: Target, existing: ExistingSecret | None = None, data: SecretData | None = DATA
) -> SecretPlan:
    return plan_write(MADE, wanted, existing, data)


# -- type


def test_secret_has_the_type_of_its_template():
    wanted = target(type="kubernetes.io/tls")

    made = plan(wanted)

    assert made.type == "kubernetes.io/tls"
    assert plan(wanted, written(made)).action is Action.NOTHING
    assert plan(target()).type == "Opaque"
    assert plan(target(), written(made)).type == "kubernetes.io/tls"


def test_secret_of_another_type_is_told_and_not_written():
    existing = written(plan(target()))

    with pytest.raises(SpecError) as caught:
        plan(target(type="kubernetes.io/tls"), existing)

    assert caught.value.message == (
        'Secret "team-a/db" has type "Opaque", and spec.target.template.type is "kubernetes.io/tls": '
        "the type of a Secret cannot change"
    )
    assert (caught.value.hint, caught.value.retry) == (
        "Delete it, or use another spec.target.name",
        ON_CHANGE,
    )


# -- finalizers


def test_finalizers_are_set_and_taken_off_again():
    wanted = target(metadata={"finalizers": ["x/a", "x/b"]})
    first = plan(wanted)
    existing = written(first, finalizers=["theirs", "x/a", "x/b"])

    assert first.finalizers == ("x/a", "x/b")
    assert plan(target()).finalizers is None
    assert plan(wanted, existing).action is Action.NOTHING
    other = plan(target(metadata={"finalizers": ["x/c", "x/b"]}), existing)
    assert (other.action, other.reason) == (Action.UPDATE, "its metadata changed")
    assert other.finalizers == ("theirs", "x/b", "x/c")


def test_finalizer_that_its_controller_took_off_comes_back_with_a_write_only():
    wanted = target(metadata={"finalizers": ["x/a"]})
    existing = written(plan(wanted), finalizers=[])

    assert plan_metadata(MADE, wanted, existing).finalizers is None
    changed = plan(wanted, existing, SecretData({"a": "2"}))
    assert (changed.reason, changed.finalizers) == ("its data changed", ("x/a",))


def test_secret_that_is_being_deleted_takes_no_finalizer():
    wanted = target(metadata={"finalizers": ["x/a"]})
    existing = written(plan(wanted), finalizers=["theirs"])
    leaving = dataclasses.replace(existing, metadata={**existing.metadata, "deletionTimestamp": "now"})

    assert plan(wanted, leaving).action is Action.NOTHING


@pytest.mark.parametrize("fields", ["x", {"v:1x": {}, "v:": {}, 'k:"a"': {}, 5: {}}])
def test_finalizers_of_an_odd_shape_are_nobodys(fields):
    managed = [{"manager": "m", "fieldsV1": {"f:metadata": {"f:finalizers": fields}}}]

    assert owned_fields(managed, "m").finalizers == frozenset()


# -- metadata


def relabelled(existing: ExistingSecret, **labels: str | None) -> ExistingSecret:
    """The same after somebody changed labels (None removes one)."""
    found = {**existing.labels, **labels}
    left = {key: value for key, value in found.items() if value is not None}
    return dataclasses.replace(existing, metadata={**existing.metadata, "labels": left})


def test_fixed_metadata_is_put_right_without_values():
    wanted = target(metadata={"labels": {"from": "template"}, "annotations": {"note": "x"}})
    owner = Owner("team-a", "db", "uid-of-db", {"app": "shop"}, {"copied": "never"})
    made = plan_write(dataclasses.replace(MADE, annotations={"note": "x"}), wanted, None, DATA)
    existing = written(made)

    assert plan_metadata(owner, wanted, existing).action is Action.NOTHING
    mended = plan_metadata(owner, wanted, relabelled(existing, **{"from": "elsewhere"}))
    assert (mended.action, mended.labels, mended.annotations) == (
        Action.UPDATE,
        made.labels,
        made.annotations,
    )
    assert not lacks_rendered(wanted, existing)


def test_metadata_that_was_made_of_values_is_left_and_told_when_it_is_gone():
    wanted = target(metadata={"labels": {"from": "{{ .a }}", "app": "x"}, "annotations": {"n": "{{ .a }}"}})
    owner = dataclasses.replace(MADE, labels={"from": "a", "app": "x"}, annotations={"n": "a"})
    existing = written(plan_write(owner, wanted, None, DATA))

    assert plan_metadata(MADE, wanted, existing).action is Action.NOTHING
    changed = relabelled(existing, **{"from": "other", "app": None})
    assert plan_metadata(MADE, wanted, changed).labels["from"] == "other"
    assert plan_metadata(MADE, wanted, changed).labels["app"] == "x"
    assert not lacks_rendered(wanted, existing)
    assert lacks_rendered(wanted, relabelled(existing, **{"from": None}))
    bare = dataclasses.replace(existing, metadata={**existing.metadata, "annotations": {}})
    assert lacks_rendered(wanted, bare)
    assert not lacks_rendered(Target("db"), bare)


@pytest.mark.parametrize("kind", ["labels", "annotations"])
def test_metadata_that_any_template_may_have_made_is_left(kind):
    wanted = target(templateFrom=[{"literal": "a: b", "target": kind}], metadata={kind: {"fixed": "x"}})
    bare = dataclasses.replace(MADE, labels={})
    owner = dataclasses.replace(bare, **{kind: {"open": "o", "fixed": "x"}})
    existing = written(plan_write(owner, wanted, None, DATA))

    assert plan_metadata(MADE, wanted, existing).action is Action.NOTHING


def test_what_the_target_holds_can_be_kept_while_its_metadata_changes():
    existing = written(plan(target()))
    other = dataclasses.replace(MADE, labels={"new": "label"})

    kept = plan_write(other, target(), existing, None)

    assert (kept.action, kept.reason, kept.data) == (Action.UPDATE, "its metadata changed", DATA)
    assert kept.labels["new"] == "label"
    assert "from" not in kept.labels


# -- objects that are filled by places

FIELDS: Fields = ((("spec", "size"), 3), (("spec", "rules", 0, "host"), "h"))


def placed(
    document: dict[str, object], plan: SecretPlan | None = None, *, ours: object = None, **fields
) -> ExistingSecret:
    """A Widget as the API server has it, after a plan or not."""
    managed = [{"manager": field_manager("db"), "fieldsV1": ours or {}}]
    metadata = {"name": "db", "managedFields": managed, **fields}
    if plan is not None:
        metadata |= {
            "labels": dict(plan.labels),
            "annotations": dict(plan.annotations),
            "ownerReferences": plan.owner_references,
        }
    whole = {**document, "metadata": metadata}
    known = {**metadata, "managedFields": fields_as_of_a_secret(WIDGET, managed)}
    return ExistingSecret("uid-1", "7", known, "", False, read_data(WIDGET, whole), WIDGET, whole)


def by_fields(existing: ExistingSecret | None, fields: Fields = FIELDS, manifest: Manifest = WIDGET):
    wanted = target(manifest, templateFrom=[{"literal": "x", "target": "spec.x"}])
    return plan_write(MADE, wanted, existing, SecretData(), fields=fields)


def test_object_is_made_of_its_fields():
    made = by_fields(None)

    assert (made.action, made.by_fields) == (Action.CREATE, True)
    assert made.document == {"spec": {"size": 3, "rules": [{"host": "h"}]}}
    assert made.annotations[names.ANNOTATION_DATA_HASH] == hash_text("map[rules:[map[host:h]] size:3]")


def test_object_that_holds_its_fields_is_right():
    made = by_fields(None)
    existing = placed(dict(made.document), made)

    again = by_fields(existing)

    assert (again.action, again.reason) == (Action.NOTHING, "the Widget is right")
    assert is_intact(existing)


def test_what_is_beside_the_fields_stays_and_former_fields_go():
    made = by_fields(None)
    document = {"spec": {"size": 3, "theirs": 1, "former": 2, "rules": [{"host": "other", "port": 1}]}}
    existing = placed(document, made, ours={"f:spec": {"f:size": {}, "f:former": {}, "f:rules": {}}})

    changed = by_fields(existing)

    assert (changed.action, changed.reason) == (Action.UPDATE, "its data changed")
    assert changed.document["spec"] == {"size": 3, "theirs": 1, "rules": [{"host": "h", "port": 1}]}


def test_immutable_config_map_with_other_fields_is_told():
    existing = dataclasses.replace(placed({"data": {"a": "b"}}), immutable=True, manifest=CONFIG_MAP)

    with pytest.raises(ImmutableError):
        by_fields(existing, ((("data", "a"), "c"),), CONFIG_MAP)


@pytest.mark.parametrize("changed", [{ACCOUNT: "admin"}, {UID: "uid-of-admin"}, {ACCOUNT: "admin", UID: "x"}])
@pytest.mark.parametrize("policy", ["Owner", "Merge", "Orphan", "CreateOrMerge"])
def test_token_of_an_account_never_becomes_another_accounts(secret, policy, changed):
    """The cluster would put that account's token into the Secret as soon as the data has none."""
    existing = dataclasses.replace(secret({}, annotations={ACCOUNT: "app", UID: "uid-of-app"}), type=TOKEN)
    owner = dataclasses.replace(MADE, annotations=changed)

    with pytest.raises(SpecError, match="holds the token of a ServiceAccount"):
        plan_write(owner, target(policy=policy), existing, SecretData({"token": ""}))
    with pytest.raises(SpecError, match="holds the token of a ServiceAccount"):
        plan_metadata(owner, Target("db", policy), existing)
    assert plan_write(MADE, target(policy=policy), existing, DATA).action is Action.UPDATE


@pytest.mark.parametrize("policy", ["Owner", "Merge", "Orphan", "CreateOrMerge"])
def test_token_that_lets_nodes_join_is_not_written(secret, policy):
    existing = dataclasses.replace(secret({}), type=names.BOOTSTRAP_TOKEN_TYPE)

    with pytest.raises(SpecError, match="lets nodes join the cluster"):
        plan_write(MADE, target(policy=policy), existing, DATA)


def test_label_of_ours_that_a_template_makes_is_not_looked_for(secret):
    """Or a target that is merged into, which has none, would be read and planned at every look."""
    wanted = target(policy="Merge", metadata={"labels": {names.LABEL_CREATED_BY: "{{ .v }}"}})

    assert not lacks_rendered(wanted, secret(DATA))
