"""What AWS and its SDK say, in our words: texts that tell what happened, why, and what to do.

AWS's own message is not repeated: it changes between retries (request ids, encoded authorization messages).
Of it only two things are taken: the ARN of who asked, because that is what has to be granted, and which
kind of policy decided. What means what is in `codes.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    KeyferryError,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    TimedOut,
    Unavailable,
    after,
)
from keyferry.providers.aws.asked import Asked
from keyferry.providers.aws.codes import CODES, SDK_ERRORS, Meaning

_CALLER: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[A-Za-z0-9+=,.@_/-]{1,256}")
_DECIDED_BY: Final = re.compile(
    r"(?:with an explicit deny in an?|because no) "
    r"(identity-based|resource-based|service control|resource control|session|VPC endpoint) policy"
    r"|(?:with an explicit deny in a|because no) (permissions boundary)"
)
_PLAIN_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
_LONGEST_WAIT_S: Final = 3600.0
"""A Retry-After beyond that is not believed."""


class KMSDenied(AccessDenied):
    """The secret may be read, and the key that encrypts it may not be used."""


class AnswerUnreadable(Exception):
    """The SDK stumbled over an answer that is no AWS's: bytes that are no text, a list for an object."""


def translated(error: BaseException, asked: Asked) -> ProviderError:
    """Our error for one of the SDK's, or of AWS's through it.

    Raises:
        BaseException: it is neither: a bug, or a cancellation, which is not ours to tell.
    """
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, AnswerUnreadable):
        return unreadable(asked)
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and "Error" in response:
        return from_response(response, asked)
    meaning = _meaning_of(error)
    if meaning is None:
        raise error
    return _told(meaning, type(error).__name__, "", asked)


def is_known(error: BaseException) -> bool:
    """Whether an exception is the SDK's own, or ours."""
    return isinstance(error, KeyferryError) or _meaning_of(error) is not None


def _meaning_of(error: BaseException) -> Meaning | None:
    """What an SDK exception means; None for one that is not the SDK's."""
    for cls in type(error).__mro__:
        if cls.__module__.startswith("botocore."):
            return SDK_ERRORS.get(cls.__name__) or _meaning_of_ancestors(cls)
    return None


def _meaning_of_ancestors(cls: type) -> Meaning:
    found = (SDK_ERRORS.get(ancestor.__name__) for ancestor in cls.__mro__)
    return next((meaning for meaning in found if meaning is not None), Meaning.UNKNOWN)


def from_response(response: Mapping[str, Any], asked: Asked) -> ProviderError:
    """Our error for an answer of AWS that is a refusal."""
    told = response.get("Error") or {}
    metadata = response.get("ResponseMetadata") or {}
    code = str(told.get("Code") or "").rpartition("#")[2].partition(":")[0]
    status = int(metadata.get("HTTPStatusCode") or 0)
    headers = metadata.get("HTTPHeaders") or {}
    return from_code(code, str(told.get("Message") or ""), asked, status=status, headers=headers)


def from_code(
    code: str,
    message: str,
    asked: Asked,
    *,
    status: int = 0,
    headers: Mapping[str, str] | None = None,
) -> ProviderError:
    """Our error for one of AWS's codes. The message is read, not repeated."""
    meaning = CODES.get(code, Meaning.UNKNOWN)
    if meaning is Meaning.THROTTLED or status == 429:
        return _throttled(asked, headers or {})
    if meaning is Meaning.UNKNOWN:
        # A gateway or a proxy answers without a code of AWS; nothing but its status is repeated.
        code = code if _PLAIN_CODE.fullmatch(code) else ""
        meaning = Meaning.SERVER_SIDE if status >= 500 else Meaning.UNKNOWN
    return _told(meaning, code or str(status or "an unknown error"), message, asked)


def _told(meaning: Meaning, name: str, message: str, asked: Asked) -> ProviderError:
    """The text for a meaning; `name` is the code or exception behind it."""
    match meaning:
        case Meaning.EXPIRED:
            return CredentialsExpired(f"the AWS credentials have expired ({name})", hint=_EXPIRED_HINT)
        case Meaning.DENIED:
            return _denied(message, asked)
        case Meaning.KMS:
            return _kms_denied(message, asked)
        case Meaning.NOT_FOUND | Meaning.NO_VERSION:
            return _not_found(meaning, message, asked)
        case Meaning.REQUEST | Meaning.INVALID if "delet" in message:
            return RemoteSecretNotFound(
                f"{asked.what} is marked for deletion in {asked.region}",
                hint="Restore it (aws secretsmanager restore-secret) or remove the reference",
            )
        case Meaning.REFUSED if message.startswith(("Signature expired", "Signature not yet current")):
            return _told(Meaning.CLOCK, name, "", asked)
        case Meaning.REFUSED | Meaning.CLOCK | Meaning.TOKEN | Meaning.NO_CREDENTIALS:
            what, hint = _IDENTITY_TEXTS[meaning]
            return AuthFailed(f"{what} ({name})", hint=hint)
        case Meaning.TIMED_OUT:
            return TimedOut(f"{asked.service} did not answer in time", hint=_network_hint(asked))
        case Meaning.UNREADABLE:
            return unreadable(asked)
    return _told_of_service(meaning, name, asked)


def _told_of_service(meaning: Meaning, name: str, asked: Asked) -> ProviderError:
    """The text for failures of the service, the way to it, or the call."""
    service = asked.service
    match meaning:
        case Meaning.SERVER_SIDE:
            return Unavailable(
                f"{service} failed at its own side ({name})",
                hint="Nothing to do here; the AWS Health Dashboard tells about outages",
            )
        case Meaning.UNREACHABLE:
            return Unavailable(f"{service} cannot be reached", hint=_network_hint(asked))
        case Meaning.TLS:
            return Unavailable(
                f"the certificate of {service} is not trusted",
                hint="Behind a proxy that opens TLS, give its CA to the operator with AWS_CA_BUNDLE",
            )
        case Meaning.PROXY:
            return Unavailable(
                f"{service} cannot be reached through the proxy ({name})",
                hint="Check HTTPS_PROXY and NO_PROXY of the operator",
            )
        case Meaning.ISSUER:
            return Unavailable(
                f"AWS cannot check ServiceAccount tokens with the cluster's OIDC issuer ({name})",
                hint="The issuer's discovery document and keys must be public",
            )
        case Meaning.REGION:
            return ProviderError(
                f"{service} is not there for this account ({name})",
                hint="Check the store's region, that the account has it switched on, and the FIPS and dual-stack settings",
            )
        case (
            Meaning.REQUEST
            | Meaning.INVALID
            | Meaning.TAGS
            | Meaning.WRITE
            | Meaning.CALL
            | Meaning.ELSEWHERE
        ):
            what, hint = _CALL_TEXTS[meaning]
            return ProviderError(f"{what.format(asked=asked)} ({name})", hint=hint.format(asked=asked))
        case Meaning.SETTINGS:
            return ProviderError(
                f"the AWS SDK refuses its own settings ({name})",
                hint="Check the operator's AWS environment variables and files",
            )
    return Unavailable(
        f"{service} answered {asked.action} with {name}",
        hint="Keyferry does not know this failure and tries again; please report it",
    )


_OF_KMS: Final = ("KMS", "kms:", "customer master key")
"""What AWS says where not the secret is denied but the key that encrypts it; the last is of old."""
_EXPIRED_HINT: Final = (
    "Keyferry renews what it obtained itself; keys with a session token in a Secret must be replaced in time"
)
_IDENTITY_TEXTS: Final = {
    Meaning.REFUSED: (
        "AWS refuses the credentials",
        "Check access key, secret key and session token, that the key is active and from this partition",
    ),
    Meaning.CLOCK: (
        "AWS finds the time of the request wrong",
        "Check the clock of the operator's node",
    ),
    Meaning.TOKEN: (
        "AWS does not accept the ServiceAccount's token",
        "Register the cluster's OIDC issuer as an identity provider in IAM, with the token's audience",
    ),
    Meaning.NO_CREDENTIALS: (
        "the SDK's default chain found no usable AWS credentials",
        "Check the operator's IRSA or Pod Identity set-up, or give the store an auth block",
    ),
}
_CALL_TEXTS: Final = {
    Meaning.REQUEST: (
        "AWS cannot do this with {asked.what} in its present state",
        "Look at the {asked.words.one} in the AWS console: its state, its versions, its replication",
    ),
    Meaning.INVALID: (
        "AWS finds the request for {asked.what} invalid",
        "Check the key, and the version ({asked.words.versions})",
    ),
    Meaning.TAGS: (
        "AWS does not accept the session tags or policies of {asked.what}",
        "Use fewer or shorter session tags",
    ),
    Meaning.WRITE: (
        "AWS refuses to change {asked.what}",
        "Look at the {asked.words.one} in the AWS console",
    ),
    Meaning.ELSEWHERE: (
        "AWS answers {asked.action} with a failure of another operation",
        "Keyferry does not expect this failure; please report it",
    ),
    Meaning.CALL: (
        "the AWS SDK refuses the call for {asked.what}",
        "Check the store's region and role, and the operator's AWS settings",
    ),
}


def unreadable(asked: Asked) -> Malformed:
    """The answer was cut short or is something else than an answer of AWS."""
    return Malformed(
        f"{asked.service} gave an answer that cannot be read",
        hint="Something between the operator and AWS may cut or replace answers: a proxy, a gateway",
    )


def assume_failed(error: BaseException, asked: Asked, role: str, who: str) -> ProviderError:
    """The error of a role that could not be assumed: what its trust policy has to say.

    Args:
        role: its ARN.
        who: wants to assume it, as a sentence begins.
    """
    ours = translated(error, asked)
    meaning = CODES.get(_code(error), Meaning.UNKNOWN)
    web = asked.action.endswith("WebIdentity")
    if isinstance(ours, AccessDenied):
        wants = f"{asked.action} for this subject and audience"
        if not web:
            wants = "sts:AssumeRole, its external id, and sts:TagSession where tags are set"
        return AuthFailed(
            f'{who} may not assume role "{role}"', hint=f"The role's trust policy must allow it ({wants})"
        )
    if meaning is Meaning.TOKEN:
        return AuthFailed(f'AWS does not accept the token of {who} for role "{role}"', hint=ours.hint)
    if web and isinstance(ours, CredentialsExpired):
        # The token was made a moment ago: to renew it would change nothing.
        return AuthFailed(
            f"AWS finds the token of {who} expired",
            hint="Check the clocks of the API server and of the operator's node",
        )
    if type(ours) is ProviderError:
        # Whatever it is, there is no identity: everybody who needs it waits for the same next try.
        return AuthFailed(f'role "{role}" cannot be assumed: {ours.message}', hint=ours.hint)
    return ours


def chain_failed(error: Exception, region: str) -> ProviderError:
    """The error of the SDK's default chain, which gave no credentials. The chain asks STS, if anybody.

    It lets failures of files and endpoints through as they are: those are told by their kind alone.
    """
    try:
        ours = translated(error, Asked("sts:AssumeRoleWithWebIdentity", region))
    except Exception:  # noqa: BLE001 - any failure of the chain means that there are no credentials
        ours = None
    if ours is not None and (ours is error or isinstance(ours, Unavailable | RateLimited)):
        return ours
    return AuthFailed(
        "the SDK's default chain could not get AWS credentials for the operator "
        f"({_code(error) or type(error).__name__})",
        hint=_IDENTITY_TEXTS[Meaning.NO_CREDENTIALS][1],
    )


def _code(error: BaseException) -> str:
    response = getattr(error, "response", None)
    code = (response.get("Error") or {}).get("Code") if isinstance(response, Mapping) else None
    return code if isinstance(code, str) and _PLAIN_CODE.fullmatch(code) else ""


def _throttled(asked: Asked, headers: Mapping[str, str]) -> RateLimited:
    text = f"{asked.service} asks for fewer calls"
    hint = "Nothing to do now; for good, raise the account's quota or refreshInterval"
    seconds = headers.get("retry-after", "")
    if not re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", seconds):
        return RateLimited(text, hint=hint)
    return RateLimited(text, hint=hint, retry=after(min(float(seconds), _LONGEST_WAIT_S)))


def _not_found(meaning: Meaning, message: str, asked: Asked) -> RemoteSecretNotFound:
    hint = f"Check the key, the region, and the version ({asked.words.versions})"
    if meaning is Meaning.NO_VERSION or "secret value" in message:  # Secrets Manager's words for the same
        version = asked.version or asked.words.current
        return RemoteSecretNotFound(f'{asked.what} has no version "{version}" in {asked.region}', hint=hint)
    if asked.version:
        text = f'{asked.what} does not exist in version "{asked.version}" in {asked.region}'
        return RemoteSecretNotFound(text, hint=hint)
    return RemoteSecretNotFound(
        f"{asked.what} does not exist in {asked.region}",
        hint="Check the key, the region and the store's prefix",
    )


def _denied(message: str, asked: Asked) -> AccessDenied:
    if any(word in message for word in _OF_KMS):
        return _kms_denied(message, asked)
    caller = _CALLER.search(message)
    who = f"{caller[0]} is" if caller else "the store's identity is"
    own = asked.key and asked.words.has_policies
    where = "in the identity's policy" + (f" or the {asked.words.one}'s resource policy" if own else "")
    if decided := _DECIDED_BY.search(message):
        policy = f"{decided[1]} policy" if decided[1] else decided[2]
        where = f"in its {policy}; that is what decided"
        if decided[0].startswith("with an explicit deny"):
            where = f"by taking back the explicit deny in its {policy}"
    return AccessDenied(
        f"{who} not allowed to {asked.action}" + (f" on {asked.on}" if asked.on else ""),
        hint=f"Grant {asked.action} on {asked.resource} {where}",
    )


def _kms_denied(message: str, asked: Asked) -> KMSDenied:
    caller = _CALLER.search(message)
    who = caller[0] if caller else "the store's identity"
    return KMSDenied(
        f"KMS does not let {who} decrypt {asked.what}",
        hint="The KMS key must be enabled, and its key policy must allow kms:Decrypt to this identity, "
        "and its own policy too",
    )


def _network_hint(asked: Asked) -> str:
    name = f"com.amazonaws.{asked.region}.{asked.words.endpoint}"
    return (
        f"From a private network it needs a VPC endpoint for {name}, a route to it, "
        "and security groups that allow 443"
    )
