"""Ways to log in that the real server of the tests lacks, and two that it has, for namespaces of the double.

Each checks what Vault checks and says what Vault says. Whoever has proven who he is gets a `Granted`.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import secrets
import ssl
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyferry.testing.vaultdouble.answers import Refusal

SERVER_ID_HEADER: Final = "X-Vault-AWS-IAM-Server-ID"
PublicKey = RSAPublicKey | EllipticCurvePublicKey
_AMAZON: Final = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-content-sha256",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
        "x-amz-user-agent",
    }
)
"""The headers of Amazon's that Vault passes on; it refuses others."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Who has logged in, and what he may."""

    display_name: str
    policies: Sequence[str]
    metadata: dict[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the token: `ttl_s`, `max_ttl_s`, `period_s`, `uses`, `renewable`."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a role binds and gives."""

    bound: Sequence[str]
    policies: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)


class PasswordLogin:
    """`auth/ldap` and `auth/userpass`: `login/USER` with a password.

    Args:
        wrong: what it says when user or password is wrong.
    """

    def __init__(self, wrong: str) -> None:
        self._wrong = wrong
        self.users: dict[str, tuple[str, Role]] = {}

    def log_in(self, user: str, body: dict[str, Any]) -> Granted:
        """Who it is."""
        password = body.get("password", "")
        if not password:
            raise Refusal(400, "password cannot be of zero length when passwordless binds are being denied")
        known = self.users.get(user)
        if known is None or not secrets.compare_digest(known[0].encode(), str(password).encode()):
            raise Refusal(400, self._wrong)
        role = known[1]
        return Granted(user, role.policies, {"username": user}, role.settings)


class AppRoleLogin:
    """`auth/approle`: `login` with role id and secret id."""

    def __init__(self) -> None:
        self.roles: dict[str, tuple[str, str, Role]] = {}
        """(role name, secret id, role) by role id."""

    def log_in(self, user: str, body: dict[str, Any]) -> Granted:
        """Who it is."""
        if user:
            raise Refusal(404, "1 error occurred:\n\t* unsupported path\n\n")
        if not body.get("role_id"):
            raise Refusal(500, "failed to determine alias name from login request")
        if not body.get("secret_id"):
            raise Refusal(400, "missing secret_id")
        name, secret_id, role = self.roles.get(body["role_id"], ("", "", Role((), ())))
        if not secret_id or not secrets.compare_digest(secret_id, body["secret_id"]):
            raise Refusal(400, "invalid role or secret ID")
        return Granted("approle", role.policies, {"role_name": name}, role.settings)


class AwsLogin:
    """`auth/aws`: a signed request for sts:GetCallerIdentity, which is passed on to STS as it is.

    Args:
        sts: STS's address, such as the endpoint of `StrictAws`, which checks the signature and the session.
        server_id: what the header X-Vault-AWS-IAM-Server-ID must say, signed; empty where nothing is asked.
    """

    def __init__(self, sts: str, server_id: str = "") -> None:
        self._sts = sts
        self._server_id = server_id
        self.roles: dict[str, Role] = {}

    def log_in(self, user: str, body: dict[str, Any]) -> Granted:
        """Who it is."""
        if user:
            raise Refusal(404, "1 error occurred:\n\t* unsupported path\n\n")
        method, url, content, headers = _signed_request(body)
        self._check_headers(headers)
        arn, user_id, account = _caller(self._sts, method, url, content, headers)
        kind, _, name = arn.split(":")[-1].partition("/")
        name = name.split("/")[0] if kind == "assumed-role" else name.split("/")[-1]
        canonical = f"{arn.split(':')[0]}:{arn.split(':')[1]}:iam::{account}:"
        canonical += f"{'role' if kind == 'assumed-role' else kind}/{name}"
        wanted = str(body.get("role") or name)
        role = self.roles.get(wanted)
        if role is None:
            raise Refusal(400, f"entry for role {wanted} not found")
        if role.bound and canonical not in role.bound:
            raise Refusal(400, f'IAM Principal "{arn}" does not belong to the role "{wanted}"')
        told = {
            "account_id": account,
            "auth_type": "iam",
            "canonical_arn": canonical,
            "client_user_id": user_id.split(":")[0],
            "role_id": wanted,
        }
        return Granted(name, role.policies, told, role.settings)

    def _check_headers(self, headers: dict[str, str]) -> None:
        if self._server_id:
            said = f"error validating {SERVER_ID_HEADER} header: "
            given = headers.get(SERVER_ID_HEADER.lower(), "")
            if not given:
                raise Refusal(400, f'{said}missing header "{SERVER_ID_HEADER}"')
            if given != self._server_id:
                raise Refusal(400, f'{said}expected "{self._server_id}" but got "{given}"')
            signed = re.search(r"SignedHeaders=([^,]+)", headers.get("authorization", ""))
            if signed is None or SERVER_ID_HEADER.lower() not in signed[1].strip().split(";"):
                raise Refusal(400, f"{said}vault header wasn't signed")
        for name in headers:
            if name.startswith("x-amz-") and name not in _AMAZON:
                raise Refusal(400, f"invalid request header: {name}")


class GcpLogin:
    """`auth/gcp` for roles of type iam: a JWT that a service account has signed.

    Args:
        keys: the service accounts' public keys, by e-mail address and key id.
    """

    def __init__(self, keys: Mapping[tuple[str, str], PublicKey]) -> None:
        self._keys = dict(keys)
        self.roles: dict[str, Role] = {}

    def log_in(self, user: str, body: dict[str, Any]) -> Granted:
        """Who it is."""
        if user:
            raise Refusal(404, "1 error occurred:\n\t* unsupported path\n\n")
        if unknown := set(body) - {"role", "jwt"}:
            raise Refusal(422, f"unknown fields: {', '.join(sorted(unknown))}")
        name, token = str(body.get("role") or ""), str(body.get("jwt") or "")
        if not name:
            raise Refusal(400, "role is required")
        role = self.roles.get(name)
        if role is None:
            raise Refusal(400, f'role "{name}" not found')
        if not token:
            raise Refusal(400, "jwt argument is required")
        email = self._verified(token, name, int(role.settings.get("max_jwt_exp_s", 900)))
        if email not in role.bound:
            raise Refusal(400, f"service account {email} (id: {email}) is not authorized for role")
        settings = {key: value for key, value in role.settings.items() if key != "max_jwt_exp_s"}
        return Granted(email, role.policies, {"service_account_email": email, "role": name}, settings)

    def _verified(self, token: str, role: str, max_exp_s: int) -> str:
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            unverified = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise Refusal(400, "unable to parse signed JWT") from None
        subject = str(unverified.get("sub", ""))
        key = self._keys.get((subject, key_id))
        if key is None:
            raise Refusal(
                400, f'unable to get public key for signed JWT: "{key_id}" for JWT subject "{subject}"'
            )
        try:
            claims = jwt.decode(
                token, key, ["RS256", "ES256"], options={"verify_aud": False, "verify_exp": False}
            )
        except jwt.InvalidTokenError:
            raise Refusal(400, "error in cryptographic primitive") from None
        left_s = float(claims.get("exp", 0)) - time.time()
        if left_s < -30:
            raise Refusal(400, "JWT is expired or does not have proper 'exp' claim")
        if left_s > max_exp_s + 30:
            raise Refusal(400, f"role requires that service account JWTs expire within {max_exp_s} seconds")
        audiences = claims.get("aud", [])
        audiences = [audiences] if isinstance(audiences, str) else audiences
        if not audiences or not all(str(one).endswith(f"vault/{role}") for one in audiences):
            raise Refusal(400, f"at least one of the JWT claim 'aud' must end in \"vault/{role}\"")
        return subject


Login = PasswordLogin | AppRoleLogin | AwsLogin | GcpLogin


def _signed_request(body: dict[str, Any]) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, URL, body and headers (lower case) of the request that Vault shall send to STS."""
    method = str(body.get("iam_http_request_method") or "")
    if not method or not body.get("iam_request_url") or not body.get("iam_request_headers"):
        raise Refusal(400, "supplied some of the auth values for the iam auth type but not all")
    if method != "POST":
        raise Refusal(400, "invalid iam_http_request_method; the double takes 'POST' only")
    url = _decoded(body, "iam_request_url").decode()
    if urlsplit(url).query:
        raise Refusal(400, "invalid request")
    content = _decoded(body, "iam_request_body")
    fields = parse_qs(content.decode())
    if fields.get("Action") != ["GetCallerIdentity"] or not set(fields) <= {"Action", "Version"}:
        raise Refusal(400, "iam_request_body is not valid")
    given = body["iam_request_headers"]
    if isinstance(given, str):
        given = json.loads(_decoded(body, "iam_request_headers"))
    headers = {
        str(name).lower(): ",".join(value) if isinstance(value, list) else str(value)
        for name, value in given.items()
    }
    headers.setdefault("host", urlsplit(url).netloc)
    return method, url, content, headers


def _decoded(body: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(str(body.get(name) or ""), validate=True)
    except ValueError:
        raise Refusal(400, f"failed to base64 decode {name}") from None


def _caller(sts: str, method: str, url: str, content: bytes, headers: dict[str, str]) -> tuple[str, str, str]:
    """ARN, user id and account of who signed the request, as STS says."""
    where = urlsplit(sts)
    connect: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
    if where.scheme == "https":
        connect = http.client.HTTPSConnection
    connection = connect(where.hostname or "", where.port, timeout=30)
    try:
        sent = {name: value for name, value in headers.items() if name != "content-length"}
        connection.request(method, urlsplit(url).path or "/", content, sent)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, ssl.SSLError):
        raise Refusal(400, "error making upstream request: no answer") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise Refusal(
            400,
            f"error making upstream request: received error code {answer.status} from STS: {text.decode()}",
        )
    if "json" in (answer.headers.get("Content-Type") or ""):
        raise Refusal(400, "error making upstream request: error parsing STS response")
    found = {item.tag.rpartition("}")[2]: item.text or "" for item in ET.fromstring(text).iter()}
    return found["Arn"], found["UserId"], found["Account"]
