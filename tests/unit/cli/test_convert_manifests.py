"""`keyferry convert` changes the version of our manifests, and not one other byte."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from keyferry.cli.convert.findings import BY_HAND, CHANGED, LEFT
from keyferry.cli.convert.text import convert_text

OLD, NEW = "external-secrets.io/v1beta1", "external-secrets.io/v1"

ONE = f"""\
# {OLD} is what this was written for
apiVersion: {OLD} # old
kind: ExternalSecret
metadata:
    name:   "app"   # odd indentation
    annotations: {{note: 'it''s', "b":   1}}
spec:

  data:
  - {{secretKey: a, remoteRef: {{key: b}}}}
"""


def told(text: str, *, embedded: bool = False) -> list[tuple[int, str]]:
    return [(one.line, one.sort) for one in convert_text(text, embedded=embedded).findings]


def texts(text: str, sort: str = BY_HAND) -> list[str]:
    return [f"{one.line}: {one.text}" for one in convert_text(text).findings if one.sort == sort]


CHANGES = {
    "plain": ONE,
    "no-end-of-line": f"kind: SecretStore\napiVersion: {OLD}",
    "windows-line-ends": ONE.replace("\n", "\r\n"),
    "byte-order-mark": f"\ufeff{ONE}",
    "single-quotes": f"apiVersion: '{OLD}'\nkind: ClusterSecretStore\n",
    "double-quotes": f'apiVersion:    "{OLD}"\nkind: ClusterExternalSecret\n',
    "flow-style": f"{{apiVersion: {OLD}, kind: ExternalSecret, metadata: {{name: a}}}}\n",
    "compact-json": json.dumps(
        {"apiVersion": OLD, "kind": "ExternalSecret", "spec": {}}, separators=(",", ":")
    ),
    "indented-json": json.dumps({"kind": "SecretStore", "apiVersion": OLD}, indent=2),
    "json-indented-by-tabs": json.dumps({"apiVersion": OLD, "kind": "ExternalSecret"}, indent="\t"),
    "json-with-escaped-slash": '{"kind": "ExternalSecret", "apiVersion": "external-secrets.io\\/v1beta1"}',
    "directive": f"%YAML 1.2\n---\n{ONE}...\n",
    "no-kind-of-ours-before-it": f"---\napiVersion: v1\nkind: Secret\n---\n{ONE}---\n",
    "characters-of-many-widths": f"# 日本 🔑\nnote: 日本 🔑\n---\n# 🔑\n{ONE}",
    "unknown-tags": f"apiVersion: {OLD}\nkind: ExternalSecret\nspec: !Secret [a, !b c]\n",
    "key-with-a-tag-and-an-anchor": f"apiVersion: &v1beta1 !!str {OLD}\nkind: ExternalSecret\n",
    "value-on-the-next-line": f"apiVersion:\n  {OLD}\nkind: ExternalSecret\n",
    "folded-value": f"apiVersion: >-\n  {OLD}\nkind: ExternalSecret\n",
    "list-of-one-kind": f"apiVersion: {OLD}\nkind: ExternalSecretList\nitems: []\n",
    "helm-that-reads-as-yaml": f"apiVersion: {OLD}\nkind: ExternalSecret\nmetadata: {{{{ .Values.meta }}}}\n",
    "helm-kind": f"apiVersion: {OLD}\nkind: {{{{ .Values.kind }}}}\n",
    "helm-condition": f"{{{{- if .Values.on }}}}\n{ONE}{{{{- end }}}}\n",
    "helm-condition-windows": f"{{{{- if .Values.on }}}}\n{ONE}{{{{- end }}}}\n".replace("\n", "\r\n"),
    "helm-indented": f"{{{{- if .x }}}}\n  apiVersion: {OLD}\n  kind: ExternalSecret\n{{{{- end }}}}\n",
    "helm-quoted": f"{{{{- if .x }}}}\n'apiVersion': '{OLD}'\n{{{{- end }}}}\n",
    "helm-after-a-text": f"{{{{ if .x }}}}\ndata:\n  a: |\n    text\napiVersion: {OLD}\n{{{{ end }}}}\n",
    "helm-item": (
        f"{{{{ if .x }}}}\nkind: List\nitems:\n- metadata: {{}}\n  apiVersion: {OLD}\n{{{{ end }}}}\n"
    ),
    "helm-json": f'{{{{ if .x }}}}\n{{\n  "apiVersion": "{OLD}",\n  "kind": "SecretStore"\n}}\n{{{{ end }}}}\n',
    "helm-byte-order-mark": f"\ufeffapiVersion: {OLD}\n{{{{ if .x }}}}\nkind: ExternalSecret\n{{{{ end }}}}\n",
    "control-character": f"apiVersion: {OLD}\nkind: ExternalSecret\nnote: \x07\n",
    "tabs": f"apiVersion: {OLD}\nkind: ExternalSecret\nspec:\n\tdata: []\n",
}


@pytest.mark.parametrize("text", CHANGES.values(), ids=CHANGES)
def test_the_version_changes_and_nothing_else(text):
    """Each text names the version once outside of comments."""
    converted = convert_text(text)

    mark = "external-secrets.io\\/v1" if "\\/" in text else NEW
    at = text.rindex(f"{mark}beta1")
    assert converted.text == text[:at] + mark + text[at + len(mark) + len("beta1") :]
    assert [finding.sort for finding in converted.findings] == [CHANGED]


LISTED = f"""\
apiVersion: v1
kind: List
items:
- apiVersion: {OLD}
  kind: ExternalSecret
- kind: SecretStore
  apiVersion: {OLD}
- apiVersion: v1
  kind: List
  items: [{{apiVersion: {OLD}, kind: ClusterSecretStore}}]
"""


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(LISTED, [4, 7, 10], id="list"),
        pytest.param(json.dumps(yaml.safe_load(LISTED), indent=1), [6, 11, 18], id="json-list"),
        pytest.param(f"---\n{ONE}---\n{ONE}", [3, 14], id="documents"),
        pytest.param(f"{ONE}---\n{{{{ if .x }}}}\n{ONE}{{{{ end }}}}\n---\n{ONE}", [2, 14, 26], id="mixed"),
        pytest.param(
            f"x: &v {OLD}\n---\n{{apiVersion: &v {OLD}, kind: List, items: [{{apiVersion: *v, kind: SecretStore}}]}}",
            [3],
            id="alias",
        ),
        pytest.param(
            f"kind: List\nitems:\n- &base {{apiVersion: {OLD}, kind: SecretStore}}\n- <<: *base\n  metadata: {{}}\n",
            [3],
            id="merged",
        ),
    ],
)
def test_all_manifests_of_a_file_change(text, lines):
    converted = convert_text(text)

    assert [finding.line for finding in converted.findings if finding.sort == CHANGED] == lines


SAME = {
    "nothing-of-ours": "apiVersion: v1\nkind: Secret\n",
    "present-version": ONE.replace(OLD, NEW),
    "other-group": f"apiVersion: generators.{OLD}\nkind: ExternalSecret\n",
    "longer-version": f"apiVersion: {OLD}2\nkind: ExternalSecret\n",
    "comment": f"# apiVersion: {OLD}\nkind: Secret\n",
    "push-secret": "apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\n",
    "helm-comment": f"{{{{/* {OLD} */}}}}\nkind: {{{{ .x }}}}\n{{{{ end }}}}\n",
    "empty": "",
    "no-text-for-yaml": f"a: \x07\n  # {OLD}\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_is_not_meant_stays_and_is_not_told(text):
    assert convert_text(text)[:2] == (text, ())


EMBEDDED = {
    "text-in-a-config-map": f"""\
kind: ConfigMap
apiVersion: v1
data:
  a.yaml: |
    apiVersion: {OLD}
    kind: ExternalSecret
""",
    "helm-values": f"extraObjects:\n- apiVersion: {OLD}\n  kind: ExternalSecret\n",
    "health-checks": f"kind: Kustomization\nspec:\n  healthChecks:\n  - {{kind: SecretStore, apiVersion: {OLD}}}\n",
    "quoted-text": f'data: {{a: "x\\napiVersion: {OLD}\\nkind: ExternalSecret"}}\n',
    "json-in-json": json.dumps({"data": json.dumps({"apiVersion": OLD, "kind": "SecretStore"})}),
    "text-in-a-template": f"""\
kind: ConfigMap
data:
  {{{{- range .Values.all }}}}
  a.yaml: |-
    {{{{- if .x }}}}
    apiVersion: {OLD}
    {{{{- end }}}}
  {{{{- end }}}}
""",
    "list-of-texts-in-a-template": f"{{{{ if .x }}}}\nargs:\n- |\n  apiVersion: {OLD}\n{{{{ end }}}}\n",
    "part-of-a-template": f"{{{{ if .x }}}}\nspec:\n  object:\n    apiVersion: {OLD}\n{{{{ end }}}}\n",
}


@pytest.mark.parametrize("text", EMBEDDED.values(), ids=EMBEDDED)
def test_manifests_inside_others_are_left_and_told_unless_asked_for(text):
    left, changed = convert_text(text), convert_text(text, embedded=True)

    assert (left.text, [finding.sort for finding in left.findings]) == (text, [LEFT])
    assert (changed.text, [one.sort for one in changed.findings]) == (text.replace(OLD, NEW), [CHANGED])


def test_a_comment_inside_a_text_stays():
    text = f"data:\n  a: |\n    # apiVersion: {OLD}\n    kind: x\n"

    assert convert_text(text, embedded=True).text == text


def test_other_places_that_name_the_version_are_told():
    text = f'{{{{- if .Capabilities.APIVersions.Has "{OLD}" }}}}\napiVersion: {OLD}\n{{{{- end }}}}\n'

    assert told(text) == [(1, LEFT), (2, CHANGED)]


def spec(text: str) -> str:
    return f"apiVersion: {OLD}\nkind: ExternalSecret\nspec:\n{text}"


def store(text: str) -> str:
    return f"apiVersion: {OLD}\nkind: ClusterSecretStore\nspec:\n{text}"


ENGINE = "template engine v1 is gone: write the templates for v2"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param(
            spec("  target: {template: {engineVersion: v1}}\n"),
            4,
            f"spec.target.template.engineVersion: {ENGINE}",
            id="engine",
        ),
        pytest.param(
            f"{{{{ if .x }}}}\n{spec('')}  target:\n    template:\n      engineVersion: 'v1'\n{{{{ end }}}}\n",
            7,
            ENGINE,
            id="engine-in-a-template",
        ),
        pytest.param(
            spec("  data:\n  - secretKey: a\n    remoteRef: {key: a}\n    since: now\n"),
            7,
            "spec.data[0].since is no field of the present version",
            id="field",
        ),
        pytest.param(
            spec("  target: {creationPolicy: Always}\n"),
            4,
            "spec.target.creationPolicy cannot be 'Always' in the present version, only Owner or",
            id="value",
        ),
        pytest.param(
            store("  provider:\n    fake:\n      data:\n      - key: a\n        valueMap: {a: b}\n"),
            8,
            "spec.provider.fake.data[0].valueMap is no field of the present version: write the map as JSON",
            id="fake",
        ),
        pytest.param(
            store("  provider:\n    alibaba: {}\n"),
            5,
            "spec.provider.alibaba is no field of the present version: there is no such provider any more",
            id="provider",
        ),
        pytest.param(
            f"apiVersion: {OLD}\nkind: ClusterExternalSecret\n"
            "spec:\n  externalSecretSpec: {target: {template: {engineVersion: v1}}}\n",
            4,
            f"spec.externalSecretSpec.target.template.engineVersion: {ENGINE}",
            id="inner-spec",
        ),
        pytest.param(
            f"kind: PushSecret\napiVersion: {OLD}\n", 2, "there is no kind 'PushSecret'", id="unknown-kind"
        ),
        pytest.param(
            "kind: SecretStore\napiVersion: external-secrets.io/v1alpha1\n",
            2,
            "SecretStore of external-secrets.io/v1alpha1 has other fields: write it anew",
            id="older-still",
        ),
        pytest.param(
            'kind: SecretStore\napiVersion: "external-secrets.io/v1\\x62eta1"\n# v1beta1\n',
            2,
            "is written with escapes",
            id="escapes",
        ),
        pytest.param(
            "kind: Kustomization\npatches:\n- path: a.yaml\n"
            "  target: {group: external-secrets.io, version: v1beta1, kind: ExternalSecret}\n",
            4,
            "selects objects of version v1beta1",
            id="kustomize-target",
        ),
    ],
)
def test_what_a_person_has_to_do_is_told_with_its_line(text, line, words):
    (said,) = texts(text)

    assert said.startswith(f"{line}: ")
    assert words in said


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("  target: {template: {engineVersion: v2}}\n", id="present-engine"),
        pytest.param("  target: {template: {engineVersion: '{{ .x }}', '{{ .y }}': 1}}\n", id="templated"),
        pytest.param("  {{ .Values.spec }}\n", id="all-templated"),
        pytest.param("  target: {creationPolicy: null}\n  dataFrom: null\n", id="null"),
        pytest.param("  target: &t {name: a}\n  <<: {target: *t}\n", id="merged"),
        pytest.param("  data: {secretKey: a}\n  target: name\n", id="other-shape"),
        pytest.param("  target: &t\n    template: *t\n", id="in-a-circle"),
    ],
)
def test_what_is_fine_or_cannot_be_told_is_not_told(text):
    assert texts(spec(text)) == []


def test_samples_of_the_present_version_have_nothing_to_do_by_hand(pytestconfig):
    """Every field and value of the API is known to the look at the fields."""
    samples = pytestconfig.rootpath / "tests/unit/api/samples"
    old = [file.read_text("utf-8").replace(NEW, OLD) for file in samples.glob("*.yaml")]

    assert [texts(text) for text in old] == [[]] * len(old)
    assert sum(len(texts(text, CHANGED)) for text in old) > 10


@pytest.mark.parametrize("opened", ["[", "{a: ", "- "])
def test_what_is_nested_too_deeply_is_read_line_by_line(opened):
    text = f"kind: x\n---\napiVersion: {OLD}\nkind: ExternalSecret\nspec:\n  {opened * 3_000}\n"

    assert convert_text(text).text == text.replace(OLD, NEW)


def test_templates_are_told_from_yaml():
    assert not convert_text(ONE).by_lines
    assert convert_text(f"{{{{ if .x }}}}\n{ONE}{{{{ end }}}}\n").by_lines


PIECES = st.sampled_from(
    [
        f"apiVersion: {OLD}",
        f'"apiVersion": "{OLD}",',
        f"- apiVersion: {OLD}",
        "kind: ExternalSecret",
        "kind: List",
        "items:",
        "data: |",
        "spec:",
        "{{ if .x }}",
        "---",
        "{",
        "}",
        "\t",
        "'",
        "# x",
        "&a",
        "*a",
        "é🔑",
    ]
)
LINES = st.tuples(st.sampled_from(["", "  ", "    "]), PIECES, st.sampled_from(["\n", "\r\n", " ", "\r"]))
TEXTS = st.lists(LINES, max_size=24).map(lambda lines: "".join("".join(line) for line in lines))


@given(TEXTS, st.booleans())
def test_whatever_the_text_only_versions_differ(text, embedded):
    once = convert_text(text, embedded=embedded)
    again = convert_text(once.text, embedded=embedded)

    changes = [one for one in once.findings if one.sort == CHANGED]
    assert once.text.replace(OLD, NEW) == text.replace(OLD, NEW)
    assert text.count(OLD) - once.text.count(OLD) == len(changes)
    assert again.text == once.text
