"""Hypothesis strategies for objects that the API server accepts, made of the very schemas that it checks.

`from_schema` follows a structural schema: types, enums, bounds and patterns hold, all else is free and often
odd. Rules in CEL are not looked at; `tidied` repairs the common ones where most objects have to pass.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from keyferry.api import names
from keyferry.api.crd import KINDS, Kind, crd

Json = st.SearchStrategy[Any]

NAMES = ("store", "shared", "gone", "gen", "x.y-z", "a" * 253)
"""Few, so that objects find each other."""
KEYS = ("a", "A_b-c.d", "token", ".", "..", "k" * 253)
DURATIONS = (
    "0",
    "0s",
    "300ms",
    "15m",
    "1h0m0s",
    "-1h",
    "1.5h",
    ".5s",
    "1h1ns",
    "2562047h47m16s",
    "99999999h",
    "+1us",
)
SCHEDULES = (
    "@daily",
    "@every 1h",
    "@every x",
    "* * * * *",
    "0 25 * * *",
    "0 0 30 2 *",
    "*/0 * * * *",
    "a b c d e",
)
TEXTS = (
    *("", " ", "\n", "\t", "\0", "x", "db", "shop/token", "v" * 5000, "null", "true", "0", "1e309"),
    *("é", "\u202e\u2028", "\U0001f511", "\ufffd", "\ufeff", "ﬀ", "İ"),
    *(
        "^",
        "^db",
        "(",
        "[",
        "(?i)x",
        "(?=x)",
        "\\",
        "$1",
        "${1}",
        "${",
        "(.*)*$",
        "(" * 1100,
        "a{1001}",
        "\\pN",
        ".*",
    ),
    *(
        "#",
        "a.#.b",
        "@reverse",
        "@this|@keys",
        "..",
        "*",
        'a|@pretty:{"indent":9}',
        '#(a=="b")#',
        "a\\.b",
        "[0]",
    ),
    *(
        "{{ .value }}",
        "{{",
        "{{ range . }}",
        "Annotations",
        "data",
        "spec.a[0]",
        "v1",
        "Secret",
        "a/b/c",
        "ConfigMap",
    ),
    *(
        "https://host.invalid",
        "http://[::1",
        "http://169.254.169.254",
        "1.2.3.4",
        "localhost:0",
        "file:///etc",
    ),
    *(
        "arn:aws:iam::123456789012:role/x",
        "eu-central-1",
        "SecretsManager",
        "In",
        "NotIn",
        "Exists",
        "DoesNotExist",
    ),
)
NUMBERS = (0, 1, -1, 7, 24, 253, 65_537, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 10**20)
PATTERNS: dict[str, tuple[str, ...]] = {"h|m": DURATIONS, "a-z0-9": NAMES, "a-zA-Z0-9": KEYS, "@": SCHEDULES}
"""What patterns are known by, and texts of which some fit."""


def _texts(schema: Mapping[str, Any]) -> Json:
    fewest, most = schema.get("minLength", 0), schema.get("maxLength", 10**6)

    def fits(text: str) -> bool:
        return fewest <= len(text) <= most and re.search(pattern, text) is not None

    pattern = schema.get("pattern", "")
    if schema.get("format") == "byte":
        return st.sampled_from(["", "LS0t", "AA==", "AAA="])
    if schema.get("format") == "date-time":
        return st.sampled_from(
            [
                "2026-01-05T10:00:00Z",
                "0001-01-01T00:00:00Z",
                "9999-12-31T23:59:59.999+14:00",
                "1970-01-01T00:00:00-14:00",
            ]
        )
    pools = [pool for mark, pool in PATTERNS.items() if mark in pattern] if pattern else [TEXTS, NAMES, KEYS]
    known = [text for pool in (*pools, TEXTS) for text in pool if fits(text)]
    if pattern and not known:
        return st.from_regex(pattern, fullmatch=True).filter(fits)
    free = st.text(st.characters(exclude_categories=["Cs"]), min_size=fewest, max_size=min(most, 20))
    return st.sampled_from(known) if pattern else st.sampled_from(known) | free


def anything(leaves: int = 12) -> Json:
    """What stands in a block that no schema describes."""
    scalars = (
        st.none()
        | st.booleans()
        | st.sampled_from(NUMBERS)
        | st.floats(-1e300, 1e300)
        | st.sampled_from(TEXTS)
    )
    keys = st.sampled_from([*NAMES, *TEXTS[:20], "namespace", "secretRef", "name"])
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=leaves,
    )


def from_schema(schema: Mapping[str, Any], *, nulls: bool = False) -> Json:
    """Values that a structural schema accepts.

    Args:
        nulls: also nulls where the API server would refuse them; objects older than a schema may have some.
    """
    made = _from_schema(schema, nulls=nulls)
    return st.none() | made if schema.get("nullable") else made


def _from_schema(schema: Mapping[str, Any], *, nulls: bool) -> Json:
    if schema.get("x-kubernetes-int-or-string"):
        return st.sampled_from(NUMBERS) | _texts(schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    of = schema.get("type")
    if of == "object":
        return _objects(schema, nulls=nulls)
    if of == "array":
        most = min(schema.get("maxItems", 4), 4)
        items = from_schema(schema["items"], nulls=nulls)
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=most)
    if of == "boolean":
        return st.booleans()
    if of == "integer":
        bits = 31 if schema.get("format") == "int32" else 63
        low, high = schema.get("minimum", -(2**bits)), schema.get("maximum", 2**bits - 1)
        known = [number for number in NUMBERS if low <= number <= high]
        return st.sampled_from(known) | st.integers(low, high) if known else st.integers(low, high)
    return _texts(schema)


def _objects(schema: Mapping[str, Any], *, nulls: bool) -> Json:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.dictionaries(st.sampled_from([*NAMES, *TEXTS[:20]]), anything(), max_size=4)
    if "additionalProperties" in schema:
        values = from_schema(schema["additionalProperties"], nulls=nulls)
        return st.dictionaries(st.sampled_from([*NAMES, *KEYS, *TEXTS[:30]]), values, max_size=4)
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    fewest = schema.get("minProperties", 0)
    most = schema.get("maxProperties", len(properties))
    free = sorted(set(properties) - required)
    parts = {key: from_schema(part, nulls=nulls) for key, part in properties.items()}

    @st.composite
    def build(draw: Callable[[Json], Any]) -> dict[str, Any]:
        count = draw(
            st.integers(max(0, fewest - len(required)), max(0, min(len(free), most - len(required))))
        )
        count = min(count, draw(st.sampled_from([1, 2, 3, 100]))) if fewest <= len(required) + 1 else count
        chosen = draw(st.permutations(free))[:count] if count else []
        made = {}
        for key in sorted([*required, *chosen]):
            # The API server fills a null of a field that has a default, and refuses others.
            may_be_null = key not in required and (nulls or "default" in properties[key])
            made[key] = None if may_be_null and draw(st.integers(0, 9)) == 9 else draw(parts[key])
        return made

    return build()


@functools.cache
def schema_of(kind: str) -> Mapping[str, Any]:
    """The schema of a kind's objects."""
    versions = crd(_kind(kind))["spec"]["versions"]
    root: Mapping[str, Any] = next(one for one in versions if one["storage"])["schema"]["openAPIV3Schema"]
    return root


def _kind(kind: str) -> Kind:
    return next(one for one in KINDS if one.kind == kind)


@functools.cache
def specs(kind: str, *, nulls: bool = False) -> Json:
    """What stands in an object's spec."""
    return from_schema(schema_of(kind)["properties"]["spec"], nulls=nulls)


def statuses(kind: str) -> Json:
    """What stands in an object's status."""
    return from_schema(schema_of(kind)["properties"]["status"])


def metadata() -> Json:
    """Labels and annotations, ours among them."""
    labels = st.dictionaries(
        st.sampled_from(["app", "a.b/c", names.LABEL_MANAGED, names.LABEL_CREATED_BY]),
        st.sampled_from(["", "x", "true"]),
    )
    keys = st.sampled_from(
        ["note", names.ANNOTATION_PAUSED, names.ANNOTATION_OPTIONAL_KEYS, names.ANNOTATION_DATA_HASH]
    )
    return st.fixed_dictionaries(
        {}, optional={"labels": labels, "annotations": st.dictionaries(keys, st.sampled_from(TEXTS))}
    )


def objects(kind: str, name: str) -> Json:
    """Objects of a kind, without a status."""
    version = next(one.name for one in _kind(kind).versions if one.storage)
    return st.builds(
        lambda meta, spec: {
            "apiVersion": f"{_kind(kind).group}/{version}",
            "kind": kind,
            "metadata": {**meta, "name": name},
            "spec": spec,
        },
        metadata(),
        specs(kind),
    )


def tidied(external_secret: Mapping[str, Any]) -> dict[str, Any]:
    """The object, changed so that it keeps the rules that random ones break most."""
    made = copy.deepcopy(dict(external_secret))
    spec = made["spec"]
    for source in spec.get("dataFrom") or ():
        generator = (source.get("sourceRef") or {}).get("generatorRef")
        for key in [one for one in ("find", "extract") if one in source][0 if generator else 1 :]:
            del source[key]
        if not source.keys() & {"find", "extract"} and not generator:
            source["extract"] = {"key": "doc"}
        if source.get("sourceRef") == {}:
            del source["sourceRef"]
    if not spec.get("data") and not spec.get("dataFrom"):
        spec["data"] = [{"secretKey": "a", "remoteRef": {"key": "db"}}]
    target = spec.get("target") or {}
    if target.get("creationPolicy") in ("Merge", "None", "CreateOrMerge"):
        target.pop("deletionPolicy", None)
    seen = {entry["secretKey"]: entry for entry in spec.get("data") or ()}
    if spec.get("data"):
        spec["data"] = list(seen.values())
    return made
