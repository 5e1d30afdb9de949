"""The doubles of GitHub, GitLab, Quay and a webhook's server refuse what the real ones refuse.

Else tests against them prove little.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.testing.github import GithubDouble
from keyferry.testing.gitlab import GitlabDouble
from keyferry.testing.issuer import Issuer
from keyferry.testing.quay import Federation, QuayDouble
from keyferry.testing.webhook import WebhookDouble

SUBJECT = "system:serviceaccount:team-a:app"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


def ask(url, *, method="POST", body=None, **headers):
    """(status, document) of a request."""
    data = json.dumps(body).encode() if body is not None else None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, named, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
            return error.code, json.loads(content) if content else None


# -- GitHub


@pytest.fixture
def github(key):
    with GithubDouble() as double:
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        double.register("1", pem)
        double.register("2", pem)
        double.install("1", "7", repositories=["web"], permissions={"contents": "read"})
        yield double


def app_token(key, algorithm="RS256", **changes):
    now = int(time.time())
    claims = {"iss": "1", "iat": now - 60, "exp": now + 300} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, algorithm)


def ask_github(github, token, *, install="7", **options):
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "User-Agent": "test",
    }
    headers |= options.pop("headers", {})
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    return ask(f"{github.url}/app/installations/{install}/access_tokens", **options, **named)


def test_github_gives_a_token_to_the_app(github, key):
    status, document = ask_github(github, app_token(key))

    assert (201, github.tokens[0].value, {"contents": "read"}) == (
        status,
        document["token"],
        document["permissions"],
    )


@pytest.mark.parametrize(
    ("make", "status"),
    [
        pytest.param(lambda key: app_token(rsa.generate_private_key(65537, 2048)), 401, id="another-key"),
        pytest.param(lambda key: app_token("x" * 64, "HS256"), 401, id="another-algorithm"),
        pytest.param(lambda key: app_token(key, exp=int(time.time()) + 900), 401, id="too-long"),
        pytest.param(lambda key: app_token(key, exp=int(time.time()) - 1), 401, id="over"),
        pytest.param(lambda key: app_token(key, iat=int(time.time()) + 120), 401, id="of-the-future"),
        pytest.param(lambda key: app_token(key, iat=None), 401, id="without-its-begin"),
        pytest.param(lambda key: app_token(key, exp=None), 401, id="without-its-end"),
        pytest.param(lambda key: app_token(key, iss="9"), 404, id="no-app"),
        pytest.param(lambda key: app_token(key, iss="2"), 404, id="another-apps-installation"),
        pytest.param(lambda key: "nonsense", 401, id="no-token"),
    ],
)
def test_github_gives_nothing_for_a_bad_proof(github, key, make, status):
    assert status == ask_github(github, make(key))[0]
    assert [] == github.tokens


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"User-Agent": ""}, 403, id="no-user-agent"),
        pytest.param({"Accept": "text/html"}, 415, id="wants-html"),
        pytest.param({"Authorization": "Basic abc"}, 401, id="another-scheme"),
    ],
)
def test_github_wants_its_headers(github, key, headers, status):
    assert status == ask_github(github, app_token(key), headers=headers)[0]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"repositories": ["web", "other"]}, id="repository"),
        pytest.param({"permissions": {"contents": "write"}}, id="level"),
        pytest.param({"permissions": {"issues": "read"}}, id="permission"),
        pytest.param({"permissions": {"contents": "all"}}, id="no-level"),
    ],
)
def test_github_grants_no_more_than_the_installation_has(github, key, body):
    assert 422 == ask_github(github, app_token(key), body=body)[0]


def test_github_knows_other_paths_and_methods_not(github, key):
    assert 404 == ask_github(github, app_token(key), install="8")[0]
    assert 404 == ask_github(github, app_token(key), method="GET")[0]


# -- GitLab


@pytest.fixture
def gitlab():
    with GitlabDouble() as double:
        double.create("projects", 7, "shop/web")
        double.create("groups", 9, "shop")
        double.let_in("good", **{"projects/7": "maintainer", "groups/9": "owner"})
        double.let_in("low", **{"projects/7": "developer", "groups/9": "maintainer"})
        double.let_in("narrow", scopes=("read_api",), **{"projects/7": "owner"})
        yield double


WANTED = {"name": "a", "scopes": ["read_registry"]}


def ask_gitlab(gitlab, place="projects/7", token="good", **options):
    return ask(
        f"{gitlab.url}/api/v4/{place}/deploy_tokens{options.pop('tail', '')}", PRIVATE_TOKEN=token, **options
    )


@pytest.mark.parametrize("place", ["projects/7", "projects/shop%2Fweb", "groups/9", "groups/shop"])
def test_gitlab_makes_and_revokes(gitlab, place):
    status, made = ask_gitlab(gitlab, place, body=WANTED)
    assert (201, [made["id"]]) == (status, list(gitlab.tokens))

    assert 204 == ask_gitlab(gitlab, place, method="DELETE", tail=f"/{made['id']}")[0]
    assert 404 == ask_gitlab(gitlab, place, method="DELETE", tail=f"/{made['id']}")[0]
    assert {} == gitlab.tokens


def test_gitlab_revokes_only_in_the_place_where_a_token_is(gitlab):
    _, made = ask_gitlab(gitlab, body=WANTED)

    assert 404 == ask_gitlab(gitlab, "groups/9", method="DELETE", tail=f"/{made['id']}")[0]
    assert 1 == len(gitlab.tokens)


@pytest.mark.parametrize(
    ("place", "token", "status"),
    [
        pytest.param("projects/7", "nobody", 401, id="unknown-token"),
        pytest.param("projects/7", "narrow", 403, id="scope"),
        pytest.param("projects/7", "low", 403, id="role-in-a-project"),
        pytest.param("groups/9", "low", 403, id="role-in-a-group"),
        pytest.param("projects/8", "good", 404, id="no-project"),
        pytest.param("groups/shop%2Fweb", "good", 404, id="project-as-a-group"),
    ],
)
def test_gitlab_makes_nothing_for_who_may_not(gitlab, place, token, status):
    assert status == ask_gitlab(gitlab, place, token, body=WANTED)[0]
    assert {} == gitlab.tokens


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        pytest.param("projects/7", {"name": ""}, id="no-name"),
        pytest.param("projects/7", {"scopes": []}, id="no-scope"),
        pytest.param("projects/7", {"scopes": ["sudo"]}, id="no-such-scope"),
        pytest.param("groups/9", {"scopes": ["read_virtual_registry"]}, id="scope-of-projects-alone"),
        pytest.param("projects/7", {"expires_at": "soon"}, id="no-moment"),
        pytest.param("projects/7", {"expires_at": "2001-01-01T00:00:00Z"}, id="over-already"),
    ],
)
def test_gitlab_refuses_a_bad_body(gitlab, place, changes):
    assert 400 == ask_gitlab(gitlab, place, body=WANTED | changes)[0]


# -- Quay


@pytest.fixture
def issuer(tmp_path, key):
    made = Issuer(tmp_path, key)
    yield made
    made.close()


@pytest.fixture
def quay(issuer):
    with QuayDouble() as double:
        double.trust_issuer(issuer.url, issuer.ca_pem)
        double.federate("org+bot", Federation(issuer.url, SUBJECT))
        double.federate("org+picky", Federation(issuer.url, SUBJECT, "quay"))
        yield double


def ask_quay(quay, token, robot="org+bot", **options):
    login = base64.b64encode(f"{robot}:{token}".encode()).decode()
    authorization = options.pop("authorization", f"Basic {login}")
    return ask(f"{quay.url}/oauth2/federation/robot/token", method="GET", Authorization=authorization)


def test_quay_gives_a_token_of_the_robot(quay, issuer):
    status, document = ask_quay(quay, issuer.token(SUBJECT))

    assert (200, True, False) == (
        status,
        quay.is_own(document["token"], "org+bot"),
        quay.is_own(document["token"], "org+picky"),
    )


def test_quay_looks_at_the_audience_where_one_is_set(quay, issuer):
    assert 200 == ask_quay(quay, issuer.token(SUBJECT, ["quay"]), "org+picky")[0]
    assert 401 == ask_quay(quay, issuer.token(SUBJECT, ["other"]), "org+picky")[0]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda i: i.token("system:serviceaccount:team-b:app"), id="another-subject"),
        pytest.param(lambda i: i.token(SUBJECT, key=rsa.generate_private_key(65537, 2048)), id="another-key"),
        pytest.param(lambda i: i.token(SUBJECT, exp=int(time.time()) - 10), id="over"),
        pytest.param(lambda i: i.token(SUBJECT, exp=None), id="without-an-end"),
        pytest.param(lambda i: i.token(SUBJECT, iss="https://other.example.com"), id="another-issuer"),
        pytest.param(lambda i: jwt.encode(i.claims(SUBJECT), "x" * 64, "HS256"), id="another-algorithm"),
        pytest.param(lambda i: "nonsense", id="no-token"),
    ],
)
def test_quay_gives_nothing_for_a_bad_proof(quay, issuer, make):
    assert 401 == ask_quay(quay, make(issuer))[0]


@pytest.mark.parametrize("authorization", ["Bearer abc", "Basic !", "Basic b25seQ==", ""])
def test_quay_wants_a_login(quay, authorization):
    assert 401 == ask_quay(quay, "", authorization=authorization)[0]


def test_quay_knows_other_robots_not(quay, issuer):
    assert 401 == ask_quay(quay, issuer.token(SUBJECT), "org+nobody")[0]


# -- the server of a webhook


@pytest.fixture
def webhook():
    with WebhookDouble() as double:
        double.let_in("good")
        double.put("db", '"value"')
        yield double


QUESTION = {"key": "db", "version": "", "property": "", "namespace": "a"}


@pytest.mark.parametrize(
    ("path", "method", "body", "headers", "status"),
    [
        pytest.param("/secrets?key=db&version=", "GET", None, {}, 200, id="value"),
        pytest.param("/secrets?key=db&version=v1", "GET", None, {}, 200, id="version"),
        pytest.param("/secrets?key=db&version=v2", "GET", None, {}, 404, id="no-version"),
        pytest.param("/secrets?key=x&version=", "GET", None, {}, 404, id="no-secret"),
        pytest.param("/secrets?key=db", "GET", None, {}, 400, id="too-little"),
        pytest.param("/secrets?key=db&version=&a=b", "GET", None, {}, 400, id="too-much"),
        pytest.param("/secrets?key=db&version=", "GET", {}, {}, 400, id="a-body"),
        pytest.param("/secrets?key=db&version=", "POST", None, {}, 405, id="method"),
        pytest.param("/other", "GET", None, {}, 404, id="path"),
        pytest.param(
            "/secrets?key=db&version=", "GET", None, {"Authorization": "Bearer bad"}, 401, id="token"
        ),
        pytest.param("/lookup", "POST", QUESTION, {"Content-Type": "application/json"}, 200, id="lookup"),
        pytest.param("/lookup", "POST", QUESTION, {"Content-Type": "text/plain"}, 415, id="lookup-in-text"),
        pytest.param("/lookup", "POST", {"key": "db"}, {"Content-Type": "application/json"}, 400, id="part"),
        pytest.param("/tokens", "POST", {"scopes": ["a"]}, {}, 200, id="tokens"),
        pytest.param("/tokens", "POST", {"other": 1}, {}, 400, id="tokens-for-what"),
    ],
)
def test_server_of_a_webhook_takes_what_it_knows_alone(*, webhook, path, method, body, headers, status):
    named = {"Authorization": "Bearer good"} | headers

    assert status == ask(f"{webhook.url}{path}", method=method, body=body, **named)[0]


def test_server_of_a_webhook_makes_another_token_each_time(webhook):
    made = [ask(f"{webhook.url}/tokens", body={}, Authorization="Bearer good")[1] for _ in range(2)]

    assert webhook.given == [one["result"]["token"] for one in made]
    assert 2 == len(set(webhook.given))
