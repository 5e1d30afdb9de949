"""spec.target.template: what is rendered, from what, into what, and which of two wins."""

from __future__ import annotations

import json

import pytest

from keyferry.api.external_secret import Template
from keyferry.api.model import convert
from keyferry.core.manifest import Manifest
from keyferry.core.template import Rendered, Texts, digest_of, render_target
from keyferry.core.template_error import OverBudgetError, TemplateFailedError
from keyferry.core.template_spec import Source
from keyferry.errors import ON_CHANGE, RenderError, SpecError
from keyferry.gotemplate import SlowFunction
from keyferry.secretdata import SecretBytes, SecretData
from keyferry.testing.leaks import LeakDetector, canary

CONFIG_MAP = Manifest("v1", "ConfigMap")
WIDGET = Manifest("example.com/v1", "Widget")
VALUES = {"user": "shop", "password": "s3cret", "tls.crt": "PEM"}
HERE, THERE = Source("ConfigMap", "texts"), Source("Secret", "texts")


def texts(**found: str) -> Texts:
    return Texts({key: SecretBytes(text) for key, text in found.items()}, tuple(found))


def taken(kind: str = "configMap", /, as_: str = "Values", **fields) -> dict[str, object]:
    """An entry of templateFrom that takes key `a` of an object."""
    return {kind: {"name": "texts", "items": [{"key": "a", "templateAs": as_}]}, **fields}


@pytest.fixture
def rendered(renderer):
    """Render a template given as JSON."""

    def run(template, *, values=None, manifest=None, sources=None, **limits) -> Rendered:
        given = SecretData(VALUES if values is None else values)
        made = convert(template, Template)
        return render_target(made, manifest, given, sources or {}, renderer(**limits))

    return run


# -- data


def test_data_holds_what_the_templates_make(rendered):
    made = rendered(
        {"data": {"url": "db://{{ .user }}:{{ .password }}@host", "n": '{{ index . "tls.crt" | lower }}'}}
    )

    assert made == Rendered(SecretData({"url": "db://shop:s3cret@host", "n": "pem"}))


def test_values_are_bytes_in_and_out(rendered):
    raw = b"\x00\xff\xfe"

    assert rendered({"data": {"a": "{{ .raw }}"}}, values={"raw": raw}).data == SecretData({"a": raw})


@pytest.mark.parametrize(
    ("template", "passed"),
    [
        pytest.param({}, True, id="nothing to render"),
        pytest.param({"type": "kubernetes.io/tls"}, True, id="a type alone"),
        pytest.param({"metadata": {"labels": {"a": "b"}}}, True, id="metadata alone"),
        pytest.param({"data": {"x": "y"}}, False, id="data"),
        pytest.param({"data": {"x": "y"}, "mergePolicy": "Merge"}, True, id="data that merges"),
        pytest.param({"templateFrom": [{"literal": "x: y"}]}, False, id="templateFrom"),
        pytest.param(
            {"templateFrom": [{"literal": "x: y", "target": "Labels"}]}, False, id="templateFrom for labels"
        ),
    ],
)
def test_values_pass_where_no_template_takes_their_place(rendered, template, passed):
    """A templateFrom for labels alone leaves the data empty, as the reference does."""
    assert ("user" in rendered(template).data) == passed


def test_later_templates_win(rendered):
    sources = {HERE: texts(a="from the ConfigMap"), THERE: texts(a="from the Secret")}
    entries = [
        {"literal": "user: literal\na: literal\nb: literal\nc: literal"},
        {**taken(), **taken("secret")},
    ]

    made = rendered({"mergePolicy": "Merge", "templateFrom": entries, "data": {"b": "data"}}, sources=sources)

    wanted = {**VALUES, "user": "literal", "a": "from the Secret", "b": "data", "c": "literal"}
    assert made.data == SecretData(wanted)


def test_no_template_sees_the_output_of_another(rendered):
    with pytest.raises(TemplateFailedError):
        rendered({"data": {"a": "x", "b": "{{ .a }}"}, "mergePolicy": "Merge"})


def test_texts_make_values_or_keys_and_values(rendered):
    sources = {HERE: texts(a="{{ .user }}: {{ .password }}\n5: 1.50\nt: true\nx:")}

    whole = rendered({"templateFrom": [taken()]}, sources=sources)
    each = rendered({"templateFrom": [taken(as_="KeysAndValues")]}, sources=sources)

    assert whole.data == SecretData({"a": "shop: s3cret\n5: 1.50\nt: true\nx:"})
    assert each.data == SecretData({"shop": "s3cret", "5": "1.5", "t": "true", "x": ""})


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(taken(valuesDecodingStrategy="Base64"), id="values"),
        pytest.param(taken(as_="KeysAndValues", valuesDecodingStrategy="Base64"), id="keys and values"),
    ],
)
def test_output_is_decoded_as_the_entry_says(rendered, entry):
    text = "AP8=" if entry["configMap"]["items"][0]["templateAs"] == "Values" else "a: AP8="

    made = rendered({"templateFrom": [entry]}, sources={HERE: texts(a=text)})

    assert made.data == SecretData({"a": b"\x00\xff"})


def test_output_that_cannot_be_decoded_is_told_by_its_place(rendered):
    entry = {"literal": "k: '%'", "valuesDecodingStrategy": "Base64"}

    with pytest.raises(RenderError) as caught:
        rendered({"templateFrom": [entry]})

    assert caught.value.message == (
        "could not decode the output of spec.target.template.templateFrom[0].literal: "
        "the value is not valid Base64"
    )


def test_delimiters_can_be_others(rendered):
    made = rendered({"data": {"a": "<< .user >>{{ .user }}"}}, left="<<", right=">>")

    assert made.data == SecretData({"a": "shop{{ .user }}"})


# -- metadata


def test_metadata_is_rendered_and_wins_over_template_from(rendered):
    made = rendered(
        {
            "metadata": {
                "labels": {"app": "{{ .user }}"},
                "annotations": {"note": "by {{ .user }}", "n": ""},
            },
            "templateFrom": [
                {"literal": "app: other\ntier: db", "target": "labels"},
                {"literal": "note: other\nmore: x y", "target": "ANNOTATIONS"},
            ],
        }
    )

    assert made.labels == {"app": "shop", "tier": "db"}
    assert made.annotations == {"note": "by shop", "n": "", "more": "x y"}
    assert made.data == SecretData()


@pytest.mark.parametrize("target", ["Labels", "Annotations"])
@pytest.mark.parametrize(
    "key", ["a b", "", "-a", "a" * 64, "A_/a", "x/", "/a", f"{'a' * 254}/a"], ids=lambda key: f"{key[:5]!r}"
)
def test_name_that_the_api_server_would_refuse_is_not_repeated(rendered, target, key):
    """A template may have made it of a value."""
    with pytest.raises(RenderError, match=f"makes a key of {target.lower()} that is no valid name") as caught:
        rendered({"templateFrom": [{"literal": json.dumps({key: "v"}), "target": target}]})

    assert not key.strip() or key not in str(caught.value).partition(":")[2]


def test_annotations_may_have_upper_case_domains_and_labels_may_not(rendered):
    assert rendered({"metadata": {"annotations": {"Example.com/a": "b"}}}).annotations
    with pytest.raises(RenderError):
        rendered({"metadata": {"labels": {"Example.com/a": "b"}}})


@pytest.mark.parametrize("value", ["a b", "a-", "a" * 64, "ü", "a\n"], ids=repr)
def test_value_of_a_label_that_the_api_server_would_refuse_is_not_repeated(rendered, value):
    detector = LeakDetector()
    secret = f"{canary('label')}{value}"

    with pytest.raises(RenderError) as caught:
        rendered({"metadata": {"labels": {"app": "{{ .v }}"}}}, values={"v": secret})

    assert caught.value.message == 'spec.target.template: the value of label "app" is no valid one'
    detector.look("the error", str(caught.value))
    assert detector.findings == []


@pytest.mark.parametrize(
    ("target", "value"), [("Data", "[a]"), ("Labels", "no value of a label"), ("Annotations", "{a: b}")]
)
def test_key_that_a_template_made_is_not_repeated_whatever_its_value_is(rendered, target, value):
    detector = LeakDetector()
    literal = {"literal": f"{{{{ .v }}}}: {value}", "target": target}

    with pytest.raises(RenderError) as caught:
        rendered({"templateFrom": [literal]}, values={"v": canary("key")})

    detector.look("the error", str(caught.value))
    assert detector.findings == []


def test_annotations_have_a_size(rendered):
    rendered({"metadata": {"annotations": {"a": "x" * (256 * 1024 - 1)}}})
    with pytest.raises(RenderError, match="the annotations would have 262145 bytes"):
        rendered({"metadata": {"annotations": {"a": "x" * (256 * 1024)}}})


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_metadata_is_text(rendered, field):
    with pytest.raises(RenderError, match="the output is not UTF-8") as caught:
        rendered({"metadata": {field: {"a": "{{ .v }}"}}}, values={"v": b"\xff"})

    assert caught.value.message.startswith(f'spec.target.template.metadata.{field}["a"]: ')
    assert caught.value.__cause__ is None


def test_secret_never_becomes_the_token_of_an_account(rendered):
    """Also where an object is older than the rule of admission that says so, and is not loaded by ours."""
    annotation = {"kubernetes.io/service-account.name": "{{ .user }}"}

    with pytest.raises(SpecError, match="the cluster would put an account's token into it"):
        rendered(
            {"type": "kubernetes.io/service-account-token", "metadata": {"annotations": annotation}},
        )
    with pytest.raises(SpecError):
        rendered(
            {
                "type": "kubernetes.io/service-account-token",
                "templateFrom": [{"literal": json.dumps(annotation), "target": "annotations"}],
            }
        )


# -- failures


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({"data": {"url": "{{ .no }}"}}, 'data["url"]'),
        ({"metadata": {"labels": {"a": "{{ .no }}"}}}, 'metadata.labels["a"]'),
        ({"metadata": {"annotations": {"a": "{{ .no }}"}}}, 'metadata.annotations["a"]'),
        ({"templateFrom": [{"literal": "x"}, {"literal": "{{ .no }}"}]}, "templateFrom[1].literal"),
        ({"templateFrom": [taken()]}, 'templateFrom[0] ConfigMap "texts" key "a"'),
        ({"templateFrom": [taken(as_="KeysAndValues")]}, 'templateFrom[0] ConfigMap "texts" key "a"'),
    ],
)
def test_failure_names_the_field_and_the_place_in_it(rendered, template, field):
    if "templateFrom[1]" in field:
        template = {"templateFrom": [{"literal": "x: y"}, {"literal": "{{ .no }}"}]}

    with pytest.raises(TemplateFailedError) as caught:
        rendered(template, sources={HERE: texts(a="{{ .no }}")})

    told = f'spec.target.template.{field}, line 1, column 3: map has no entry for key "no"'
    assert caught.value.message == told
    assert caught.value.hint == 'The keys are "password", "tls.crt", "user"'
    assert caught.value.retry == ON_CHANGE
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        pytest.param(texts(b="x", c="y"), 'It has "b", "c"', id="others"),
        pytest.param(texts(), "It has no keys at all", id="none"),
        pytest.param(None, "It has no keys at all", id="nothing was read"),
    ],
)
def test_key_that_an_object_lacks_is_told_with_those_it_has(rendered, found, hint):
    with pytest.raises(TemplateFailedError) as caught:
        rendered({"templateFrom": [taken()]}, sources={HERE: found} if found else {})

    assert caught.value.message == (
        'spec.target.template.templateFrom[0] ConfigMap "texts" key "a": there is no such key'
    )
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("output", "told"),
    [
        pytest.param("[a", "the output is no YAML of keys and texts: ", id="no YAML"),
        pytest.param("a: [1]", "the output is no YAML of keys and texts: ", id="no text"),
        pytest.param("text", "the output is no YAML of keys and texts: ", id="no map"),
        pytest.param("a b: c", "key number 1 is no valid key", id="no key of a Secret"),
        pytest.param("ok: c\n? ü\n: d", "key number 2 is no valid key", id="no key in ASCII"),
        pytest.param(
            ".a..b: c\n..a: c", "key number 2 is no valid key", id="a key that begins with two dots"
        ),
        pytest.param(".: c", "key number 1 is no valid key", id="a dot"),
    ],
)
def test_output_that_makes_no_keys_and_values_is_told_without_it(rendered, output, told):
    with pytest.raises(TemplateFailedError) as caught:
        rendered({"templateFrom": [{"literal": "{{ .v }}"}]}, values={"v": output})

    assert caught.value.message.startswith(f"spec.target.template.templateFrom[0].literal: {told}")


def test_budget_is_one_for_all_templates(renderer):
    template = convert({"data": {f"k{n}": "{{ range until 100 }}x{{ end }}" for n in range(50)}}, Template)
    small = renderer(steps=2_000)

    with pytest.raises(OverBudgetError) as caught:
        render_target(template, None, SecretData(), {}, small)

    assert small.exceeded
    assert caught.value.message.endswith("it takes more work than 2000 steps")
    assert caught.value.hint.startswith("Do less in the template")
    assert len(render_target(template, None, SecretData(), {}, renderer()).data) == 50


YAML = "a: [" + "x," * 20_000 + "]"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"literal": YAML}, id="keys and values"),
        pytest.param({"literal": YAML, "target": "spec.x"}, id="a tree"),
        pytest.param(taken(target="spec.x"), id="a value"),
    ],
)
def test_yaml_counts_to_the_budget(renderer, entry):
    template = convert({"templateFrom": [entry]}, Template)
    small = renderer(steps=1_000)

    with pytest.raises(OverBudgetError, match="reading the output as YAML"):
        render_target(template, WIDGET, SecretData(), {HERE: texts(a=YAML)}, small)

    assert small.exceeded


def test_costly_work_is_passed_on_to_whoever_has_the_time(rendered):
    with pytest.raises(SlowFunction):
        rendered({"data": {"a": '{{ bcrypt "x" }}'}}, slow=False)


# -- targets that are no Secret


@pytest.mark.parametrize("manifest", [CONFIG_MAP, WIDGET])
def test_without_templates_values_go_where_they_always_go(rendered, manifest):
    made = rendered({"metadata": {"labels": {"a": "b"}}}, manifest=manifest)

    assert (made.data, made.labels, made.fields) == (SecretData(VALUES), {"a": "b"}, None)


def test_data_of_a_config_map_is_as_of_a_secret(rendered):
    made = rendered({"data": {"a": "{{ .user }}"}, "mergePolicy": "Merge"}, manifest=CONFIG_MAP)

    assert (made.data, made.fields) == (SecretData({**VALUES, "a": "shop"}), None)


def test_data_of_other_kinds_is_a_field_at_the_top(rendered):
    made = rendered({"data": {"a b": "{{ .user }}"}}, manifest=WIDGET)

    assert (made.data, made.fields) == (SecretData(), ((("data", "a b"), "shop"),))


@pytest.mark.parametrize(
    ("manifest", "place"), [(CONFIG_MAP, ("data",)), (WIDGET, ("spec", "data"))], ids=["map", "widget"]
)
def test_values_that_pass_are_fields_too_beside_places(rendered, manifest, place):
    template = {"mergePolicy": "Merge", "templateFrom": [{"literal": "1", "target": "spec.size"}]}

    made = rendered(template, manifest=manifest, values={"a": "1"})

    assert made.fields == (((*place, "a"), "1"), (("spec", "size"), 1))


@pytest.mark.parametrize(
    ("entry", "fields"),
    [
        pytest.param(
            {"literal": "a: 1\nb: {c: '2'}", "target": "Spec"},
            ((("spec", "a"), 1), (("spec", "b", "c"), "2")),
            id="the spec",
        ),
        pytest.param(
            {"literal": "host: {{ .user }}\nports: [80, 1.5, null, true]", "target": "spec.dB[1]"},
            (
                (("spec", "dB", 1, "host"), "shop"),
                (("spec", "dB", 1, "ports"), [80, 1.5, None, True]),
            ),
            id="a place in a list, its case kept",
        ),
        pytest.param({"literal": "{}", "target": "a.b"}, ((("a", "b"), {}),), id="an empty map"),
        pytest.param({"literal": "1e400", "target": "a"}, ((("a",), "1e400"),), id="no number of JSON"),
        pytest.param(
            {"literal": "a: MQ==\nb: [Mg==]\nc: 3", "target": "x", "valuesDecodingStrategy": "Base64"},
            ((("x", "a"), "1"), (("x", "b"), ["2"]), (("x", "c"), 3)),
            id="decoded",
        ),
        pytest.param(taken(target="spec.n"), ((("spec", "n"), {"k": "v"}["k"]),), id="a text"),
        pytest.param(taken(target="spec"), ((("spec", "a"), "v"),), id="a field of the spec"),
    ],
)
def test_places_get_what_the_output_is_as_yaml(rendered, entry, fields):
    made = rendered({"templateFrom": [entry]}, manifest=WIDGET, sources={HERE: texts(a="v")})

    assert made.fields == fields


def test_value_for_a_place_is_yaml_where_it_can_be(rendered):
    entry = taken(target="spec.n")

    def at(text: str) -> object:
        (field,) = rendered({"templateFrom": [entry]}, manifest=WIDGET, sources={HERE: texts(a=text)}).fields
        return field

    assert at("5") == (("spec", "n"), 5)
    assert at("[5") == (("spec", "n"), "[5")
    assert at("{a: {b: 1}}") == (("spec", "n", "a", "b"), 1)


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({"data": {"a": "{{ .v }}"}}, id="data"),
        pytest.param({"mergePolicy": "Merge", "data": {"b": "x"}}, id="a value that passes"),
        pytest.param({"templateFrom": [{"literal": "a: b\n{{ .v }}: c", "target": "x"}]}, id="a key"),
    ],
)
def test_objects_hold_text_only(rendered, template):
    with pytest.raises(RenderError) as caught:
        rendered(template, manifest=WIDGET, values={"v": b"\xff"})

    assert "�" not in str(caught.value)


def test_output_for_a_place_that_is_no_yaml_is_told(rendered):
    with pytest.raises(TemplateFailedError, match="the output is no YAML: "):
        rendered({"templateFrom": [{"literal": "[a", "target": "spec.x"}]}, manifest=WIDGET)


# -- digests


def test_digest_is_of_the_texts_and_where_they_are_from():
    same = {HERE: texts(a="1", b="2"), THERE: texts(a="1")}
    reordered = {THERE: texts(a="1"), HERE: Texts(dict(reversed(same[HERE].texts.items())), ("others",))}

    digests = {
        digest_of(one)
        for one in (
            same,
            {HERE: texts(a="1", b="2")},
            {HERE: texts(a="1", b="2"), THERE: texts(a="2")},
            {HERE: texts(a="1", b="2"), THERE: texts(c="1")},
            {HERE: texts(a="1"), THERE: texts(a="1", b="2")},
            {},
        )
    }

    assert digest_of(same) == digest_of(reordered)
    assert len(digests) == 6
