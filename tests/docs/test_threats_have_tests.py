"""Each row of the threat model names a test that is there, and RBAC is explained verb by verb."""

from __future__ import annotations

import re

import yaml

from .markdown import ROOT, prose, table

PAGE = ROOT / "docs/security.md"
COLUMNS = ("Asset", "Threat", "Control", "Test")


def test_each_threat_names_a_test_file():
    defined = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", prose(PAGE), re.MULTILINE))
    rows = table(PAGE, *COLUMNS)
    files = [
        (PAGE.parent / defined[name]).resolve()
        for row in rows
        for name in re.findall(r"\]\[([\w-]+)\]", row[3])
    ]

    assert len(rows) >= 15
    assert len(files) == len(rows)
    assert [] == [file for file in files if not file.is_file() or not file.name.startswith("test_")]


def test_each_boundary_has_a_row():
    """The parts of the page, and a word of the rows that belong to each."""
    parts = re.findall(
        r"^### (.+)$", prose(PAGE).partition("## Boundaries")[2].partition("## RBAC")[0], re.MULTILINE
    )
    rows = " ".join(cell for row in table(PAGE, *COLUMNS) for cell in row)
    words = {
        "References": "t-references",
        "Who may use a store": "t-conditions",
        "Which keys a namespace may read": "t-policies",
        "Ambient identity": "--ambient-identity",
        "Tokens": "t-audiences",
        "Addresses": "t-resolved",
        "Sharing": "t-identity",
        "Ownership": "t-ownership",
        "Targets that are no Secret": "t-generic",
        "What generators made": "t-states",
        "Hostile input": "t-limits",
    }

    assert list(words) == parts
    assert [] == [part for part, word in words.items() if word not in rows]


def test_every_granted_verb_is_explained():
    granted: set[tuple[str, str]] = set()
    for document in yaml.safe_load_all((ROOT / "deploy/rbac/rbac.yaml").read_text("utf-8")):
        for rule in document.get("rules", []):
            granted |= {(resource, verb) for resource in rule["resources"] for verb in rule["verbs"]}
    told: set[tuple[str, str]] = set()
    for resources, verbs, _ in table(PAGE, "Resource", "Verbs", "Why"):
        named = re.findall(r"`([^`]+)`", resources)
        if named == ["status"]:
            named = [f"{kind}/status" for kind in ("externalsecrets", "secretstores", "clustersecretstores")]
        told |= {(resource, verb) for resource in named for verb in verbs.split(", ")}

    assert granted == told
