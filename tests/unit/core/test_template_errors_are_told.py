"""What is told of a template that fails: place, reason and what to do; of a Secret's template no word of it."""

from __future__ import annotations

import json

import pytest

from keyferry.core.template_error import Place, told
from keyferry.errors import ON_CHANGE, RenderError
from keyferry.gotemplate import ParseError, StringMap, TemplateError, parse
from keyferry.testing.leaks import LeakDetector, canary

PLACE, SECRET = Place('data["a"]'), Place("templateFrom[0]", is_secret=True)
VALUES = {"user": "u", "db-password": "p", "password": "x"}


@pytest.fixture
def failure(renderer):
    """What the engine says of a template that fails."""

    def build(text, values=VALUES) -> TemplateError:
        data = StringMap({key.encode(): value.encode() for key, value in values.items()})
        with pytest.raises(TemplateError) as caught:
            parse("a", text).render(data, renderer().run)
        return caught.value

    return build


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        pytest.param(
            "x\n {{ .pasword }}",
            'data["a"], line 2, column 4: map has no entry for key "pasword"',
            'The keys are "password", "db-password", "user"',
            id="a key that is missing",
        ),
        pytest.param(
            "{{ .db-password }}",
            "data[\"a\"], line 1: bad character U+002D '-'",
            'Read a key with a dash by index: {{ index . "db-password" }}',
            id="a dash",
        ),
        pytest.param(
            "{{ password }}",
            'data["a"], line 1: function "password" not defined',
            "Read a value with a dot before its key: {{ .password }}",
            id="a dot that is missing",
        ),
        pytest.param(
            "{{ .user | b64encode }}",
            'data["a"], line 1: function "b64encode" not defined',
            "There is b64enc",
            id="a function of another name",
        ),
        pytest.param(
            "{{ getHostByName }}",
            'data["a"], line 1: function "getHostByName" not defined',
            "docs/template-functions.md lists the functions",
            id="no such function",
        ),
        pytest.param(
            "{{ keys . }}",
            'data["a"], line 1, column 8: wrong type for value; expected map[string]interface {}; '
            "got map[string]string",
            "All values together are no dict: take single keys by index, or make a dict",
            id="a dict of all",
        ),
        pytest.param("{{ if }}", 'data["a"], line 1: missing value for if', "", id="no hint"),
    ],
)
def test_failure_is_told_with_its_place_and_a_hint(failure, text, message, hint):
    error = told(PLACE, failure(text), VALUES)

    assert error.message == message
    assert error.hint.startswith(hint) if hint.startswith("There is") else error.hint == hint
    assert error.retry == ON_CHANGE
    assert isinstance(error, RenderError)


def test_dash_has_an_example_where_no_key_has_one(failure):
    error = told(PLACE, failure("{{ .a-b }}"), ["user"])

    assert error.hint == 'Read a key with a dash by index: {{ index . "my-key" }}'


@pytest.mark.parametrize(
    "template", ["{{ (fromJson .v).no }}", "{{ (fromYaml .v).no }}", "{{ (dict .v 1).no }}"]
)
def test_keys_that_may_be_values_are_not_told(failure, template):
    value = canary("key-of-a-value")
    error = told(PLACE, failure(template, {"v": json.dumps({value: 1})}), ["v"])

    assert 'map has no entry for key "no"' in str(error)
    assert value not in str(error)
    assert error.hint == ""


def test_where_there_are_no_keys_it_is_said(failure):
    assert told(PLACE, failure("{{ .no }}", {}), []).hint == "There are no keys at all"


def test_not_more_keys_are_told_than_can_be_read(failure):
    values = {f"key-{number:03}" + "x" * 100: "" for number in range(50)}

    hint = told(PLACE, failure("{{ .none }}", values), values).hint

    assert hint.endswith(" and 30 more")
    assert hint.count('"') == 40
    assert max(map(len, hint.split('"'))) == 40


def test_long_text_is_cut():
    error = told(PLACE, ParseError("x", line=3, detail="y" * 1000), [])

    assert error.message == f'data["a"], line 3: {"y" * 400}…'


def test_place_without_a_line_is_told_without_one():
    assert told(PLACE, ParseError("too long"), []).message == 'data["a"]: too long'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("{{ .%s }}", "map has no entry for key", id="key"),
        pytest.param("{{ %s }}", "not defined", id="function"),
        pytest.param("{{ $%s }}", "undefined variable", id="variable"),
        pytest.param('{{ template "%s" }}', "it cannot be rendered", id="template"),
        pytest.param("{{ .user.%s }}", "can't evaluate field", id="field"),
        pytest.param('{{ fail "%s" }}', "error calling", id="message"),
        pytest.param('{{ "%s" 1 }}', "it cannot be rendered", id="call"),
        pytest.param("{{ if .user }}{{ else }}{{ %s := 1 }}{{ end }}", "unexpected", id="declaration"),
        pytest.param('{{ "%s }}', "unterminated", id="text"),
    ],
)
def test_text_of_a_secret_is_not_quoted(failure, text, reason):
    """A Secret may hold templates by mistake: what is a password and has braces in it is none."""
    detector = LeakDetector()
    secret = canary("template")

    error = told(SECRET, failure(text % secret), VALUES)

    assert error.message.partition(": ")[2].startswith(reason) or "(not quoted" in error.message
    assert error.message.startswith("templateFrom[0], line 1")
    assert error.message.endswith("(not quoted: it comes from a Secret)")
    detector.look("the error", str(error))
    assert detector.findings == []
