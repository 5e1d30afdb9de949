"""The double is trusted because it answers as the real server, to the letter, wherever both can be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from keyferry.testing.leaks import canary
from keyferry.testing.vault import Api, VaultServer
from keyferry.testing.vaultdouble import VaultDouble

RULES = {
    "kv/data/app/*": ["read"],
    "kv/metadata/app/*": ["read", "list"],
    "kv/data/rw/*": ["create", "update", "delete"],
    "old/app/*": ["read", "list"],
    "old/app/hidden": ["deny"],
    "kv/data/+/one": ["read"],
}
CHANGING = {"request_id", "accessor", "client_token", "id", "entity_id", "uuid", "cluster_id", "nonce"}


@dataclass
class Pair:
    """The same question for both."""

    real: Api
    double: Api

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[Any, Any]:
        return tuple(
            _plain(*api.send(method, path, body, headers=headers)) for api in (self.real, self.double)
        )


def _plain(status: int, content: bytes) -> tuple[int, Any]:
    return status, _without_changing(json.loads(content)) if content else None


def _without_changing(value: Any) -> Any:
    """Ids and times as whether they are there, what is left of a lifetime without its last seconds."""
    if isinstance(value, dict):
        return {
            name: bool(inner)
            if name in CHANGING
            else (inner + 5) // 10
            if name == "ttl"
            else _without_changing(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_changing(inner) for inner in value]
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return "a time"
    if isinstance(value, int) and value > 1_000_000_000:
        return "a time"
    return value


@pytest.fixture(scope="module")
def double() -> Iterator[VaultDouble]:
    with VaultDouble(product="vault") as running:
        yield running


@pytest.fixture(scope="module")
def tokens(vault: VaultServer, double: VaultDouble) -> Callable[..., Pair]:
    """Both with the same secrets and policies; makes a token of each."""
    administrator = vault.administrator
    for one in (administrator, double.root):
        one.mount_kv("kv", 2)
        one.mount_kv("old", 1)
        one.policy("app", RULES)
        one.user("ada", "correct horse", ["app"], path="same-people")
    old = {"version": 1}
    for key, value in (
        ("app/a", {"x": canary("same-old")}),
        ("app/b/c", {"c": 1}),
        ("app/hidden", {"h": "i"}),
    ):
        administrator.put("old", key, value, **old)
        double.root.put("old", key, value)
    for one in (administrator, double.root):
        for key in ("app/a", "app/b/c", "app/deleted", "app/destroyed", "other", "x/one", "rw/old"):
            one.put("kv", key, {"n": 1, "s": "ü", "deep": {"a": [1, None]}})
        one.put("kv", "app/a", {"n": 2})
        one.annotate("kv", "app/a", {"owner": "team-a"})
        one.delete("kv", "app/deleted")
        one.destroy("kv", "app/destroyed", 1)

    def make(*policies: str) -> Pair:
        real = administrator.token(*(policies or ["app"]), ttl="10m").value
        pretended = double.token(*(policies or ["app"]), ttl_s=600).value
        return Pair(Api(vault.url, vault.ca_pem, real), Api(double.url, double.ca_pem, pretended))

    return make


READS = [
    "GET kv/data/app/a",
    "GET kv/data/app/a?version=1",
    "GET kv/data/app/a?version=0",
    "GET kv/data/app/a?version=7",
    "GET kv/data/app/none",
    "GET kv/data/app/deleted",
    "GET kv/data/app/destroyed",
    "GET kv/data/other",
    "GET kv/data/x/one",
    "GET kv/data/x/y/one",
    "GET kv/metadata/app/a",
    "GET kv/metadata/app/none",
    "LIST kv/metadata/app",
    "LIST kv/metadata/app/",
    "GET kv/metadata/app?list=true",
    "LIST kv/metadata/app/none",
    "LIST kv/metadata",
    "GET old/app/a",
    "GET old/app/none",
    "GET old/app/hidden",
    "LIST old/app",
    "LIST old/app/b",
    "LIST old",
    "GET nowhere/a",
    "GET sys/nothing",
    "GET auth/nowhere/login",
    "GET auth/token/lookup-self",
    "POST auth/token/lookup-self",
    "POST kv/data/app/a",
    "DELETE kv/data/app/a",
]


BY_ROOT_ELSE = {"DELETE kv/data/app/a", "POST auth/token/lookup-self", "POST kv/data/app/a"}
"""Refused to others, these change what is read, or are no part of the double."""


@pytest.mark.parametrize(
    ("who", "question"),
    [
        *(pytest.param("app", question, id=f"app-{question}") for question in READS),
        *(
            pytest.param("root", question, id=f"root-{question}")
            for question in READS
            if question not in BY_ROOT_ELSE
        ),
    ],
)
def test_what_is_read_is_the_same(tokens: Callable[..., Pair], who, question):
    real, pretended = tokens(who).ask(*question.split(" ", 1))

    assert real == pretended


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "kv/data/rw/new", {"data": {"a": "b"}}, id="create"),
        pytest.param("POST", "kv/data/rw/old", {"data": {"a": "b"}}, id="update"),
        pytest.param("PUT", "kv/data/rw/cas", {"data": {}, "options": {"cas": 0}}, id="cas-new"),
        pytest.param("POST", "kv/data/rw/old", {"data": {}, "options": {"cas": 0}}, id="cas-too-late"),
        pytest.param("POST", "kv/data/rw/old", {"a": "b"}, id="no-data"),
        pytest.param("DELETE", "kv/data/rw/old", None, id="delete"),
        pytest.param("POST", "kv/data/other", {"data": {"a": "b"}}, id="denied"),
    ],
)
def test_writes_are_answered_the_same(tokens: Callable[..., Pair], method, path, body):
    real, pretended = tokens().ask(method, path, body)

    assert real == pretended


def test_a_token_that_is_none_is_refused_the_same(tokens: Callable[..., Pair]):
    pair = tokens()
    pair.real.token = pair.double.token = ""
    none = pair.ask("GET", "kv/data/app/a")
    pair.real.token = pair.double.token = "hvs.wrong"
    wrong = pair.ask("GET", "kv/data/app/a")

    assert (none[0], wrong[0]) == (none[1], wrong[1])
    assert (403, 403) == (none[1][0], wrong[1][0])


def test_the_life_of_a_token_is_the_same(tokens: Callable[..., Pair]):
    pair = tokens("default")

    for method, part, body in (
        ("POST", "renew-self", {"increment": "300s"}),
        ("PUT", "renew-self", {}),
        ("GET", "lookup-self", None),
        ("POST", "revoke-self", {}),
        ("GET", "lookup-self", None),
        ("POST", "revoke-self", {}),
    ):
        real, pretended = pair.ask(method, f"auth/token/{part}", body)

        assert real == pretended


def test_a_token_that_cannot_be_renewed_says_so_the_same(vault: VaultServer, double: VaultDouble):
    real = Api(vault.url, vault.ca_pem, vault.administrator.token("default", renewable=False).value)
    pretended = Api(double.url, double.ca_pem, double.token("default", renewable=False).value)

    answers = Pair(real, pretended).ask("POST", "auth/token/renew-self", {})

    assert answers[0] == answers[1]
    assert 400 == answers[1][0]


@pytest.mark.parametrize(
    ("user", "password"),
    [
        pytest.param("ada", "correct horse", id="right"),
        pytest.param("grace", "correct horse", id="unknown"),
    ],
)
def test_a_login_is_answered_the_same(tokens: Callable[..., Pair], user, password):
    pair = tokens()
    pair.real.token = pair.double.token = ""

    real, pretended = pair.ask("POST", f"auth/same-people/login/{user}", {"password": password})
    if real[0] == 200:
        assert real[1]["auth"].pop("entity_id") is not pretended[1]["auth"].pop("entity_id")

    assert real == pretended


def test_what_the_node_is_asked_is_answered_the_same(tokens: Callable[..., Pair]):
    pair = tokens()
    forward = pair.ask("GET", "kv/data/app/a", **{"X-Vault-Inconsistent": "forward-active-node"})
    namespace = pair.ask("GET", "kv/data/app/a", **{"X-Vault-Namespace": "nowhere"})
    capabilities = pair.ask("POST", "sys/capabilities-self", {"paths": ["kv/data/app/a", "kv/data/other"]})
    health = pair.ask("GET", "sys/health")

    assert (400, 200) == (forward[0][0], namespace[0][0])
    assert forward[0] == forward[1]
    assert namespace[0] == namespace[1]
    assert capabilities[0][1]["data"] == capabilities[1][1]["data"]
    assert health[1][1] == {**health[1][1], **{key: health[0][1][key] for key in ("sealed", "standby")}}
