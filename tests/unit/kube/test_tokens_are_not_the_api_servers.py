"""What providers get of the cluster: named objects, and tokens that the API server itself would refuse."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from keyferry.errors import ForbiddenError, KubeForbidden, KubeNotFound, KubeUnavailable
from keyferry.kube.access import WELL_KNOWN_AUDIENCES, KubeAccess
from keyferry.testing.leaks import canary

ISSUER = "https://oidc.example.com/cluster"
DISCOVERY = "/.well-known/openid-configuration"
TOKENS = "/api/v1/namespaces/team-a/serviceaccounts/app/token"


def jwt(**claims: object) -> str:
    """A token with these claims, as far as anybody here reads it."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.signature"


@pytest.fixture
def granted(play):
    status = {"token": canary("token"), "expirationTimestamp": "2026-01-01T00:10:00Z"}
    return play.says(201, {"kind": "TokenRequest", "status": status})


@pytest.fixture
def discovery(play):
    return play.says(200, {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})


def paths(server) -> list[str]:
    return [seen.path for seen in server.seen]


async def ask(access: KubeAccess, *audiences: str, lifetime_s: int = 600):
    return await access.request_token("team-a", "app", audiences, lifetime_s)


async def test_token_is_asked_for_by_name_audience_and_lifetime(server, open_api, discovery, granted) -> None:
    server.script.extend([discovery, granted])

    bound = await ask(KubeAccess(open_api()), "sts.amazonaws.com", lifetime_s=3600)

    seen = server.seen[-1]
    assert ("POST", TOKENS) == (seen.method, seen.path)
    assert {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 3600} == seen.json()["spec"]
    assert canary("token").encode() == bound.token.reveal()
    assert datetime(2026, 1, 1, 0, 10, tzinfo=UTC) == bound.expires_at
    assert canary("token") not in repr(bound)


async def test_lifetime_that_the_api_server_would_refuse_is_raised(
    server, open_api, discovery, granted
) -> None:
    server.script.extend([discovery, granted])

    await ask(KubeAccess(open_api()), "sts.amazonaws.com", lifetime_s=60)

    assert 600 == server.seen[-1].json()["spec"]["expirationSeconds"]


async def test_token_without_an_audience_is_never_asked_for(server, open_api) -> None:
    """The API server would put in its own."""
    with pytest.raises(ForbiddenError):
        await ask(KubeAccess(open_api()))

    assert [] == server.seen


@pytest.mark.parametrize("audience", sorted(WELL_KNOWN_AUDIENCES))
async def test_usual_names_of_api_servers_are_refused(server, open_api, discovery, audience) -> None:
    server.otherwise = discovery

    with pytest.raises(ForbiddenError):
        await ask(KubeAccess(open_api()), "sts.amazonaws.com", audience)

    assert TOKENS not in paths(server)


async def test_issuer_of_this_cluster_is_refused(server, open_api, discovery) -> None:
    server.otherwise = discovery

    with pytest.raises(ForbiddenError) as caught:
        await ask(KubeAccess(open_api()), ISSUER)

    assert ISSUER in caught.value.message
    assert TOKENS not in paths(server)


@pytest.mark.parametrize("aud", ["konnectivity", ["other", "konnectivity"]], ids=["text", "list"])
async def test_audience_of_our_own_token_is_refused(server, open_api, discovery, rotating, aud) -> None:
    """The API server takes our token, so it takes that audience, whatever discovery says."""
    server.otherwise = discovery

    with pytest.raises(ForbiddenError):
        await ask(KubeAccess(open_api(tokens=rotating(jwt(aud=aud)))), "konnectivity")

    assert TOKENS not in paths(server)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "e30.W10.x"], ids=["opaque", "no-json", "no-object"])
async def test_own_token_that_is_no_jwt_forbids_nothing(
    server, open_api, discovery, granted, rotating, token
) -> None:
    server.script.extend([discovery, granted])

    await ask(KubeAccess(open_api(tokens=rotating(token))), "sts.amazonaws.com")

    assert TOKENS == server.seen[-1].path


@pytest.mark.parametrize("code", [403, 404])
async def test_without_discovery_the_usual_names_are_refused_all_the_same(
    server, open_api, play, granted, code
) -> None:
    server.script.extend([play.refuses(code, "no"), granted])
    access = KubeAccess(open_api())

    await ask(access, "sts.amazonaws.com")
    with pytest.raises(ForbiddenError):
        await ask(access, "https://kubernetes.default.svc")

    assert [DISCOVERY, TOKENS] == paths(server)


async def test_no_token_is_asked_for_until_discovery_has_answered(
    server, open_api, play, discovery, granted
) -> None:
    """An outage of the answer is no leave to go without it; the next request asks again."""
    server.script.extend([play.refuses(503, "starting"), discovery, granted])
    access = KubeAccess(open_api())

    with pytest.raises(KubeUnavailable):
        await ask(access, "sts.amazonaws.com")
    await ask(access, "sts.amazonaws.com")

    assert [DISCOVERY, DISCOVERY, TOKENS] == paths(server)


async def test_discovery_is_asked_once(server, open_api, discovery, granted) -> None:
    server.script.extend([discovery, granted, granted])
    access = KubeAccess(open_api())

    await ask(access, "sts.amazonaws.com")
    await ask(access, "vault")

    assert [DISCOVERY, TOKENS, TOKENS] == paths(server)


@pytest.mark.parametrize("answer", [[], {"issuer": 7}, {}], ids=["list", "number", "none"])
async def test_discovery_that_names_no_issuer_forbids_nothing_more(
    server, open_api, play, granted, answer
) -> None:
    server.script.extend([play.says(200, answer), granted])

    await ask(KubeAccess(open_api()), "sts.amazonaws.com")

    assert TOKENS == server.seen[-1].path


async def test_refused_token_is_told(server, open_api, play, discovery) -> None:
    server.script.extend([discovery, play.refuses(403, "may not create serviceaccounts/token")])

    with pytest.raises(KubeForbidden, match="may not create"):
        await ask(KubeAccess(open_api()), "sts.amazonaws.com")


async def test_secret_is_its_identity_and_its_values(server, open_api, play) -> None:
    data = {"key": base64.b64encode(canary("auth").encode()).decode()}
    server.otherwise = play.says(200, {"metadata": {"uid": "u", "resourceVersion": "7"}, "data": data})

    found = await KubeAccess(open_api()).read_secret("team-a", "auth")

    assert ["/api/v1/namespaces/team-a/secrets/auth"] == paths(server)
    assert ("u", "7", canary("auth").encode()) == (
        found.uid,
        found.resource_version,
        found.data["key"].reveal(),
    )
    assert canary("auth") not in repr(found)


async def test_objects_without_content_are_empty(server, open_api, play) -> None:
    server.otherwise = play.says(200, {"metadata": {"uid": "u", "resourceVersion": "7"}, "data": None})
    access = KubeAccess(open_api())

    secret = await access.read_secret("team-a", "auth")
    config_map = await access.read_config_map("team-a", "ca")
    account = await access.read_service_account("team-a", "app")
    labels = await access.read_namespace_labels("team-a")

    assert ({}, {}, ("u", {}), {}) == (
        dict(secret.data),
        dict(config_map),
        (account.uid, account.annotations),
        dict(labels),
    )
    assert [
        "/api/v1/namespaces/team-a/secrets/auth",
        "/api/v1/namespaces/team-a/configmaps/ca",
        "/api/v1/namespaces/team-a/serviceaccounts/app",
        "/api/v1/namespaces/team-a",
    ] == paths(server)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("read_secret", "Secret"),
        ("read_config_map", "ConfigMap"),
        ("read_service_account", "ServiceAccount"),
    ],
)
async def test_missing_object_is_named_with_its_kind(server, open_api, play, method, kind) -> None:
    server.otherwise = play.refuses(404, 'secrets "x" not found')

    with pytest.raises(KubeNotFound) as caught:
        await getattr(KubeAccess(open_api()), method)("team-a", "x")

    assert f'{kind} "team-a/x" does not exist' == caught.value.message
    assert 404 == caught.value.status
