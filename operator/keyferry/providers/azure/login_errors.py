"""What Entra ID and the machine say to somebody who wants a token, in our words. See `errors.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from keyferry.errors import AuthFailed, KeyferryError, Malformed, ProviderError, TimedOut, Unavailable
from keyferry.providers.azure.answers import (
    ENTRA,
    SURROUNDINGS,
    AnswerUnreadable,
    Pause,
    name_of,
    ours_in,
    reply_of,
    server_side,
    throttled,
)
from keyferry.providers.azure.codes import ENTRA_CODES, ENTRA_ERRORS, SDK_ERRORS, Meaning
from keyferry.providers.azure.identity import (
    ClientCertificate,
    ClientSecret,
    FederatedAccount,
    ManagedIdentity,
    Source,
    who,
)
from keyferry.providers.outgoing import Reply

_LARGEST_CODE: Final = 9_999_999
"""Larger ones are none of Entra ID's."""
_NOT_NOW: Final = (404, 410)
"""What a machine's endpoint answers while it is being updated."""


@dataclass(frozen=True, slots=True)
class TokenAsked:
    """For whom a token was asked.

    Args:
        host: that was asked for it.
    """

    source: Source
    host: str

    @property
    def where(self) -> str:
        """The service, as people name it, and where."""
        if isinstance(self.source, ManagedIdentity):
            return "the managed identity endpoint of the operator's machine"
        return f"{ENTRA} at {self.host}"

    @property
    def tenant(self) -> str:
        """The tenant that was asked, where it is known here."""
        match self.source:
            case ClientSecret() | ClientCertificate() | FederatedAccount():
                return f' of tenant "{self.source.tenant}"'
        return ""


class _LoginRefusal(msgspec.Struct):
    error: str = ""
    error_codes: list[int] = []


def token_failed(error: BaseException, asked: TokenAsked, pause: Pause) -> KeyferryError:
    """Our error for a token that was not given.

    Raises:
        BaseException: it is neither the SDK's nor Azure's.
    """
    if (ours := ours_in(error)) is not None:
        return ours
    if isinstance(error, AnswerUnreadable):
        return _unreadable_login(asked)
    reply = reply_of(error) or reply_of(error.__cause__ or error)
    if reply is not None:
        return login_refused(reply, asked, pause)
    name = name_of(error)
    if not name:
        raise error
    cause = SDK_ERRORS.get(name_of(error.__cause__ or error), Meaning.UNKNOWN)
    if cause in (Meaning.UNREACHABLE, Meaning.TIMED_OUT):
        kind = TimedOut if cause is Meaning.TIMED_OUT else Unavailable
        return kind(
            f"{asked.where} does not answer", hint="It may just be starting: look at the operator's node"
        )
    if SDK_ERRORS[name] is Meaning.UNREADABLE or name == "ClientAuthenticationError":
        # The SDK's own word for an answer that is no token.
        return _unreadable_login(asked)
    if isinstance(asked.source, ManagedIdentity) or SDK_ERRORS[name] is Meaning.NO_IDENTITY:
        return AuthFailed(f"there is no token for {who(asked.source)} ({name})", hint=SURROUNDINGS)
    return AuthFailed(
        f"the SDK cannot get a token for {who(asked.source)} from {asked.where} ({name})",
        hint="Look at the store's authentication, and at the operator's Azure settings",
    )


def login_refused(reply: Reply, asked: TokenAsked, pause: Pause) -> ProviderError:
    """Our error for an answer of a token service that is no success."""
    try:
        refusal = msgspec.json.decode(reply.body, type=_LoginRefusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refusal = _LoginRefusal()
    number = refusal.error_codes[0] if refusal.error_codes else 0
    meaning = ENTRA_CODES.get(number) or ENTRA_ERRORS.get(refusal.error, Meaning.UNKNOWN)
    if reply.status == 429 or meaning is Meaning.THROTTLED:
        return throttled(asked.where, pause(reply))
    # What else the other side calls it, is its text, and it may be anybody's.
    name = refusal.error if refusal.error in ENTRA_ERRORS else f"status {reply.status}"
    if 0 < number <= _LARGEST_CODE:
        name = f"AADSTS{number}"
    machine = isinstance(asked.source, ManagedIdentity)
    if reply.status >= 500 or meaning is Meaning.SERVER_SIDE or (machine and reply.status in _NOT_NOW):
        wait = pause(reply)
        return server_side(asked.where, name) if wait is None else throttled(asked.where, wait)
    if machine:
        return AuthFailed(f"there is no token for {who(asked.source)} ({name})", hint=SURROUNDINGS)
    if not refusal.error:
        return _unreadable_login(asked)
    what, hint = _login_text(meaning, asked)
    return AuthFailed(f"{what} ({name})", hint=hint)


def _unreadable_login(asked: TokenAsked) -> Malformed:
    return Malformed(
        f"{asked.where} gave an answer that cannot be read",
        hint="Something else may answer there: check environmentType, customCloudConfig, and proxies",
    )


def _login_text(meaning: Meaning, asked: TokenAsked) -> tuple[str, str]:
    """What is wrong, and what to do."""
    caller = who(asked.source)
    match meaning:
        case Meaning.SECRET:
            return (
                f"Entra ID does not accept the client secret of {caller}",
                "Make a new one and write its value, not its id, into the Secret that the manifest names",
            )
        case Meaning.CERTIFICATE:
            return (
                f"Entra ID does not accept the certificate of {caller}",
                "Register it at the application, or write one that is registered and valid into the Secret",
            )
        case Meaning.FEDERATION:
            return f"Entra ID has no federated credential that fits {caller}", _federation(asked.source)
        case Meaning.ISSUER:
            return (
                f"Entra ID cannot check the token of {caller} with the cluster's OIDC issuer",
                "The issuer's discovery document and keys must be public and up to date",
            )
        case Meaning.CLOCK:
            return (
                f"Entra ID finds the token of {caller} outside its time",
                "Check the clocks of the API server and of the operator's node",
            )
        case Meaning.APPLICATION:
            return (
                f"Entra ID knows no usable application for {caller}{asked.tenant}",
                "Check client id and tenant id, and that the application is not disabled",
            )
        case Meaning.TENANT:
            return (
                f"Entra ID at {asked.host} does not know the tenant of {caller}",
                "Check the tenant id, and that environmentType is the cloud that it is in",
            )
        case Meaning.RESOURCE:
            return (
                f"Entra ID gives {caller} no token for this service",
                "Check environmentType, that the tenant has the service, and that the application may use it",
            )
        case Meaning.POLICY:
            return (
                f"a conditional access policy of the tenant blocks {caller}",
                "Exempt this workload identity from it, or allow the cluster's outgoing addresses in it",
            )
    return (
        f"Entra ID gives {caller} no token",
        "Look the code up on login.microsoftonline.com/error, and at the sign-in logs of the tenant",
    )


def _federation(source: Source) -> str:
    if not isinstance(source, FederatedAccount):
        return "Add one with the cluster's issuer and the subject of the operator's ServiceAccount"
    audience = source.audiences[0]
    return (
        f'Add one to it with the cluster\'s issuer, the subject "{source.subject}" and the audience "{audience}"'
        + (
            ": further audiences in serviceAccountRef keep it from fitting"
            if len(source.audiences) > 1
            else ""
        )
    )
