"""What AWS and its SDK say, in our words: one table, and texts that tell what to do.

AWS's own message is not repeated: it changes between retries (request ids, encoded authorization messages).
Of it only the ARN of who asked is taken, because that is what has to be granted.
Source of the codes: the API references of Secrets Manager, STS and "Common Errors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    TimedOut,
    Unavailable,
    after,
)

_CALLER: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[A-Za-z0-9+=,.@_/-]{1,256}")

THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
EXPIRED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
)
REFUSED: Final = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
SERVER_SIDE: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "InternalServiceErrorException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
INVALID: Final = frozenset(
    {
        "InvalidParameterException",
        "InvalidParameterValue",
        "InvalidNextTokenException",
        "ValidationError",
        "ValidationException",
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, for the text.

    Args:
        action: the IAM action, such as "secretsmanager:GetSecretValue".
        region: where.
        key: the remote key; empty for calls that name none.
        version: the version asked for, as the manifest has it.
    """

    action: str
    region: str
    key: str = ""
    version: str = ""

    @property
    def what(self) -> str:
        """The remote secret, or the call."""
        return f'remote secret "{self.key}"' if self.key else self.action


def translated(error: BaseException, asked: Asked) -> ProviderError:
    """Our error for one of botocore's, or of AWS's through it."""
    from botocore import exceptions as sdk

    if isinstance(error, ProviderError):
        return error
    if isinstance(error, sdk.ClientError):
        return from_response(error.response, asked)
    if isinstance(error, sdk.ConnectTimeoutError | sdk.ReadTimeoutError):
        return TimedOut(f"{_service(asked)} did not answer in time", hint=_network_hint(asked))
    if isinstance(error, sdk.EndpointConnectionError | sdk.HTTPClientError | sdk.ConnectionError):
        return Unavailable(f"{_service(asked)} cannot be reached", hint=_network_hint(asked))
    if isinstance(
        error,
        sdk.NoCredentialsError
        | sdk.PartialCredentialsError
        | sdk.CredentialRetrievalError
        | sdk.TokenRetrievalError
        | sdk.MetadataRetrievalError
        | sdk.NoAuthTokenError,
    ):
        return AuthFailed(
            f"the SDK's default chain found no usable AWS credentials ({type(error).__name__})",
            hint="Check the operator's IRSA or Pod Identity set-up, or give the store an auth block",
        )
    if isinstance(error, sdk.ResponseParserError | sdk.IncompleteReadError | sdk.ResponseStreamingError):
        return Malformed(f"{_service(asked)} gave an answer that cannot be read")
    if isinstance(error, sdk.BotoCoreError):
        return ProviderError(
            f"the AWS SDK refuses the call ({type(error).__name__})",
            hint="Check the store's region and the operator's AWS settings",
        )
    raise error


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
    if code in THROTTLED or status == 429:
        return _throttled(asked, headers or {})
    if code in EXPIRED:
        return CredentialsExpired(f"the AWS credentials have expired ({code})")
    if code in DENIED:
        return _denied(message, asked)
    if code == "ResourceNotFoundException":
        return _not_found(asked)
    if code == "InvalidRequestException" and "deletion" in message:
        return RemoteSecretNotFound(
            f"{asked.what} is marked for deletion in {asked.region}",
            hint="Restore it (aws secretsmanager restore-secret) or remove the reference",
        )
    if code in ("DecryptionFailure", "DecryptionFailureException"):
        return _kms_denied(message, asked)
    if code in REFUSED:
        return AuthFailed(
            f"AWS refuses the credentials ({code})",
            hint="Check access key, secret key and session token, and that the keys are active",
        )
    if code in INVALID or code == "InvalidRequestException":
        return ProviderError(
            f"AWS finds the request for {asked.what} invalid ({code})",
            hint="Check the key, and that version is a stage or uuid/ and a version id",
        )
    if code in SERVER_SIDE or status >= 500:
        return Unavailable(f"{_service(asked)} failed at its own side ({code or status})")
    return Unavailable(
        f"{_service(asked)} answered {asked.action} with {code or status or 'an unknown error'}"
    )


def assume_failed(error: BaseException, asked: Asked, role: str, who: str) -> ProviderError:
    """The error of a role that could not be assumed: what its trust policy has to say."""
    ours = translated(error, asked)
    code = _code(error)
    if isinstance(ours, AccessDenied):
        return AuthFailed(
            f'{who} may not assume role "{role}"',
            hint="The role's trust policy must allow it"
            + (
                f" ({asked.action} for this subject and audience)"
                if asked.action.endswith("WebIdentity")
                else " (sts:AssumeRole, its external id, and sts:TagSession where tags are set)"
            ),
        )
    if code in ("InvalidIdentityToken", "InvalidIdentityTokenException"):
        return AuthFailed(
            f'AWS does not accept the token of {who} for role "{role}"',
            hint="Register the cluster's OIDC issuer as an identity provider in IAM, with audience sts.amazonaws.com",
        )
    if code in ("IDPCommunicationError", "IDPRejectedClaim", "IDPRejectedClaimException"):
        return Unavailable(f"AWS cannot check the token of {who} with the cluster's OIDC issuer ({code})")
    return ours


def _code(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return str((response.get("Error") or {}).get("Code") or "") if isinstance(response, dict) else ""


def _throttled(asked: Asked, headers: Mapping[str, str]) -> RateLimited:
    text = f"{_service(asked)} asks for fewer calls"
    hint = "Nothing to do now; for good, raise the account's quota or refreshInterval"
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return RateLimited(text, hint=hint)
    return RateLimited(text, hint=hint, retry=after(max(0.0, seconds)))


def _not_found(asked: Asked) -> RemoteSecretNotFound:
    if asked.version:
        return RemoteSecretNotFound(
            f'{asked.what} does not exist in version "{asked.version}" in {asked.region}',
            hint="Check the key, the region, and the version (a stage, or uuid/ and a version id)",
        )
    return RemoteSecretNotFound(
        f"{asked.what} does not exist in {asked.region}",
        hint="Check the key, the region and the store's prefix",
    )


def _denied(message: str, asked: Asked) -> AccessDenied:
    if "KMS" in message or "kms:" in message:
        return _kms_denied(message, asked)
    caller = _CALLER.search(message)
    who = f"{caller[0]} is" if caller else "the store's identity is"
    return AccessDenied(
        f"{who} not allowed to {asked.action}" + (f" on {asked.what}" if asked.key else ""),
        hint=f"Grant {asked.action} on the secret in the identity's policy or the secret's resource policy",
    )


def _kms_denied(message: str, asked: Asked) -> AccessDenied:
    caller = _CALLER.search(message)
    who = caller[0] if caller else "the store's identity"
    return AccessDenied(
        f"KMS does not let {who} decrypt {asked.what}",
        hint="The KMS key's key policy must allow kms:Decrypt to this identity, and its own policy too",
    )


def _service(asked: Asked) -> str:
    service = asked.action.partition(":")[0]
    name = {"secretsmanager": "Secrets Manager", "sts": "STS"}.get(service, service)
    return f"AWS {name} in {asked.region}"


def _network_hint(asked: Asked) -> str:
    service = asked.action.partition(":")[0]
    return (
        f"From a private network it needs a VPC endpoint for com.amazonaws.{asked.region}.{service}, a route to it, "
        "and security groups that allow 443"
    )
