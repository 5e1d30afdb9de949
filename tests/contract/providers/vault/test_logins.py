"""Every way to log in: at the real Vault, and at the double for those that it lacks."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.errors import AuthFailed, ForbiddenError, KeyferryError, one_line
from keyferry.ports import AmbientIdentity, ServiceAccountObject
from keyferry.testing.authority import Authority
from keyferry.testing.issuer import Issuer
from keyferry.testing.leaks import canary

VALUE = canary("vault-login-value")
PASSWORD = canary("vault-password")
EXPECTED = f'{{"v":"{VALUE}"}}'


def check_refused(error, leaks, *words):
    assert isinstance(error, AuthFailed), error
    assert one_line(str(error)) == str(error)
    assert error.hint
    for word in words:
        assert word in str(error)
    assert [] == leaks.look_at_error("login", error)


@pytest.fixture(autouse=True)
def value(team):
    team.put("db", v=VALUE)


# -- appRole


async def test_app_role_with_its_id_in_the_manifest(team, ask, cluster):
    role_id = cluster.secrets["team-a", "approle"].data["role"].reveal().decode()
    auth = {"appRole": {"roleId": role_id, "secretRef": {"name": "approle", "key": "secret"}}}

    assert EXPECTED == await ask(team.store(auth=auth), "db")


async def test_app_role_that_is_refused_tells_what_to_check(team, ask, cluster, leaks):
    cluster.put_secret("team-a", "approle", role="none", secret=canary("vault-secret-id"))

    check_refused(await ask(team.store(), "db"), leaks, "appRole at auth/approle", "role id and secret id")


async def test_method_that_is_not_mounted_is_told_with_its_path(team, ask, leaks):
    block = team.block()
    block["auth"]["appRole"]["path"] = "elsewhere/approle"

    check_refused(await ask(team.store(auth=block["auth"]), "db"), leaks, "auth/elsewhere/approle")


# -- passwords


async def test_user_with_a_password(team, ask, cluster, leaks):
    team.administrator.user(team.name, PASSWORD, [team.allow()])
    cluster.put_secret("team-a", "user", password=f"{PASSWORD}\n", wrong="wrong")

    def auth(key):
        return {"userPass": {"username": team.name, "secretRef": {"name": "user", "key": key}}}

    assert EXPECTED == await ask(team.store(auth=auth("password")), "db")
    check_refused(await ask(team.store(auth=auth("wrong")), "db"), leaks, f'userpass as "{team.name}"')


async def test_user_whose_name_leads_elsewhere_goes_nowhere(team, ask, cluster):
    cluster.put_secret("team-a", "user", password="x")
    auth = {"userPass": {"username": "../../sys/seal", "secretRef": {"name": "user", "key": "password"}}}

    error = await ask(team.store(auth=auth), "db")

    assert isinstance(error, KeyferryError)
    assert "is not a path in Vault" in error.message


async def test_user_of_a_directory(team, double, ask, cluster, leaks):
    double.root.ldap_user("ada", PASSWORD, ["app"])
    cluster.put_secret("team-a", "user", password=PASSWORD, wrong="wrong")

    def store(key):
        auth = {"ldap": {"username": "ada", "secretRef": {"name": "user", "key": key}}}
        return at(team, double, auth)

    assert canary("vault-double") in await ask(store("password"), "db")
    check_refused(await ask(store("wrong"), "db"), leaks, 'ldap as "ada" at auth/ldap')


def at(team, double, auth, **changes):
    """A store at the double."""
    from base64 import b64encode

    bundle = b64encode(double.ca_pem.encode()).decode()
    return team.store(server=double.url, caBundle=bundle, path="kv", auth=auth, **changes)


# -- signed tokens


@pytest.fixture
def issuer(tmp_path: Path):
    made = Issuer(tmp_path, rsa.generate_private_key(65537, 2048))
    yield made
    made.close()


@pytest.fixture
def jwt_login(team, issuer, cluster):
    """A role of `auth/jwt` for ServiceAccount team-a/app, whose tokens the cluster issues."""
    api = team.administrator.api
    path = f"jwt-{team.name}"
    team.administrator.enable_login(path, "jwt")
    api.request("POST", f"auth/{path}/config", {"jwt_validation_pubkeys": [issuer.public_pem().decode()]})
    subject = "system:serviceaccount:team-a:app"
    team.administrator.jwt_role(team.name, subject, ["vault", "mine"], [team.allow()], path=path)
    cluster.put_service_account("team-a", "app")
    cluster.issue = lambda who, audiences: issuer.token(who, aud=[*audiences])
    return path


@pytest.mark.parametrize(
    ("fields", "audiences", "lifetime_s"),
    [
        ({}, ("vault",), 600),
        ({"audiences": ["mine"]}, ("mine",), 600),
        ({"expirationSeconds": 1200}, ("vault",), 1200),
    ],
)
async def test_service_accounts_token_by_jwt(*, team, ask, jwt_login, cluster, fields, audiences, lifetime_s):
    source = {"serviceAccountRef": {"name": "app"}, **fields}
    auth = {"jwt": {"path": jwt_login, "role": team.name, "kubernetesServiceAccountToken": source}}

    assert EXPECTED == await ask(team.store(auth=auth), "db")
    assert [("team-a", "app", audiences, lifetime_s)] == cluster.tokens


async def test_token_of_a_secret_by_jwt(*, team, ask, jwt_login, cluster, issuer, leaks):
    token = issuer.token("system:serviceaccount:team-a:app", aud=["vault"])
    cluster.put_secret("team-a", "jwt", good=token, bad=f"{token[:-8]}AAAAAAAA")

    def auth(key):
        return {"jwt": {"path": jwt_login, "role": team.name, "secretRef": {"name": "jwt", "key": key}}}

    assert EXPECTED == await ask(team.store(auth=auth("good")), "db")
    check_refused(await ask(team.store(auth=auth("bad")), "db"), leaks, f'jwt with role "{team.name}"')


async def test_token_of_a_secret_by_kubernetes_is_taken_from_its_usual_key(team, provider, cluster):
    cluster.put_secret("team-a", "account", token="jwt-of-the-account")
    auth = {"kubernetes": {"role": "app", "secretRef": {"name": "account"}}}

    identity = await provider.identify(team.store(auth=auth), "team-a", cluster)

    login = identity.material.identity.login
    assert ("kubernetes", "kubernetes", "app", b"jwt-of-the-account") == (
        login.method,
        login.mount,
        login.role,
        login.token.reveal(),
    )


# -- certificates


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


async def test_client_certificate_logs_in(team, ask, cluster, authority, leaks):
    team.administrator.certificate_role(team.name, authority.ca_pem, [team.allow()])
    pair, stranger = authority.client("app"), Authority().client("app")
    cluster.put_secret("team-a", "pair", crt=pair.certificate, key=pair.key)
    cluster.put_secret("team-a", "stranger", crt=stranger.certificate, key=stranger.key)

    def auth(name):
        return {
            "cert": {
                "vaultRole": team.name,
                "clientCert": {"name": name, "key": "crt"},
                "secretRef": {"name": name, "key": "key"},
            }
        }

    assert EXPECTED == await ask(team.store(auth=auth("pair")), "db")
    check_refused(await ask(team.store(auth=auth("stranger")), "db"), leaks, "cert with role")


async def test_pair_that_does_not_belong_together_is_told(team, ask, cluster, authority):
    one, other = authority.client("one"), authority.client("other")
    cluster.put_secret("team-a", "pair", **{"tls.crt": one.certificate, "tls.key": other.key})
    tls = {"certSecretRef": {"name": "pair"}, "keySecretRef": {"name": "pair"}}

    error = await ask(team.store(tls=tls), "db")

    assert "the client certificate cannot be used: they do not belong together" in error.message


async def test_client_certificate_is_shown_beside_another_login(team, ask, cluster, authority):
    pair = authority.client("app")
    cluster.put_secret("team-a", "pair", **{"tls.crt": pair.certificate, "tls.key": pair.key})
    tls = {"certSecretRef": {"name": "pair"}, "keySecretRef": {"name": "pair"}}

    assert EXPECTED == await ask(team.store(tls=tls), "db")


# -- AWS


@pytest.fixture
def lender(aws, make_provider):
    """A provider to which the AWS provider lends identities."""
    from keyferry.providers.aws import AWSProvider

    amazon = AWSProvider()
    return make_provider("127.0.0.1", aws=amazon.lender())


SERVER_ID = "vault.example.com"


@pytest.fixture
def iam(*, team, double, aws, administrator, cluster, unique):
    """Makes stores that log in at the double as an AWS user."""
    keys = administrator.create_user(
        unique, policy=administrator.assume_policy([f"arn:aws:iam::*:role/{unique}"])
    )
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)
    user = f"arn:aws:iam::{administrator.account}:user/{unique}"
    administrator.role_for_principals(unique, [user], external_id="x-1")
    role = f"arn:aws:iam::{administrator.account}:role/{unique}"
    double.root.aws(aws.endpoint, server_id=SERVER_ID)
    double.root.aws_role("user", [user], ["app"])
    double.root.aws_role("role", [role], ["app"])
    refs = {
        "accessKeyIDSecretRef": {"name": "keys", "key": "id"},
        "secretAccessKeySecretRef": {"name": "keys", "key": "secret"},
    }

    def store(vault_role, **fields):
        block = {
            "vaultRole": vault_role,
            "region": "eu-central-1",
            "vaultAwsIamServerID": SERVER_ID,
            "secretRef": refs,
            **fields,
        }
        return at(team, double, {"iam": {k: v for k, v in block.items() if v is not None}})

    return store, role


async def test_aws_keys_log_in(iam, ask, lender):
    store, _ = iam

    assert canary("vault-double") in await ask(store("user"), "db", provider=lender)


async def test_aws_role_is_assumed_before_the_login(iam, ask, lender):
    store, role = iam

    assert canary("vault-double") in await ask(
        store("role", role=role, externalID="x-1"), "db", provider=lender
    )


async def test_aws_identity_that_is_not_bound_is_refused(iam, ask, lender, leaks):
    store, _ = iam

    check_refused(await ask(store("role"), "db", provider=lender), leaks, 'iam with role "role" at auth/aws')
    check_refused(
        await ask(store("user", vaultAwsIamServerID=None), "db", provider=lender),
        leaks,
        "vaultAwsIamServerID",
    )


async def test_operators_own_aws_identity_is_only_for_those_who_may(iam, make_provider, aws):
    from keyferry.providers.aws import AWSProvider

    store, _ = iam
    own = store("user", secretRef=None)

    for ambient, trusted in ((AmbientIdentity.CLUSTER, ()), (AmbientIdentity.ALL, ())):
        provider = make_provider("127.0.0.1", ambient=ambient, trusted=trusted, aws=AWSProvider().lender())
        with pytest.raises(ForbiddenError, match="names no identity of its own"):
            provider.check(own)
    provider = make_provider(
        "127.0.0.1", ambient=AmbientIdentity.ALL, trusted=[own.block.server], aws=AWSProvider().lender()
    )
    assert provider.check(own) is None


# -- Google


@pytest.fixture(scope="session")
def google_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


EMAIL = "app@project.iam.gserviceaccount.com"


async def test_key_of_a_google_service_account_logs_in(*, team, double, ask, cluster, google_key, leaks):
    pem = google_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    file = {"type": "service_account", "client_email": EMAIL, "private_key_id": "k1", "private_key": pem}
    cluster.put_secret("team-a", "google", key=json.dumps(file), bad="{}")
    double.root.gcp({(EMAIL, "k1"): google_key.public_key()})
    double.root.gcp_role("app", [EMAIL], ["app"])
    double.root.gcp_role("other", ["other@project.iam.gserviceaccount.com"], ["app"])

    def store(role, key="key"):
        reference = {"secretAccessKeySecretRef": {"name": "google", "key": key}}
        return at(team, double, {"gcp": {"role": role, "secretRef": reference}})

    assert canary("vault-double") in await ask(store("app"), "db")
    check_refused(await ask(store("other"), "db"), leaks, 'gcp with role "other"')
    with pytest.raises(AuthFailed, match="something else than a service account's key file"):
        await ask(store("app", "bad"), "db")


async def test_service_account_that_stands_for_a_google_one_logs_in(
    *, team, double, ask, cluster, google_key, make_provider, google
):
    provider = make_provider("127.0.0.1", google=google.endpoints)
    annotations = {"iam.gke.io/gcp-service-account": EMAIL}
    cluster.service_accounts["team-a", "app"] = ServiceAccountObject("uid-1", annotations)
    cluster.issue = lambda subject, audiences: f"{subject} for {','.join(audiences)}"
    double.root.gcp({(EMAIL, "google-1"): google_key.public_key()})
    double.root.gcp_role("app", [EMAIL], ["app"])
    identity = {
        "serviceAccountRef": {"name": "app"},
        "clusterProjectID": "project",
        "clusterLocation": "europe-west1",
        "clusterName": "main",
    }

    text = await ask(
        at(team, double, {"gcp": {"role": "app", "workloadIdentity": identity}}), "db", provider=provider
    )

    assert canary("vault-double") in text
    assert ("system:serviceaccount:team-a:app for project.svc.id.goog") == google.exchanged
    assert ["exchange", "generateAccessToken", "signJwt"] == google.asked


async def test_operators_own_google_identity_comes_from_the_metadata_service(
    *, team, double, ask, google_key, make_provider, google
):
    provider = make_provider("127.0.0.1", google=google.endpoints, trusted=[double.url])
    double.root.gcp({(EMAIL, "google-1"): google_key.public_key()})
    double.root.gcp_role("app", [EMAIL], ["app"])

    text = await ask(at(team, double, {"gcp": {"role": "app"}}), "db", provider=provider)

    assert canary("vault-double") in text
    assert ["metadata"] == google.asked


@pytest.fixture
def google(google_key):
    """Google's token service, IAM and metadata service, as far as the gcp method asks them."""
    import http.server
    import threading
    from urllib.parse import parse_qs, urlsplit

    from keyferry.providers.vault.google import GoogleEndpoints

    class Google:
        asked: list[str] = []  # noqa: RUF012 - one for each test
        exchanged = ""

    state = Google()
    state.asked = []

    def signed(audience):
        now = int(time.time())
        claims = {"sub": EMAIL, "aud": audience, "iat": now, "exp": now + 900}
        return jwt.encode(claims, google_key, "RS256", headers={"kid": "google-1"})

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def _answer(self, status, content):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            query = parse_qs(urlsplit(self.path).query)
            if self.headers.get("Metadata-Flavor") != "Google" or query.get("format") != ["full"]:
                return self._answer(403, b"")
            state.asked.append("metadata")
            return self._answer(200, signed(query["audience"][0].removeprefix("http://")).encode())

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bearer = self.headers.get("Authorization", "")
            if self.path == "/v1/token":
                state.asked.append("exchange")
                state.exchanged = body["subjectToken"]
                expected = "identitynamespace:project.svc.id.goog:https://container.googleapis.com/v1/projects/project"
                assert body["audience"].startswith(expected)
                return self._answer(200, {"access_token": "federated"})
            account = f"/v1/projects/-/serviceAccounts/{EMAIL.replace('@', '%40')}"
            action = self.path.removeprefix(f"{account}:")
            state.asked.append(action)
            if (action, bearer) == ("generateAccessToken", "Bearer federated"):
                return self._answer(200, {"accessToken": "access"})
            if (action, bearer) == ("signJwt", "Bearer access"):
                return self._answer(200, {"signedJwt": signed(json.loads(body["payload"])["aud"])})
            return self._answer(403, {})

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    state.endpoints = GoogleEndpoints(url, url, url)
    yield state
    server.shutdown()
    server.server_close()


# -- no login at all


async def test_store_without_auth_leaves_it_to_a_proxy_of_vaults_own(team, ask):
    """Here there is none, and Vault says so."""
    error = await ask(team.store(auth=None), "db")

    assert "wants a token, and the store has no auth" in error.message
