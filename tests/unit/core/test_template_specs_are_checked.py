"""What a template says without being rendered: what it may not, what it needs, which metadata is fixed."""

from __future__ import annotations

import pytest

from keyferry.api.external_secret import Target, Template
from keyferry.api.model import convert
from keyferry.core.template_spec import (
    Source,
    check_template,
    fixed_metadata,
    keeps_keys,
    passes_values,
    place_of,
    sources_of,
)
from keyferry.errors import ON_CHANGE, SpecError

MANIFEST = {"manifest": {"apiVersion": "example.com/v1", "kind": "Widget"}}
ACCOUNT = "kubernetes.io/service-account.name"
TOKEN = "kubernetes.io/service-account-token"
ALL = ["", "Data", "data", "LABELS", "Annotations"]


def target(template, **fields) -> Target:
    return convert({"template": template, **fields}, Target)


def template(**fields) -> Template:
    return convert(fields, Template)


def literals(*targets: str) -> list[dict[str, str]]:
    return [{"literal": "a: b", "target": one} for one in targets]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        pytest.param(
            target({"type": "bootstrap.kubernetes.io/token"}),
            "spec.target.template.type='bootstrap.kubernetes.io/token' is not allowed: "
            "such a Secret lets nodes join the cluster",
            id="a token for nodes",
        ),
        pytest.param(
            target({"type": TOKEN, "metadata": {"annotations": {ACCOUNT: "default"}}}),
            f"spec.target.template.type='{TOKEN}' with annotation \"{ACCOUNT}\" is not allowed: "
            "the cluster would put an account's token into it",
            id="a token of an account",
        ),
        pytest.param(
            target({"type": TOKEN, "templateFrom": literals("aNNotations")}),
            f"spec.target.template.type='{TOKEN}' with templateFrom target=\"Annotations\" is not allowed",
            id="annotations that are rendered",
        ),
        pytest.param(
            target({"templateFrom": literals("Data", "spec.x")}),
            "spec.target.template.templateFrom[1].target='spec.x' is not allowed when targeting a Secret",
            id="a path into a Secret",
        ),
        pytest.param(
            target({"templateFrom": literals("Spec")}),
            "spec.target.template.templateFrom[0].target='spec' is not allowed when targeting a Secret",
            id="the spec of a Secret",
        ),
        pytest.param(
            target({"templateFrom": literals("type")}, manifest={"apiVersion": "v1", "kind": "Secret"}),
            "spec.target.template.templateFrom[0].target='type' is not allowed when targeting a Secret",
            id="a Secret by its manifest",
        ),
        pytest.param(
            target({"templateFrom": literals("a", "metadata.ownerReferences[0].uid")}, **MANIFEST),
            "spec.target.template.templateFrom[1].target='metadata.ownerReferences[0].uid' is no path: "
            "metadata is not for templates",
            id="owners",
        ),
        pytest.param(
            target({"type": "Opaque"}, **MANIFEST),
            "spec.target.template.type: only a Secret has a type",
            id="a type of something else",
        ),
    ],
)
def test_template_that_may_not_be_is_refused_by_its_field(made, told):
    """Admission says so too; an object may be older than the policy, or the policy absent."""
    with pytest.raises(SpecError) as caught:
        check_template(made)

    assert (caught.value.message, caught.value.retry) == (told, ON_CHANGE)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(convert({}, Target), id="none"),
        pytest.param(target({}), id="an empty one"),
        pytest.param(target({"type": TOKEN}), id="a token without an account"),
        pytest.param(target({"templateFrom": literals(*ALL)}), id="all of a Secret"),
        pytest.param(target({"templateFrom": literals(*ALL, "SPEC", "a.b[0]")}, **MANIFEST), id="paths"),
    ],
)
def test_other_templates_pass(made):
    check_template(made)


def test_sources_are_each_named_once_with_all_their_keys():
    def ref(name, *keys):
        return {"name": name, "items": [{"key": key} for key in keys]}

    made = template(
        templateFrom=[
            {"configMap": ref("a", "x", "y")},
            {"literal": "z"},
            {"secret": ref("a", "s"), "configMap": ref("b", "q")},
            {"configMap": ref("a", "y", "z")},
        ]
    )

    assert sources_of(made) == {
        Source("ConfigMap", "a"): ("x", "y", "z"),
        Source("ConfigMap", "b"): ("q",),
        Source("Secret", "a"): ("s",),
    }
    assert place_of(made, Source("ConfigMap", "a")) == "spec.target.template.templateFrom[0]"
    assert place_of(made, Source("ConfigMap", "b")) == "spec.target.template.templateFrom[2]"


@pytest.mark.parametrize(
    ("fields", "passes", "keeps"),
    [
        ({}, True, True),
        ({"mergePolicy": "Merge", "data": {"url": "x"}}, True, True),
        ({"mergePolicy": "Merge", "data": {"password": "x"}}, True, False),
        ({"data": {"url": "x"}}, False, False),
        ({"mergePolicy": "Merge", "templateFrom": literals("Labels")}, True, True),
        ({"templateFrom": literals("Labels")}, False, False),
        ({"mergePolicy": "Merge", "templateFrom": literals("")}, True, False),
    ],
)
def test_values_are_told_apart_in_the_target_where_no_template_may_replace_them(fields, passes, keeps):
    made = template(**fields)

    assert (passes_values(made), keeps_keys(made, ("password",))) == (passes, keeps)
    assert keeps_keys(None, ("password",))


@pytest.mark.parametrize(
    ("fields", "is_all"),
    [
        ({}, True),
        ({"metadata": {"labels": {"a": "b"}}, "templateFrom": literals("data")}, True),
        ({"metadata": {"labels": {"a": "{{ .b }}"}}}, False),
        ({"metadata": {"annotations": {"a": "{{ .b }}"}}}, False),
        ({"templateFrom": literals("Labels")}, False),
        ({"templateFrom": literals("Annotations")}, False),
    ],
)
def test_metadata_is_fixed_where_it_is_no_template(fields, is_all):
    assert fixed_metadata(template(**fields), "{{").is_all == is_all


def test_metadata_is_told_apart_by_the_delimiter():
    made = template(metadata={"labels": {"a": "x", "b": "<< .b >>"}, "annotations": {"c": "{{", "d": "<<"}})

    fixed = fixed_metadata(made, "<<")

    assert (fixed.labels, fixed.annotations) == ({"a": "x"}, {"c": "{{"})
    assert (fixed.rendered_labels, fixed.rendered_annotations) == ({"b"}, {"d"})
