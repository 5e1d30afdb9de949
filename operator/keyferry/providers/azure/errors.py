"""What a vault says, and the SDK about it, in our words: texts that tell what happened, why, and what to do.

Azure's own messages are not repeated: they change between retries (ids, moments) and quote what was sent. Of
them only the code is taken. What means what is in `codes.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    KeyferryError,
    Malformed,
    ProviderError,
    RemoteSecretNotFound,
    TimedOut,
    Unavailable,
)
from keyferry.providers.azure.answers import (
    SURROUNDINGS,
    VAULT,
    AnswerUnreadable,
    Pause,
    name_of,
    ours_in,
    reply_of,
    server_side,
    throttled,
)
from keyferry.providers.azure.codes import SDK_ERRORS, VAULT_CODES, Meaning
from keyferry.providers.azure.identity import Source, who
from keyferry.providers.outgoing import Reply

_UNKNOWN_CODE: Final = "an unknown code"
"""Stands for codes that are not in the table: they are the other side's text, and it may be anybody's."""
_CHALLENGE: Final = re.compile(r'(\w+)="?([^",]*)"?')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a vault wants of somebody without a token.

    Args:
        scope: for what Entra ID is to be asked.
        tenant: whom it is to be asked of.
    """

    scope: str
    tenant: str


def challenge_of(reply: Reply) -> Challenge | None:
    """What a vault wants; None for an answer that is no vault's to somebody without a token."""
    text = reply.headers.get("www-authenticate", "")
    if reply.status != 401 or not text.lower().startswith("bearer "):
        return None
    wanted = dict(_CHALLENGE.findall(text[len("bearer ") :]))
    authority = wanted.get("authorization") or wanted.get("authorization_uri") or ""
    resource = wanted.get("resource", "")
    scope = wanted.get("scope") or (f"{resource}/.default" if resource else "")
    if not authority or not scope:
        return None
    return Challenge(scope, authority.rstrip("/").rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class Asked:
    """What a vault was asked, for the text.

    Args:
        permission: as access policies name it: "secrets/get".
        host: of the vault.
        source: who asks.
        key: the remote key; empty for a list.
        version: the version asked for, as the manifest has it.
    """

    permission: str
    host: str
    source: Source
    key: str = ""
    version: str = ""

    @property
    def what(self) -> str:
        """The remote secret, or the list."""
        return (
            f'remote secret "{self.key}"' if self.key else f"the list of {self.permission.partition('/')[0]}"
        )

    @property
    def where(self) -> str:
        """The service, as people name it, and where."""
        return f"{VAULT} {self.host}"


class _Inner(msgspec.Struct):
    code: str = ""


class _Error(msgspec.Struct):
    code: str = ""
    innererror: _Inner | None = None
    inner_error: _Inner | None = msgspec.field(name="innerError", default=None)


class _Refusal(msgspec.Struct):
    error: _Error


def translated(error: BaseException, asked: Asked, pause: Pause) -> KeyferryError:
    """Our error for one of the SDK's, or of a vault's through it.

    Raises:
        BaseException: it is neither: a bug, or a cancellation, which is not ours to tell.
    """
    if (ours := ours_in(error)) is not None:
        return ours
    if isinstance(error, AnswerUnreadable):
        return unreadable(asked)
    reply = reply_of(error)
    if reply is not None:
        return from_reply(reply, asked, pause)
    name = name_of(error)
    if not name:
        raise error
    return _told(SDK_ERRORS[name], name, asked)


def from_reply(reply: Reply, asked: Asked, pause: Pause) -> ProviderError:
    """Our error for an answer of a vault that is no success."""
    code = _vault_code(reply.body)
    meaning = VAULT_CODES.get(code, Meaning.UNKNOWN)
    if reply.status == 429 or meaning is Meaning.THROTTLED:
        return throttled(asked.where, pause(reply))
    if meaning is Meaning.UNKNOWN:
        # A gateway or a proxy answers without a code of Key Vault; nothing but its status is repeated. And
        # its "not found" says nothing about the remote secret, which by that might be deleted.
        by_status = {401: Meaning.TOKEN, 403: Meaning.DENIED, 409: Meaning.WRITE}
        meaning = by_status.get(reply.status, Meaning.UNKNOWN) if code else Meaning.UNREADABLE
        meaning = Meaning.SERVER_SIDE if reply.status >= 500 else meaning
    if reply.status in (503, 502, 504) and (wait := pause(reply)) is not None:
        return throttled(asked.where, wait)
    return _told(meaning, code if code in VAULT_CODES else f"{code}status {reply.status}", asked)


def _vault_code(body: bytes) -> str:
    """The code in the table; a text that tells that there is another, or none."""
    try:
        error = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    inner = error.innererror or error.inner_error
    codes = (inner.code if inner is not None else "", error.code)
    known = next((code for code in codes if code in VAULT_CODES), "")
    return known or (f"{_UNKNOWN_CODE}, " if any(codes) else "")


def _told(meaning: Meaning, name: str, asked: Asked) -> ProviderError:
    """The text for a meaning; `name` is the code or exception behind it."""
    match meaning:
        case Meaning.TOKEN:
            return CredentialsExpired(
                f"{asked.where} does not accept the token of {who(asked.source)} ({name})",
                hint="A token that has ended is renewed; else the vault belongs to another tenant than the identity",
            )
        case Meaning.DENIED | Meaning.FIREWALL:
            return _denied(meaning, name, asked)
        case Meaning.NOT_FOUND:
            return _not_found(asked)
        case Meaning.DISABLED:
            return ProviderError(
                f"{asked.what} is disabled, or may not be used at this time, in {asked.where} ({name})",
                hint="Enable it and look at its activation and expiration dates, or remove the reference",
            )
    return _told_of_service(meaning, name, asked)


def _told_of_service(meaning: Meaning, name: str, asked: Asked) -> ProviderError:
    """The text for failures of the service, the way to it, or the call."""
    match meaning:
        case Meaning.TIMED_OUT:
            return TimedOut(f"{asked.where} did not answer in time", hint=_NETWORK)
        case Meaning.UNREACHABLE:
            return Unavailable(f"{asked.where} cannot be reached, or ended the connection", hint=_NETWORK)
        case Meaning.UNREADABLE:
            return unreadable(asked)
        case Meaning.NO_VAULT:
            return Unavailable(
                f"{asked.where} does not exist ({name})",
                hint="Check vaultUrl; a deleted vault can be recovered (az keyvault recover)",
            )
        case Meaning.SERVER_SIDE:
            return server_side(asked.where, name)
        case Meaning.NO_IDENTITY:
            return AuthFailed(
                f"the SDK finds no identity for {who(asked.source)} ({name})", hint=SURROUNDINGS
            )
        case Meaning.INVALID | Meaning.WRITE | Meaning.CALL:
            what, hint = _CALL_TEXTS[meaning]
            return ProviderError(f"{what.format(asked=asked)} ({name})", hint=hint)
    return Unavailable(
        f"{asked.where} answered {asked.permission} with {name}",
        hint="Keyferry does not know this failure and tries again; please report it",
    )


_NETWORK: Final = "Check vaultUrl, network policies, and that the vault's firewall or private endpoint is open to the cluster"
_CALL_TEXTS: Final[Mapping[Meaning, tuple[str, str]]] = {
    Meaning.INVALID: (
        "{asked.where} finds the request for {asked.what} invalid",
        "Check key and version: names have letters, digits and hyphens, a version has 32 hexadecimal digits",
    ),
    Meaning.WRITE: (
        "{asked.where} cannot do this with {asked.what} in its present state",
        "Look at it in the Azure portal: it may just be deleted or recovered",
    ),
    Meaning.CALL: (
        "the Azure SDK refuses the call for {asked.what} in {asked.where}",
        "Check the store's vaultUrl, and the operator's Azure settings",
    ),
}
_ROLES: Final[Mapping[str, tuple[str, str]]] = {
    "secrets/get": ("Key Vault Secrets User", "secret permission Get"),
    "secrets/list": ("Key Vault Secrets User", "secret permission List"),
    "keys/get": ("Key Vault Reader", "key permission Get"),
    "certificates/get": ("Key Vault Reader", "certificate permission Get"),
}
"""What grants each permission, and as little else as can be: a role of Azure RBAC, or an entry of the vault's
access policies. The role Key Vault Certificate User would give the certificates' private keys, too."""


def unreadable(asked: Asked) -> Malformed:
    """The answer was cut short or is something else than an answer of Key Vault."""
    return Malformed(
        f"{asked.where} gave an answer that cannot be read",
        hint="Check vaultUrl: something else than Key Vault may answer there, such as a proxy or gateway",
    )


def _denied(meaning: Meaning, name: str, asked: Asked) -> AccessDenied:
    if meaning is Meaning.FIREWALL:
        return AccessDenied(
            f"{asked.where} does not let the operator in from its network ({name})",
            hint="Allow the cluster's outgoing addresses in the vault's firewall, or give it a private endpoint",
        )
    role, policy = _ROLES[asked.permission]
    on = "the vault or this object" if asked.key else "the vault"
    by_policy = f"the {policy} in the vault's access policies"
    by_role = f'the role "{role}" on {on}'
    hint = {"ForbiddenByRbac": by_role, "ForbiddenByPolicy": by_policy, "AccessDenied": by_policy}
    return AccessDenied(
        f"{who(asked.source)} is not allowed {asked.permission} on {asked.what} in {asked.where} ({name})",
        hint=f"Grant it {hint.get(name, f'{by_role}, or {by_policy}')}",
    )


def _not_found(asked: Asked) -> RemoteSecretNotFound:
    recover = "If it was deleted, it can be recovered (az keyvault {kind} recover)".format(
        kind={"secrets": "secret", "keys": "key"}.get(asked.permission.partition("/")[0], "certificate")
    )
    version = f' in version "{asked.version}"' if asked.version else ""
    check = "Check the key and its version" if asked.version else "Check the key and vaultUrl"
    return RemoteSecretNotFound(
        f"{asked.what} does not exist{version} in {asked.where}", hint=f"{check}. {recover}"
    )


def wrong_scope(asked: Asked) -> AuthFailed:
    """A vault asks for a token that would open more than itself, or something else."""
    return AuthFailed(
        f"{asked.where} asks for a token for another service, and gets none",
        hint="Check vaultUrl; a cloud of one's own names its service in customCloudConfig.keyVaultEndpoint",
    )


def wrong_tenant(asked: Asked) -> AuthFailed:
    """A vault belongs to another tenant than the identity."""
    return AuthFailed(
        f"{asked.where} belongs to another tenant than {who(asked.source)}",
        hint="Use an identity of the vault's tenant: tenantId, or the ServiceAccount's annotation",
    )


def unexpected(detail: str, asked: Asked) -> ProviderError:
    """A name or version that no vault can have.

    Args:
        detail: what is wrong, as a sentence goes on.
    """
    return ProviderError(
        f"{asked.what}: {detail}",
        hint="A key is NAME, secret/NAME, key/NAME or cert/NAME; names have letters, digits and hyphens",
    )
