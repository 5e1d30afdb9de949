"""How each way to log in is asked for at Vault, and what to check where it refuses."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from keyferry.ports import ClusterAccess
from keyferry.providers.vault.google import GoogleTokens
from keyferry.providers.vault.identity import (
    AccountToken,
    AppRole,
    AwsIam,
    Certificate,
    Google,
    Jwt,
    Login,
    Password,
)


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What Vault is asked.

    Args:
        path: below /v1/.
        method: how errors name the way, with its mount.
    """

    path: str
    body: Mapping[str, Any]
    method: str


async def login_request(login: Login, cluster: ClusterAccess, google: GoogleTokens) -> LoginRequest:
    """The request that gets a token.

    Raises:
        ProviderError: a cloud gives no proof of who we are.
        KeyferryError: the cluster gave no ServiceAccount token.
    """
    match login:
        case AppRole(mount, role_id, secret_id):
            body: dict[str, Any] = {"role_id": _text(role_id), "secret_id": _text(secret_id)}
            return LoginRequest(f"auth/{mount}/login", body, f"appRole at auth/{mount}")
        case Password(method, mount, username, password):
            path = f"auth/{mount}/login/{username}"
            return LoginRequest(
                path, {"password": _text(password)}, f'{method} as "{username}" at auth/{mount}'
            )
        case Jwt(method, mount, role, token):
            return _by_role(method, mount, role, {"jwt": _text(token)})
        case AccountToken() as account:
            made = await cluster.request_token(
                account.namespace,
                account.name,
                account.audiences,
                account.lifetime_s,
                api_server=account.api_server,
            )
            return _by_role(account.method, account.mount, account.role, {"jwt": _text(made.token)})
        case Certificate(mount, role):
            body = {"name": role} if role else {}
            return LoginRequest(f"auth/{mount}/login", body, f"cert{_role(role)} at auth/{mount}")
        case AwsIam() as iam:
            return _by_role("iam", iam.mount, iam.role, await _signed(iam))
        case Google() as google_login:
            token = await google.token(google_login, cluster)
            return _by_role("gcp", google_login.mount, google_login.role, {"jwt": _text(token)})
    raise TypeError(f"{type(login).__name__} does not log in")


def _text(value: Any) -> str:
    text: str = value.reveal().decode()
    return text


def _role(role: str) -> str:
    return f' with role "{role[:128]}"' if role else ""


def _by_role(method: str, mount: str, role: str, proof: Mapping[str, Any]) -> LoginRequest:
    body = {"role": role, **proof} if role else dict(proof)
    return LoginRequest(f"auth/{mount}/login", body, f"{method}{_role(role)} at auth/{mount}")


async def _signed(iam: AwsIam) -> dict[str, Any]:
    request = await iam.source.caller_identity(iam.server_id)
    headers = {name: [_text(value)] for name, value in request.headers.items()}
    return {
        "iam_http_request_method": "POST",
        "iam_request_url": _base64(request.url.encode()),
        "iam_request_body": _base64(request.body),
        "iam_request_headers": _base64(msgspec.json.encode(headers)),
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


_HINTS: Final = {
    AppRole: "Check role id and secret id: whether they belong together, were used up or have expired, and where the method is mounted",
    Password: "Check user name and password, and where the method is mounted",
    Jwt: "Check the role in Vault, the token in the Secret, its audience and end, and where the method is mounted",
    AccountToken: "Check the role in Vault (bound ServiceAccount names and namespaces, audience), how Vault checks tokens, and where the method is mounted",
    Certificate: "Check the role in Vault, that it trusts the certificate's CA, and where the method is mounted",
    AwsIam: "Check the role in Vault and the AWS principals bound to it, vaultAwsIamServerID, and where the method is mounted",
    Google: "Check the role in Vault and the Google service accounts bound to it, and where the method is mounted",
}


def hint_of(login: Login) -> str:
    """What to check where Vault refuses a login."""
    if isinstance(login, AccountToken) and login.defaulted:
        return (
            'The token has the audience "vault", because the store names none: set audience=vault in the role, name '
            "the role's audience in serviceAccountRef.audiences, or let the platform add the server to --trusted-vaults"
        )
    return _HINTS.get(type(login), "Check how the store logs in")
