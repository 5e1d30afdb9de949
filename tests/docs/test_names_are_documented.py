"""Names that users meet are on the pages: reasons, events, labels, annotations, variables."""

from __future__ import annotations

import ast
import re

import pytest

from keyferry.api import conditions, names

from .markdown import ROOT, headings, pages, spans, table

SPANS = {span for page in pages() for span in spans(page)}
KINDS = ROOT / "docs/kinds"
VARIABLE = re.compile(r"(?:KEYFERRY|AWS|KUBE)[A-Z]*(?:_[A-Z]+)*")
OF_THE_CLUSTER = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBERNETES_EXEC_INFO"}
"""Variables that a cluster or kubectl's protocol sets, not people."""
SOURCES = sorted((ROOT / "operator/keyferry").rglob("*.py"))


def constants(module: object, *prefixes: str) -> dict[str, str]:
    """The module's constants whose names begin so."""
    return {name: value for name, value in vars(module).items() if name.startswith(prefixes)}


REASONS = {
    **constants(conditions, "SECRET_", "RESOURCE_", "STORE_", "EVENT_"),
    "PAUSED": "Paused",
}
LABELS = {
    name: value
    for name, value in constants(names, "LABEL_", "ANNOTATION_").items()
    if not name.endswith(("_VALUE", "_CONTROLLER", "_WEBHOOK"))
}


@pytest.mark.parametrize("name", REASONS)
def test_reason_is_explained(name):
    assert REASONS[name] in SPANS


@pytest.mark.parametrize("name", LABELS)
def test_label_or_annotation_is_explained(name):
    value = LABELS[name]

    assert [span for span in SPANS if value in span] != []


def test_reasons_in_the_tables_are_those_of_the_code():
    """No page tells of a reason that there is not."""
    told = {
        row[0].strip("`")
        for page in KINDS.glob("*.md")
        for columns in (("Reason", "Status", "Meaning, and what to do"), ("Reason", "Type", "Meaning"))
        for row in table(page, *columns)
    }

    assert set() == told - set(REASONS.values())


def test_troubleshooting_has_a_part_for_each_reason_that_is_written():
    """All that a status can hold but the good ones."""
    tables = [
        table(page, "Reason", "Status", "Meaning, and what to do") for page in sorted(KINDS.glob("*.md"))
    ]
    reasons = {row[0].strip("`") for rows in tables for row in rows}
    parts = {text for level, text in headings(ROOT / "docs/troubleshooting.md") if level == 2}

    assert {"SecretSynced", "ResourceSynced", "Valid"} == reasons - parts


def test_reasons_written_are_in_the_tables_and_the_others_are_said_not_to_be():
    """A reason that no code uses must not stand in a table, and the other way round."""
    code = "".join(path.read_text("utf-8") for path in SOURCES if path.name != "conditions.py")
    used = {value for name, value in REASONS.items() if re.search(rf"\bc\.{name}\b", code)} | {"Paused"}
    told = {
        row[0].strip("`")
        for page in KINDS.glob("*.md")
        for columns in (("Reason", "Status", "Meaning, and what to do"), ("Reason", "Type", "Meaning"))
        for row in table(page, *columns)
    }

    assert used == told


def variables() -> set[str]:
    """Environment variables that the operator's own code names."""
    found: set[str] = set()
    for path in SOURCES:
        if {"testing", "localcluster", "demo"} & set(path.parts):
            continue
        texts = [
            node.value
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant)
        ]
        found |= {text for text in texts if isinstance(text, str) and VARIABLE.fullmatch(text)}
    return found - OF_THE_CLUSTER


def test_variables_are_explained():
    told = {span.partition("=")[0] for span in SPANS}

    assert {"KEYFERRY_WATCH", "KUBECONFIG", "AWS_STS_ENDPOINT"} <= variables()
    assert set() == variables() - told


def test_annotations_and_labels_of_the_pages_are_ours():
    """No page tells of a label, annotation or finalizer that there is not."""
    known = {value for value in vars(names).values() if isinstance(value, str)}
    named = {
        word
        for span in SPANS
        for word in re.findall(r"(?:[\w.-]*external-secrets\.io|keyferry\.io)/[\w./-]+", span)
    }

    assert set() == {word for word in named if word not in known}
