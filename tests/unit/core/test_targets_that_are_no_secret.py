"""Targets of other kinds: where the values are, what they hash to, and the plan that writes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api import names
from keyferry.core.desired import (
    Action,
    ExistingSecret,
    ImmutableError,
    OwnedByAnotherError,
    Owner,
    Target,
    is_intact,
    plan_delete,
    plan_metadata,
    plan_write,
)
from keyferry.core.hashing import field_manager, hash_text, object_hash
from keyferry.core.manifest import (
    Manifest,
    check_manifest,
    content_hash,
    fields_as_of_a_secret,
    manifest_of,
    read_data,
    with_data,
)
from keyferry.core.summarize import Outcome, of_resource, told_of_resource
from keyferry.errors import ON_CHANGE, OwnershipError, RenderError, SpecError
from keyferry.secretdata import SecretData

CONFIG_MAP = Manifest("v1", "ConfigMap")
WIDGET = Manifest("example.com/v1", "Widget")
BOTH = [pytest.param(CONFIG_MAP, id="a ConfigMap"), pytest.param(WIDGET, id="another kind")]
OWNER = Owner("team-a", "db", "uid-of-db", {"app": "shop"}, {"note": "hello"})


def document(manifest: Manifest, data: dict[str, object], **fields) -> dict[str, object]:
    """An object as the API server has it, with values in their place."""
    place = {"data": data} if manifest.is_config_map else {"spec": {"size": 3, "data": data}}
    return {"apiVersion": manifest.api_version, "kind": manifest.kind, **place, **fields}


def existing(
    manifest: Manifest, data: dict[str, object], *, ours: tuple[str, ...] = (), **metadata
) -> ExistingSecret:
    """An object that exists. `ours` names the keys that the manager of ExternalSecret db owns."""
    owned = {"f:data": {".": {}, **{f"f:{key}": {} for key in ours}}}
    fields = owned if manifest.is_config_map else {"f:spec": owned}
    managed = [{"manager": field_manager("db"), "fieldsV1": {**fields, "f:metadata": {}}}]
    whole = document(manifest, data)
    known = {"name": "db", "managedFields": fields_as_of_a_secret(manifest, managed), **metadata}
    values = read_data(manifest, whole)
    immutable = bool(metadata.pop("immutable", False))
    return ExistingSecret("uid-1", "7", known, "", immutable, values, manifest, whole)


def target(manifest: Manifest, policy: str = "Owner", **fields) -> Target:
    return Target("db", policy, manifest=manifest, **fields)


# -- where values are, and what they hash to


@pytest.mark.parametrize("manifest", BOTH)
def test_values_are_read_from_their_place_and_put_back_there(manifest):
    before = document(manifest, {"a": "old", "b": "gone"}, status={"ready": True})

    after = with_data(manifest, before, SecretData({"a": "new", "ü": "é"}))

    assert after == document(manifest, {"a": "new", "ü": "é"}, status={"ready": True})
    assert read_data(manifest, after) == SecretData({"a": "new", "ü": "é"})


def test_values_of_a_new_object_have_a_place():
    assert with_data(CONFIG_MAP, {}, SecretData({"a": "b"})) == {"data": {"a": "b"}}
    assert with_data(WIDGET, {}, SecretData({"a": "b"})) == {"spec": {"data": {"a": "b"}}}


@pytest.mark.parametrize(
    "found", [{}, {"spec": None}, {"spec": "x"}, {"spec": {}}, {"spec": {"data": [1]}}, {"data": "x"}]
)
@pytest.mark.parametrize("manifest", BOTH)
def test_object_of_an_odd_shape_has_no_values(manifest, found):
    assert read_data(manifest, found) == SecretData()


def test_what_is_no_text_is_kept_as_it_is():
    data = {"number": 1, "truth": True, "nothing": None, "list": [1, {"a": 1.5}], "text": "1"}
    before = document(WIDGET, data)

    values = read_data(WIDGET, before)

    assert with_data(WIDGET, before, values) == before
    assert values["number"] != values["text"]


@pytest.mark.parametrize("manifest", BOTH)
def test_value_that_is_no_text_in_utf_8_is_refused_by_its_key(manifest):
    with pytest.raises(RenderError) as caught:
        with_data(manifest, {}, SecretData({"a": "b", "raw": b"\xff"}))

    assert caught.value.message == f"the value for 'raw' is not UTF-8, and a {manifest.kind} holds text only"


def test_hash_is_over_the_data_of_a_config_map_and_the_spec_of_others():
    data = {"b": "2", "a": "1 x"}

    assert content_hash(CONFIG_MAP, document(CONFIG_MAP, data)) == hash_text("map[a:1 x b:2]")
    assert content_hash(WIDGET, {"spec": {"data": data}}) == hash_text("map[data:map[a:1 x b:2]]")
    assert content_hash(WIDGET, document(WIDGET, data)) == hash_text("map[data:map[a:1 x b:2] size:3]")


def test_hash_of_an_object_without_a_spec_is_over_what_else_it_holds():
    head = {"apiVersion": "x/v1", "kind": "Rules", "metadata": {"name": "db"}, "status": {"ready": True}}

    assert content_hash(CONFIG_MAP, {**head}) == hash_text("map[]")
    assert content_hash(WIDGET, {**head, "data": {"a": "b"}, "rules": ["c"]}) == hash_text("map[a:b]")
    assert content_hash(WIDGET, {**head, "rules": ["c"]}) == hash_text("map[rules:[c]]")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(
            '{"b":[1.5,true,false,null,"x y",{"q":{}}],"é":"ü"}',
            "map[b:[1.5 true false <nil> x y map[q:map[]]] é:ü]",
            id="all kinds",
        ),
        pytest.param("[]", "[]", id="an empty list"),
        pytest.param("[1, -1, 9223372036854775807]", "[1 -1 9223372036854775807]", id="integers"),
        pytest.param("[9223372036854775808]", "[9.223372036854776e+18]", id="an integer beyond 64 bits"),
        pytest.param("[0.0, 1.0, 100000.0, 1e20, 1e21, 0.1]", "[0 1 100000 1e+20 1e+21 0.1]", id="floats"),
        pytest.param(
            "[1e-4, 1.5e-5, -2.5e-7, 5e-324]", "[0.0001 1.5e-05 -2.5e-07 5e-324]", id="small floats"
        ),
        pytest.param("[12345678.9, -1.25e30, 1e100]", "[1.23456789e+07 -1.25e+30 1e+100]", id="large floats"),
    ],
)
def test_objects_are_hashed_as_go_prints_them(value, text):
    """The texts are what Go's fmt makes of them with %+v."""
    assert object_hash(json.loads(value)) == hash_text(text)


def test_object_that_is_nested_too_deep_is_refused():
    deep: object = "x"
    for _ in range(300):
        deep = [deep]

    with pytest.raises(RenderError, match="nested deeper than 200 levels"):
        object_hash(deep)


def test_fields_of_managers_are_found_under_the_spec():
    managed = [
        {"manager": "a", "fieldsV1": {"f:spec": {"f:data": {"f:x": {}}}, "f:metadata": {"f:labels": {}}}},
        {"manager": "b", "fieldsV1": {"f:data": {"f:not-ours": {}}, "f:spec": "odd"}},
        {"manager": "c"},
    ]

    moved = fields_as_of_a_secret(WIDGET, managed)

    assert [entry["fieldsV1"]["f:data"] for entry in moved] == [{"f:x": {}}, None, None]
    assert [entry["fieldsV1"]["f:metadata"] for entry in moved] == [{"f:labels": {}}, None, None]
    assert fields_as_of_a_secret(CONFIG_MAP, managed) == managed


# -- plans


@pytest.mark.parametrize("manifest", BOTH)
def test_new_object_has_the_marks_of_a_target(manifest):
    plan = plan_write(OWNER, target(manifest), None, SecretData({"a": "1"}))

    assert (plan.action, plan.reason) == (Action.CREATE, f"the {manifest.kind} does not exist")
    assert plan.manifest == manifest
    assert plan.labels == {
        "app": "shop",
        names.LABEL_MANAGED: "true",
        names.LABEL_CREATED_BY: plan.labels[names.LABEL_CREATED_BY],
    }
    assert plan.annotations["note"] == "hello"
    place = {"data": {"a": "1"}}
    hashed = content_hash(manifest, place if manifest.is_config_map else {"spec": place})
    assert plan.annotations[names.ANNOTATION_DATA_HASH] == hashed
    assert [reference["uid"] for reference in plan.owner_references] == ["uid-of-db"]


def written(
    manifest: Manifest, policy: str, data: dict[str, str], before: ExistingSecret | None = None
) -> ExistingSecret:
    """What is there after a plan for this data was carried out."""
    plan = plan_write(OWNER, target(manifest, policy), before, SecretData(data))
    values = {key: value.reveal().decode() for key, value in plan.data.items()}
    return existing(
        manifest,
        values,
        ours=tuple(data),
        labels=dict(plan.labels),
        annotations=dict(plan.annotations),
        ownerReferences=plan.owner_references,
    )


texts = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.text(max_size=3), max_size=4)


@given(
    st.sampled_from([CONFIG_MAP, WIDGET]),
    st.sampled_from(["Owner", "Orphan", "Merge", "CreateOrMerge"]),
    texts,
    texts,
)
def test_plan_is_a_fixed_point(manifest, policy, foreign, data):
    before = existing(manifest, foreign)
    after = written(manifest, policy, data, before)
    # The API server has defaults of its own beside the values, as before.
    kept = {} if policy in ("Owner", "Orphan") else foreign

    assert after.data == SecretData({**kept, **data})
    again = plan_write(OWNER, target(manifest, policy), after, SecretData(data))
    assert again.action is Action.NOTHING
    assert again.reason == f"the {manifest.kind} is right"
    assert is_intact(after)


@pytest.mark.parametrize("manifest", BOTH)
def test_keys_that_we_wrote_and_no_longer_want_are_pruned(manifest):
    before = existing(manifest, {"theirs": "t", "old": "o"}, ours=("old",))

    plan = plan_write(OWNER, target(manifest, "Merge"), before, SecretData({"new": "n"}))

    assert (plan.action, plan.reason) == (Action.UPDATE, "its data changed")
    assert plan.data == SecretData({"theirs": "t", "new": "n"})


@pytest.mark.parametrize("manifest", BOTH)
def test_metadata_is_planned_without_the_data(manifest):
    before = existing(manifest, {"a": "1"})

    plan = plan_metadata(OWNER, target(manifest), before)

    assert (plan.action, plan.data_changed, plan.data) == (Action.UPDATE, False, SecretData({"a": "1"}))
    assert not is_intact(before)


@pytest.mark.parametrize("manifest", BOTH)
def test_texts_name_the_kind(manifest, reference):
    where = f'{manifest.kind} "team-a/db"'
    owned = existing(manifest, {}, ownerReferences=[reference("other")])

    with pytest.raises(OwnedByAnotherError) as refused:
        plan_write(OWNER, target(manifest), owned, SecretData())
    with pytest.raises(OwnershipError) as kept:
        plan_delete(OWNER, target(manifest), existing(manifest, {}), "gone")
    with pytest.raises(RenderError) as large:
        plan_write(OWNER, target(manifest), None, SecretData({"a": b"x" * 2**20 + b"x"}))

    assert refused.value.message == f"{where} is owned by ExternalSecret 'other'"
    assert kept.value.message == f"{where} is not controlled by this ExternalSecret"
    assert large.value.message.startswith(f"the {manifest.kind} would hold 1048577 bytes")
    assert (
        plan_write(OWNER, target(manifest, "Merge"), None, SecretData()).reason
        == f"no {manifest.kind} to merge with"
    )


def test_immutable_config_map_stays_as_we_wrote_it():
    before = written(CONFIG_MAP, "Owner", {"a": "1"})
    fixed = ExistingSecret("uid-1", "7", before.metadata, "", True, before.data, CONFIG_MAP, before.document)

    plan = plan_write(OWNER, target(CONFIG_MAP, immutable=True), fixed, SecretData({"a": "2"}))

    assert (plan.action, plan.data) == (Action.NOTHING, SecretData({"a": "1"}))
    with pytest.raises(ImmutableError, match='ConfigMap "team-a/db" is immutable and holds other data'):
        plan_write(OWNER, target(CONFIG_MAP), fixed, SecretData({"a": "2"}))


# -- what may be a target


def spec_of(spec, api_version, kind, **fields):
    return spec(target={"manifest": {"apiVersion": api_version, "kind": kind}, **fields}).target


def test_secret_is_a_secret_however_it_is_written(spec):
    assert manifest_of(spec().target) is None
    assert manifest_of(spec_of(spec, "v1", "Secret")) is None
    assert manifest_of(spec_of(spec, "v1", "ConfigMap")) == CONFIG_MAP
    assert manifest_of(spec_of(spec, "example.com/v1", "Secret")) == Manifest("example.com/v1", "Secret")
    for written in (spec().target, spec_of(spec, "v1", "Secret", immutable=True)):
        check_manifest(written, allowed=False)


@pytest.mark.parametrize(
    ("api_version", "kind", "fields"),
    [
        ("v1", "ConfigMap", {}),
        ("v1", "ConfigMap", {"immutable": True}),
        ("apps.example.com/v1beta1", "X1", {}),
    ],
)
def test_kinds_pass_where_they_are_allowed_and_not_elsewhere(spec, api_version, kind, fields):
    written = spec_of(spec, api_version, kind, **fields)
    check_manifest(written, allowed=True)

    with pytest.raises(SpecError) as caught:
        check_manifest(written, allowed=False)
    assert caught.value.message == "spec.target.manifest: targets that are no Secret are switched off"
    assert "--unsafe-allow-generic-targets" in caught.value.hint
    assert caught.value.retry == ON_CHANGE


@pytest.mark.parametrize(
    ("api_version", "kind", "fields", "message"),
    [
        pytest.param("../v1", "X", {}, "spec.target.manifest.apiVersion is no API version", id="dots"),
        pytest.param(
            "a/b/v1", "X", {}, "spec.target.manifest.apiVersion is no API version", id="two slashes"
        ),
        pytest.param(
            "example.com", "X", {}, "spec.target.manifest.apiVersion is no API version", id="a group alone"
        ),
        pytest.param("v1", "x/y", {}, "spec.target.manifest.kind is no kind", id="a kind with a slash"),
        pytest.param("v1", "x" * 64, {}, "spec.target.manifest.kind is no kind", id="a long kind"),
        pytest.param(
            "external-secrets.io/v1",
            "ExternalSecret",
            {},
            "spec.target.manifest: objects of group external-secrets.io are not written",
            id="an ExternalSecret",
        ),
        pytest.param(
            "generators.external-secrets.io/v1alpha1",
            "Password",
            {},
            "spec.target.manifest: objects of group generators.external-secrets.io are not written",
            id="a generator",
        ),
        pytest.param(
            "keyferry.io/v1alpha1",
            "X",
            {},
            "spec.target.manifest: objects of group keyferry.io are not written",
            id="a kind of our own",
        ),
        pytest.param(
            "example.com/v1",
            "Widget",
            {"immutable": True},
            "spec.target.immutable: only Secrets and ConfigMaps can be immutable",
            id="an immutable widget",
        ),
    ],
)
def test_kinds_that_cannot_be_targets_are_refused_by_field(spec, api_version, kind, fields, message):
    with pytest.raises(SpecError) as caught:
        check_manifest(spec_of(spec, api_version, kind, **fields), allowed=True)

    assert caught.value.message == message


def test_kinds_of_different_groups_are_told_apart():
    assert CONFIG_MAP.label == "ConfigMap"
    assert WIDGET.label == "Widget.example.com"
    assert (CONFIG_MAP.group, WIDGET.group) == ("", "example.com")


# -- what is told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("secret synced", "resource synced"),
        (
            "secret synced; optional keys without a value: secret",
            "resource synced; optional keys without a value: secret",
        ),
        ("secret retained due to DeletionPolicy=Retain", "resource retained due to DeletionPolicy=Retain"),
        ("secret deleted due to DeletionPolicy=Delete", "resource deleted due to DeletionPolicy=Delete"),
        (
            "secret will not be created due to CreationPolicy=Merge",
            "resource will not be created due to CreationPolicy=Merge",
        ),
        (
            "could not update secret, target is immutable: x",
            "could not update resource, target is immutable: x",
        ),
        ("failed to take ownership of target secret: x", "failed to take ownership of target resource: x"),
        ("could not delete orphaned secrets: x", "could not delete orphaned resources: x"),
        ("could not get secret data from provider: x", "could not get secret data from provider: x"),
        ("target is owned by another ExternalSecret: x", "target is owned by another ExternalSecret: x"),
    ],
)
def test_messages_speak_of_a_resource(text, expected):
    assert of_resource(text) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("SecretSynced", "ResourceSynced"),
        ("SecretSyncedError", "ResourceSyncedError"),
        ("SecretDeleted", "ResourceDeleted"),
        ("SecretMissing", "ResourceMissing"),
        ("Paused", "Paused"),
    ],
)
def test_reasons_speak_of_a_resource(reason, expected):
    told = told_of_resource(Outcome(reason, "secret synced", ready=True, binding="db"))

    assert (told.reason, told.message, told.ready, told.binding) == (expected, "resource synced", True, "")
    assert told_of_resource(Outcome(reason, "x", ready=False)).binding is None
