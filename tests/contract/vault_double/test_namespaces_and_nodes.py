"""What only the double can show: namespaces, nodes that are behind or stand by, another product."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keyferry.testing.leaks import canary
from keyferry.testing.vault import Api, VaultRefused
from keyferry.testing.vaultdouble import Token, VaultDouble


@pytest.fixture
def double() -> Iterator[VaultDouble]:
    with VaultDouble() as running:
        yield running


def api(double: VaultDouble, token: Token | None = None, namespace: str = "") -> Api:
    return Api(double.url, double.ca_pem, token.value if token else "", namespace=namespace)


def filled(double: VaultDouble, namespace: str, value: str) -> Token:
    space = double.namespace(namespace)
    space.mount_kv("kv")
    space.put("kv", "db", {"value": value})
    space.policy("app", {"kv/data/*": ["read", "create", "update"]})
    return double.token("app", namespace=namespace)


def value(answer: dict[str, object]) -> object:
    return answer["data"]["data"]["value"]  # type: ignore[index]


def test_namespaces_hold_data_of_their_own(double: VaultDouble):
    tokens = {name: filled(double, name, f"of {name}") for name in ("team-a", "team-b", "team-a/inner")}

    seen = {
        name: value(api(double, token, name).request("GET", "kv/data/db")) for name, token in tokens.items()
    }
    by_path = value(api(double, tokens["team-a/inner"]).request("GET", "team-a/inner/kv/data/db"))
    both = value(api(double, tokens["team-a/inner"], "team-a").request("GET", "inner/kv/data/db"))

    assert {name: f"of {name}" for name in tokens} == seen
    assert ("of team-a/inner", "of team-a/inner") == (by_path, both)


def test_a_token_is_good_in_its_namespace_and_where_its_policies_reach_below(double: VaultDouble):
    filled(double, "team-b", "b")
    filled(double, "team-a/inner", "inner")
    token = filled(double, "team-a", "a")
    above = double.token(
        double.namespace("team-a").policy("above", {"inner/kv/data/*": ["read"]}), namespace="team-a"
    )

    statuses = [
        api(double, token, "team-b").send("GET", "kv/data/db")[0],
        api(double, token, "team-a/inner").send("GET", "kv/data/db")[0],
        api(double, token).send("GET", "kv/data/db")[0],
        api(double, above, "team-a/inner").send("GET", "kv/data/db")[0],
    ]

    assert [403, 403, 403, 200] == statuses


def test_a_login_gives_a_token_of_its_namespace(double: VaultDouble):
    token = filled(double, "team-a", "a")
    team = double.namespace("team-a")
    role = team.app_role("app", ["app"], ttl_s=90)
    credentials = {"role_id": role.role_id, "secret_id": role.secret_id}

    granted = api(double, namespace="team-a").request("POST", "auth/approle/login", credentials)["auth"]
    told = api(double, token, "team-a").with_token(granted["client_token"])
    outside = api(double).send("POST", "auth/approle/login", credentials)

    assert 403 == outside[0]
    assert "team-a/" == told.request("GET", "auth/token/lookup-self")["data"]["namespace_path"]
    assert (90, ["app", "default"]) == (granted["lease_duration"], granted["policies"])


def test_a_namespace_that_is_none_is_told_by_each_product_its_own_way():
    told = {}
    for product in ("vault-enterprise", "openbao"):
        with VaultDouble(product=product) as double:
            token = filled(double, "", "root")
            with pytest.raises(VaultRefused) as refused:
                api(double, token, "nowhere").request("GET", "kv/data/db")
            told[product] = (refused.value.status, refused.value.errors)

    assert {
        "vault-enterprise": (404, ['no handler for route "nowhere/kv/data/db". route entry not found.']),
        "openbao": (404, ["namespace not found"]),
    } == told


def test_a_node_that_is_behind_reads_what_it_has(double: VaultDouble):
    token = filled(double, "", "before")
    double.lag()
    double.root.put("kv", "db", {"value": "after"})
    fresh = double.token("app")

    stale = value(api(double, token).request("GET", "kv/data/db"))
    unknown = api(double, fresh).send("GET", "kv/data/db")[0]
    double.catch_up()

    assert ("before", 403) == (stale, unknown)
    assert "after" == value(api(double, fresh).request("GET", "kv/data/db"))


def test_who_names_an_index_reads_no_older_data(double: VaultDouble):
    token = filled(double, "", "before")
    double.lag()
    seen = _written(double, token)
    reader = api(double, token)
    forward = {"X-Vault-Index": seen, "X-Vault-Inconsistent": "forward-active-node"}

    with pytest.raises(VaultRefused) as behind:
        reader.request("GET", "kv/data/db", headers={"X-Vault-Index": seen})
    forwarded = value(reader.request("GET", "kv/data/db", headers=forward))
    double.catch_up()
    own = value(reader.request("GET", "kv/data/db", headers={"X-Vault-Index": seen}))

    assert (412, ["required index state not present"]) == (behind.value.status, behind.value.errors)
    assert ("after", "after") == (forwarded, own)
    assert 400 == reader.send("GET", "kv/data/db", headers={"X-Vault-Index": seen[:-8] + "AAAAAAA="})[0]


def _written(double: VaultDouble, token: Token) -> str:
    """The index that the answer to a write tells."""
    import http.client
    import json

    connection = http.client.HTTPSConnection(
        "127.0.0.1", double.port, context=double.authority.client_context()
    )
    body = json.dumps({"data": {"value": "after"}})
    connection.request("POST", "/v1/kv/data/db", body, {"X-Vault-Token": token.value})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.headers["X-Vault-Index"]


def test_forwarding_is_refused_where_nobody_has_allowed_it():
    with VaultDouble(forwarding=False) as double:
        token = filled(double, "", "a")
        answer = api(double, token).send(
            "GET", "kv/data/db", headers={"X-Vault-Inconsistent": "forward-active-node"}
        )

    assert 400 == answer[0]
    assert b"disabled in configuration" in answer[1]


@pytest.mark.parametrize(
    ("node", "health", "read"),
    [
        pytest.param("active", 200, 200, id="active"),
        pytest.param("standby", 429, 200, id="standby-forwards-by-itself"),
        pytest.param("performance-standby", 473, 200, id="performance-standby"),
        pytest.param("dr-secondary", 472, 400, id="dr-secondary"),
        pytest.param("sealed", 503, 503, id="sealed"),
        pytest.param("uninitialised", 501, 503, id="uninitialised"),
    ],
)
def test_a_node_tells_what_it_is(double: VaultDouble, node, health, read):
    token = filled(double, "", "a")
    double.node = node
    asked = api(double, token)

    assert (health, read) == (asked.send("GET", "sys/health")[0], asked.send("GET", "kv/data/db")[0])


def test_health_is_answered_as_it_is_asked(double: VaultDouble):
    double.node = "standby"

    statuses = [
        api(double).send("GET", f"sys/health{query}")[0]
        for query in ("", "?standbyok=true", "?standbycode=299", "?sealedcode=299")
    ]

    assert [429, 200, 299, 429] == statuses


def test_a_standby_sends_those_away_who_want_no_forwarding(double: VaultDouble):
    token = filled(double, "", "a")
    with VaultDouble() as standby:
        standby.node, standby.active_url = "standby", double.url
        import http.client

        connection = http.client.HTTPSConnection(
            "127.0.0.1", standby.port, context=standby.authority.client_context()
        )
        headers = {"X-Vault-Token": token.value, "X-Vault-No-Request-Forwarding": "true"}
        connection.request("GET", "/v1/kv/data/db?version=1", headers=headers)
        answer = connection.getresponse()
        connection.close()

    assert (307, f"{double.url}/v1/kv/data/db?version=1") == (answer.status, answer.headers["Location"])


def test_tokens_end_with_their_time_and_uses(double: VaultDouble):
    filled(double, "", "a")
    short = double.token("app", ttl_s=60)
    capped = double.token("app", ttl_s=60, max_ttl_s=90)
    once = double.token("app", uses=1)

    used = [api(double, once).send("GET", "kv/data/db")[0] for _ in range(2)]
    double.advance(45)
    renewed = api(double, capped).request("POST", "auth/token/renew-self", {})["auth"]["lease_duration"]
    double.advance(20)
    statuses = [api(double, one).send("GET", "kv/data/db")[0] for one in (short, capped)]

    assert ([200, 403], 45, [403, 200]) == (used, renewed, statuses)


def test_no_call_holds_a_value(double: VaultDouble):
    token = filled(double, "", canary("double"))
    api(double, token).request("GET", "kv/data/db")

    assert canary("double") not in repr(double.calls)
    assert token.value not in repr((double.calls, double.tokens()))
