"""Whatever the API server accepts, the rules decide or refuse: nothing but a `KeyferryError` leaves them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.manifests import (
    NAMES,
    SCHEDULES,
    TEXTS,
    anything,
    from_schema,
    metadata,
    schema_of,
    specs,
    statuses,
)

from keyferry.api import names
from keyferry.api.crd import KINDS
from keyferry.api.external_secret import (
    ExternalSecretSpec,
    ExternalSecretStatus,
    Rewrite,
    SyncWindow,
    SyncWindows,
    Target,
)
from keyferry.api.generators.kinds import GENERATORS
from keyferry.api.model import convert, decode
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.core import desired
from keyferry.core.due import RefreshState, asked_due, refresh_due, rotation_due
from keyferry.core.fanout import Selection
from keyferry.core.fanout import load as load_fanout
from keyferry.core.generated import kept_values
from keyferry.core.generator_spec import check_selectors
from keyferry.core.hashing import synced_resource_version
from keyferry.core.manifest import Manifest, check_manifest, fields_as_of_a_secret, manifest_of, read_data
from keyferry.core.rewrite import renamed_keys, rewrite
from keyferry.core.sources import (
    Answered,
    assemble,
    check_policies,
    is_heavy,
    optional_keys,
    questions,
    store_refs,
)
from keyferry.core.stores import check_namespace, check_references, is_referent
from keyferry.core.summarize import Outcome, event_text, external_secret_status, failed, parse_timestamp
from keyferry.core.template import Renderer, Texts, digest_of, render_target
from keyferry.core.template_spec import check_template, fixed_metadata, sources_of
from keyferry.core.windows import Windows, is_open, next_open, parse_windows
from keyferry.duration import parse_go_duration
from keyferry.errors import AccessDenied, KeyferryError, PropertyNotFound, RemoteSecretNotFound
from keyferry.gotemplate import Cache, Limits, Run
from keyferry.secretdata import SecretBytes, SecretData

NOW = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
thorough = settings(max_examples=80, suppress_health_check=list(HealthCheck))

# -- models


@pytest.mark.parametrize("kind", [one.kind for one in KINDS])
@given(data=st.data())
@settings(thorough, max_examples=25)
def test_every_accepted_spec_is_decoded_or_refused_by_name(kind, data):
    model = next(one.spec for one in KINDS if one.kind == kind)
    spec = data.draw(specs(kind, nulls=True))
    try:
        decoded = decode(json.dumps(spec), model)
    except msgspec.ValidationError as error:
        assert str(error)  # noqa: PT017 - some are refused, and then with words
        return

    convert(spec, model)  # takes the same; of nulls in blocks without a schema it keeps none
    assert decode(msgspec.json.encode(decoded), model) == decoded


@pytest.mark.parametrize("model", [ExternalSecretSpec, SecretStoreSpec])
@given(anything())
@settings(thorough, max_examples=25)
def test_anything_at_all_is_decoded_or_refused(model, value):
    try:
        decode(json.dumps(value), model)
    except msgspec.ValidationError as error:
        assert str(error)  # noqa: PT017


# -- ExternalSecrets


def _spec(data, **options):
    try:
        return decode(json.dumps(data.draw(specs(names.EXTERNAL_SECRET, **options))), ExternalSecretSpec)
    except msgspec.ValidationError:
        assume(False)
        raise


def _refusing(*steps):
    """Run the steps in their order, up to the first that refuses."""
    try:
        for step in steps:
            step()
    except KeyferryError as error:
        assert str(error)  # noqa: PT017
        assert str(error).isprintable()  # noqa: PT017


DOCUMENTS = (
    "{}",
    '{"a":"b","c":{"d":1.50}}',
    '{"a":null,"":true}',
    "[]",
    "",
    "YQ==",
    "\0",
    '{"a"',
    "\x80" * 3,
)
VALUES = st.sampled_from([SecretBytes(text.encode("latin-1")) for text in DOCUMENTS])
MAPS = st.dictionaries(st.sampled_from([*NAMES, *TEXTS[:20]]), VALUES, max_size=4)


def _answer(draw, question):
    outcome = draw(st.sampled_from(["value", "value", "value", "absent", "no property", "denied"]))
    if outcome != "value":
        kinds = {"absent": RemoteSecretNotFound, "no property": PropertyNotFound, "denied": AccessDenied}
        return Answered(question, "SecretStore", kinds[outcome]("no"))
    value = draw(VALUES if question.remote is not None else MAPS)
    return Answered(question, "SecretStore", value, draw(st.booleans()), draw(st.booleans()))


@given(st.data())
@thorough
def test_spec_is_asked_and_answered_or_refused(data):
    spec = _spec(data, nulls=True)
    annotations = data.draw(metadata()).get("annotations", {})

    def put_together():
        answers = [_answer(data.draw, one) for one in questions(spec, optional_keys(annotations))]
        is_heavy(answers)
        try:
            assemble(answers, spec.target.deletion_policy, _renderer())
        except KeyferryError as error:
            event_text(error)
            status = external_secret_status(ExternalSecretStatus(), failed("could not", error), 1, NOW)
            assert len(status.conditions[0].message) <= 1024
            raise

    store_refs(spec)
    parse_go_duration(spec.refresh_interval or "1h")
    for step in (check_policies, lambda spec: check_template(spec.target)):
        _refusing(lambda step=step: step(spec))
    _refusing(
        lambda: check_manifest(spec.target, allowed=True), lambda: check_manifest(spec.target, allowed=False)
    )
    _refusing(lambda: parse_windows(spec.sync_windows))
    _refusing(put_together)


TEMPLATES = st.sampled_from(
    [
        "",
        "x",
        "a: b",
        "{{ .a }}",
        "{{",
        "{{ a-b }}",
        '{{ index . "a" }}: 1',
        "[1",
        "- 1",
        "{}",
        "a: {b: c}",
        "\0",
    ]
)


def _renderer():
    limits = Limits(steps=2_000, memory_bytes=1 << 18)
    return Renderer(Run(limits, now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes), Cache())


@st.composite
def _texts(draw, template):
    """What is read of the objects that a template names; not always all."""
    found = {}
    for source, keys in sources_of(template).items():
        there = {key: SecretBytes(draw(TEMPLATES)) for key in keys if draw(st.booleans())}
        found[source] = Texts(there, tuple(there))
    return found


@given(st.data(), MAPS)
@thorough
def test_template_is_rendered_or_refused(data, values):
    """With texts of the schema, which are no templates most often, and with some that are."""
    target = _spec(data).target
    template = target.template
    assume(template is not None)
    made = msgspec.structs.replace(
        template,
        data={key: data.draw(TEMPLATES) for key in template.data},
        template_from=tuple(
            msgspec.structs.replace(entry, literal=data.draw(st.none() | TEMPLATES))
            for entry in template.template_from[:3]
        ),
    )
    texts = data.draw(_texts(made))
    digest_of(texts)
    fixed_metadata(made, "{{")
    _refusing(
        lambda: check_template(target),
        lambda: check_template(msgspec.structs.replace(target, template=made)),
        lambda: render_target(made, manifest_of(target), SecretData(values), texts, _renderer()),
    )


@given(
    statuses(names.EXTERNAL_SECRET),
    st.booleans(),
    st.sampled_from(["Periodic", "OnChange", "CreatedOnce", ""]),
)
@thorough
def test_status_that_somebody_else_wrote_is_gone_on_from(status, ready, policy):
    try:
        before = decode(json.dumps(status), ExternalSecretStatus)
    except msgspec.ValidationError:
        return
    outcome = Outcome(
        "SecretSynced", "secret synced", ready=ready, refreshed_at=NOW, synced="1-x", binding="x"
    )
    after = external_secret_status(before, outcome, 1, NOW)
    state = RefreshState(
        *(policy, timedelta(hours=1), timedelta(hours=1), "1-x", before.synced_resource_version),
        refreshed_at=parse_timestamp(before.refresh_time),
    )
    asked_due(refresh_due(state, NOW))
    rotation_due(state, NOW)

    assert external_secret_status(after, outcome, 1, NOW) == after


# -- stores and generators


@pytest.mark.parametrize("kind", [names.SECRET_STORE, names.CLUSTER_SECRET_STORE])
@given(data=st.data())
@thorough
def test_store_is_taken_or_refused(kind, data):
    try:
        spec = decode(json.dumps(data.draw(specs(kind, nulls=True))), SecretStoreSpec)
    except msgspec.ValidationError:
        return
    block = spec.provider.chosen()[1]
    namespace = data.draw(st.sampled_from(NAMES))
    labels = data.draw(
        st.none() | st.dictionaries(st.sampled_from(TEXTS), st.sampled_from(TEXTS), max_size=3)
    )

    is_referent(block)
    _refusing(lambda: check_namespace(spec, "store", namespace, labels))
    _refusing(lambda: check_references(block, "" if kind == names.CLUSTER_SECRET_STORE else namespace))


@pytest.mark.parametrize("kind", [one.kind for one in GENERATORS])
@given(data=st.data())
@settings(thorough, max_examples=15)
def test_generators_references_are_taken_or_refused(kind, data):
    model = next(one.spec for one in GENERATORS if one.kind == kind)
    try:
        spec = convert(data.draw(specs(kind, nulls=True)), model)
    except msgspec.ValidationError:
        return

    _refusing(lambda: check_selectors(spec, "team", "spec"))
    _refusing(lambda: check_selectors(spec, "", "spec"))


@given(
    specs(names.CLUSTER_EXTERNAL_SECRET, nulls=True),
    st.dictionaries(st.sampled_from(TEXTS), st.sampled_from(TEXTS)),
)
@thorough
def test_cluster_external_secret_selects_or_is_refused(spec, labels):
    def select():
        typed, _ = load_fanout(json.dumps(spec).encode())
        Selection.of(typed).takes("team", labels)

    _refusing(select)


# -- rewriting, windows

_DATA_FROM = schema_of(names.EXTERNAL_SECRET)["properties"]["spec"]["properties"]["dataFrom"]["items"]
STEPS = st.lists(from_schema(_DATA_FROM["properties"]["rewrite"]["items"]), max_size=4)


@given(STEPS, MAPS)
@thorough
def test_keys_are_rewritten_or_refused(steps, values):
    chain = tuple(convert(step, Rewrite) for step in steps if "transform" not in step)

    _refusing(lambda: rewrite(values, chain))
    _refusing(lambda: renamed_keys(sorted(values), chain))


WINDOWS = st.builds(
    lambda kind, windows: SyncWindows(kind=kind, windows=tuple(windows)),
    st.sampled_from(["allow", "deny"]),
    st.lists(
        st.builds(
            lambda schedule, duration: SyncWindow(schedule=schedule, duration=duration),
            st.sampled_from(SCHEDULES)
            | st.from_regex(r"[0-9*/,\-?A-Za-z]{1,6}( [0-9*/,\-?A-Za-z]{1,6}){4}", fullmatch=True)
            | st.from_regex(r"@every [0-9.]{1,12}(ns|us|ms|s|m|h)", fullmatch=True),
            st.sampled_from(["1ns", "1m", "24h", "8760h", "2562047h47m16s", "0", "-1h"]),
        ),
        min_size=1,
        max_size=4,
    ),
)


@given(WINDOWS, MOMENTS)
@settings(thorough, max_examples=150)
def test_window_opens_or_is_refused(spec, now):
    parsed: list[Windows] = []
    _refusing(lambda: parsed.append(parse_windows(spec)))
    for windows in parsed:
        opens = next_open(windows, now)

        assert opens is None or opens >= now
        assert (opens == now) == is_open(windows, now)


# -- planning on whatever Secret there is


def _sets(depth):
    """`fieldsV1`: sets of fields as the API server keeps them, and some that it never would."""
    keys = st.sampled_from(
        [
            ".",
            "f:a",
            "f:",
            "f:b.c",
            'k:{"uid":"x"}',
            'v:"x"',
            "i:0",
            "f:data",
            "f:labels",
            "f:annotations",
            "\U0001f511",
        ]
    )
    inner = _sets(depth - 1) if depth else st.just({})
    return st.none() | st.dictionaries(keys, inner, max_size=4) | st.sampled_from([[], "", 0])


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "f:data": _sets(1),
        "f:spec": st.fixed_dictionaries({}, optional={"f:data": _sets(1)}) | _sets(0),
        "f:metadata": st.none()
        | st.fixed_dictionaries(
            {}, optional={"f:labels": _sets(1), "f:annotations": _sets(1), ".": st.just({})}
        ),
    },
)
MANAGED_FIELDS = st.none() | st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "manager": st.sampled_from(["externalsecrets.external-secrets.io/app", "kubectl", ""]),
            "operation": st.sampled_from(["Update", "Apply"]),
            "fieldsType": st.just("FieldsV1"),
            "fieldsV1": st.none() | FIELDS,
            "subresource": st.just("status"),
            "time": st.just("2026-01-05T10:00:00Z"),
        },
    ),
    max_size=4,
)
REFERENCES = st.none() | st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["app", "other", ""]), "uid": st.sampled_from(["u1", "u2", ""])},
        optional={
            "apiVersion": st.sampled_from(
                ["external-secrets.io/v1", "external-secrets.io/v1beta1", "v1", "", "a/b/c"]
            ),
            "kind": st.sampled_from([names.EXTERNAL_SECRET, "ConfigMap", ""]),
            "controller": st.none() | st.booleans(),
            "blockOwnerDeletion": st.booleans(),
        },
    ),
    max_size=3,
)
OWNERS = st.builds(
    lambda meta: desired.Owner("team", "app", "u1", meta.get("labels", {}), meta.get("annotations", {})),
    metadata(),
)
DATA = st.dictionaries(st.sampled_from(["a", "b.c", "d"]), st.binary(max_size=3).map(SecretBytes)).map(
    SecretData
)


@st.composite
def _existing(draw):
    meta = {**draw(metadata()), "managedFields": draw(MANAGED_FIELDS), "ownerReferences": draw(REFERENCES)}
    if draw(st.booleans()):
        meta |= draw(st.fixed_dictionaries({}, optional={"labels": st.none(), "annotations": st.none()}))
    kind = draw(st.sampled_from(["Opaque", "kubernetes.io/tls", "", "a/b"]))
    return desired.ExistingSecret("u", "1", meta, kind, draw(st.booleans()), draw(DATA))


@given(OWNERS, specs(names.EXTERNAL_SECRET), st.none() | _existing(), DATA)
@thorough
def test_write_is_planned_or_refused(owner, spec, existing, data):
    wanted = convert(spec.get("target") or {}, Target)
    target = desired.Target(
        wanted.name or "app",
        wanted.creation_policy,
        wanted.deletion_policy,
        wanted.immutable,
        template=wanted.template,
    )

    _refusing(lambda: desired.plan_write(owner, target, existing, data))
    _refusing(lambda: desired.plan_delete(owner, target, existing, "gone"))
    if existing is not None:
        _refusing(lambda: desired.plan_metadata(owner, target, existing))
        desired.is_intact(existing)
        kept_values(existing, owner, ["a"])
    assert synced_resource_version(1, owner.annotations, owner.labels)


DOCUMENTS_OF_KINDS = st.fixed_dictionaries(
    {}, optional={"data": anything(), "spec": anything() | st.fixed_dictionaries({"data": anything()})}
)


@pytest.mark.parametrize(
    "manifest", [Manifest("v1", "ConfigMap"), Manifest("example.com/v1", "Thing")], ids=str
)
@given(owner=OWNERS, document=DOCUMENTS_OF_KINDS, fields=MANAGED_FIELDS, data=DATA)
@thorough
def test_write_into_another_kind_is_planned_or_refused(manifest, owner, document, fields, data):
    values = read_data(manifest, document)
    meta = {"managedFields": fields_as_of_a_secret(manifest, fields or [])}
    existing = desired.ExistingSecret("u", "1", meta, "", False, values, manifest, document)
    for policy in ("Owner", "Merge"):
        target = desired.Target("app", policy, manifest=manifest)

        _refusing(lambda target=target: desired.plan_write(owner, target, existing, data))


def test_manifest_is_known_by_its_kind_alone():
    """Of what the API server accepts, only one spelling is a Secret."""
    schema = schema_of(names.EXTERNAL_SECRET)["properties"]["spec"]["properties"]["target"]
    seen = set()

    @given(from_schema(schema["properties"]["manifest"]))
    @thorough
    def look(reference):
        found = manifest_of(convert({"manifest": reference}, Target))
        assert (found is None) == (reference == {"apiVersion": "v1", "kind": "Secret"})
        seen.add(found is None)

    look()
    assert False in seen
