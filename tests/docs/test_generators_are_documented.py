"""Every kind of generator has a part of its own on the page: an example, its fields, the keys that it makes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from keyferry.api.generators.kinds import AVAILABLE, BY_KIND, GENERATORS
from keyferry.api.model import convert
from keyferry.generators.password import DEFAULT_SYMBOLS, MAX_CHARS
from keyferry.generators.registry import build_generators as build_local
from keyferry.ports import GeneratorView, ObjectKey
from keyferry.providers.outgoing import MAX_BODY_BYTES, TOTAL_S
from keyferry.providers.registry import ProviderSettings, build_generators, build_providers
from keyferry.reconcile import generator_state

from .markdown import ROOT, blocks, headings, prose

PAGE = ROOT / "docs/kinds/generators.md"


def part(kind: str) -> str:
    """The prose below a kind's heading."""
    return re.split(r"^##+ ", prose(PAGE).partition(f"\n### {kind}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def named(kind: str, head: str) -> Iterator[str]:
    """The code spans in the first cells of a kind's tables of a sort."""
    current = ""
    for line in part(kind).splitlines():
        if not line.startswith("|"):
            current = ""
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        current = current or cells[0]
        if current == head and cells[0] != head:
            yield from re.findall(r"`([^`]+)`", cells[0])


def generators():
    settings = ProviderSettings()
    return {**build_local(), **build_generators(settings, build_providers(settings))}


EXAMPLES = {
    body["kind"]: body
    for block in blocks(PAGE, "yaml")
    for body in yaml.safe_load_all(block.text)
    if body and body["kind"] in BY_KIND
}


def test_every_kind_is_told_as_served_or_as_kept():
    parts = {text for level, text in headings(PAGE) if level == 3}

    assert set(AVAILABLE) == parts
    kept = {one.kind for one in GENERATORS} - set(AVAILABLE)
    assert set() == {kind for kind in kept if not re.search(rf"\b{kind}\b", prose(PAGE))}
    assert set() == kept & set(EXAMPLES)


@pytest.mark.parametrize("kind", AVAILABLE)
def test_fields_are_those_of_the_kind(kind):
    spec = BY_KIND[kind].spec
    told = {name.partition(".")[0].removesuffix("[]") for name in named(kind, "Field")}

    assert set(spec.__struct_encode_fields__) == told


@pytest.mark.parametrize("kind", AVAILABLE)
def test_keys_are_those_that_the_example_makes(kind):
    generator = generators()[kind]
    body = EXAMPLES[kind]
    key = ObjectKey(kind, "team-a", body["metadata"]["name"])
    view = GeneratorView(key, kind, "team-a", convert(body.get("spec") or {}, generator.spec))
    generator.check(view)
    told = set(named(kind, "Key"))

    if kind in ("Password", "Fake", "VaultDynamicSecret", "Webhook"):
        assert told  # in words: its spec names them, or the answer
    else:
        assert set(generator.keys(view)) == told


def test_figures_are_those_of_the_code():
    text = prose(PAGE)

    assert f"at most {MAX_CHARS} characters" in text
    assert f"limited to {MAX_BODY_BYTES >> 20} MiB and\n{TOTAL_S:.0f} s" in text
    assert DEFAULT_SYMBOLS in text.replace("\\|", "|")
    flat = " ".join(text.split())
    assert f"is asked {generator_state.PATIENCE} times" in flat
    assert f"it is tried {generator_state.PATIENCE_WITHOUT_HOPE} times" in flat
    assert f"so long: {generator_state.PATIENCE_AT_THE_END} times" in flat
