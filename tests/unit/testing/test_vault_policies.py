"""Which of a token's rules count at a path: the most exact one, where it denies too."""

from __future__ import annotations

import pytest

from keyferry.testing.vault import policy_text
from keyferry.testing.vaultdouble.tokens import capabilities


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        pytest.param({"kv/data/app": ["read"]}, "kv/data/app", {"read"}, id="exact"),
        pytest.param({"kv/data/app": ["read"]}, "kv/data/app/b", set(), id="not-below-without-a-star"),
        pytest.param({"kv/data/app*": ["read"]}, "kv/data/apple", {"read"}, id="a-star-is-a-prefix"),
        pytest.param({"kv/+/app": ["read"]}, "kv/data/app", {"read"}, id="a-plus-is-one-segment"),
        pytest.param({"kv/+/app": ["read"]}, "kv/a/b/app", set(), id="and-no-more"),
        pytest.param({"kv/*": ["read"], "kv/data/*": ["list"]}, "kv/data/a", {"list"}, id="longest-prefix"),
        pytest.param({"kv/*": ["read"], "kv/data/a": ["deny"]}, "kv/data/a", set(), id="exact-denial"),
        pytest.param({"kv/*": ["deny"], "kv/data/a": ["read"]}, "kv/data/a", {"read"}, id="exact-permission"),
        pytest.param({"kv/+/a": ["read"], "kv/data/*": ["list"]}, "kv/data/a", {"list"}, id="star-over-plus"),
        pytest.param({}, "kv/data/a", set(), id="nothing"),
    ],
)
def test_the_most_exact_rule_counts(rules, path, expected):
    assert expected == capabilities([rules], path)


def test_rules_of_the_same_path_add_up():
    assert {"read", "list"} == capabilities([{"a/*": ["read"]}, {"a/*": ["list"]}], "a/b")
    assert set() == capabilities([{"a/*": ["read"]}, {"a/*": ["deny"]}], "a/b")


def test_a_policy_is_written_as_vault_reads_it():
    assert 'path "kv/data/*" {\n  capabilities = ["read", "list"]\n}\n' == policy_text(
        {"kv/data/*": ["read", "list"]}
    )
