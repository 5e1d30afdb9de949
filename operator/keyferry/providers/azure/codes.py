"""The tables: what each code of Key Vault and Entra ID, and each exception of the SDK, means to us.

Words are in `errors.py`. Every exception class of the SDK's packages stands here by name; a test compares the
list with the SDK's own, so that a new one is decided about and not overlooked.

Sources: Azure Key Vault REST API error codes; "Troubleshooting Azure key vault access policy issues"; Key Vault
throttling guidance; "Microsoft Entra authentication and authorization error codes".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Meaning(enum.Enum):
    """What a failure means to the reader of a manifest."""

    THROTTLED = enum.auto()
    """Too many calls."""
    TOKEN = enum.auto()
    """The vault does not accept the token."""
    DENIED = enum.auto()
    """The identity was not granted this."""
    FIREWALL = enum.auto()
    """The vault does not let calls from here in."""
    DISABLED = enum.auto()
    """The object is switched off, or may not be used at this time."""
    NOT_FOUND = enum.auto()
    """No such object, or no such version of it."""
    NO_VAULT = enum.auto()
    """No such vault, or a deleted one."""
    INVALID = enum.auto()
    """The request is wrong: name, version."""
    WRITE = enum.auto()
    """Refusals of writing operations, and of objects that are just being deleted or recovered."""
    SERVER_SIDE = enum.auto()
    """Azure's own failure."""
    TIMED_OUT = enum.auto()
    """No answer in time."""
    UNREACHABLE = enum.auto()
    """No connection, or one that broke off."""
    UNREADABLE = enum.auto()
    """The answer is not what the API promises."""
    CALL = enum.auto()
    """The SDK refuses to make the call as it is."""
    SECRET = enum.auto()
    """The client secret is wrong or has ended."""
    CERTIFICATE = enum.auto()
    """The certificate is not the application's, or has ended."""
    FEDERATION = enum.auto()
    """No federated credential fits the ServiceAccount's token."""
    ISSUER = enum.auto()
    """Entra ID cannot check the ServiceAccount's token with the cluster's issuer."""
    CLOCK = enum.auto()
    """An assertion is outside its time."""
    APPLICATION = enum.auto()
    """The application is not in the tenant, or is switched off."""
    TENANT = enum.auto()
    """There is no such tenant in this cloud."""
    RESOURCE = enum.auto()
    """Tokens for this service are not given in this tenant."""
    POLICY = enum.auto()
    """Conditional access says no."""
    LOGIN = enum.auto()
    """Entra ID refuses for another reason."""
    NO_IDENTITY = enum.auto()
    """The operator's surroundings give no identity."""
    UNKNOWN = enum.auto()
    """Not in the tables."""


_VAULT_BY_MEANING: Final[Mapping[Meaning, tuple[str, ...]]] = {
    Meaning.THROTTLED: ("Throttled", "TooManyRequests"),
    Meaning.TOKEN: ("Unauthorized", "InvalidAuthenticationToken", "ExpiredAuthenticationToken"),
    Meaning.DENIED: ("AccessDenied", "Forbidden", "ForbiddenByPolicy", "ForbiddenByRbac"),
    Meaning.FIREWALL: (
        "ForbiddenByConnection",
        "ForbiddenByFirewall",
        "ForbiddenByNetworkSecurityPerimeter",
    ),
    Meaning.DISABLED: (
        "CertificateDisabled",
        "KeyDisabled",
        "KeyExpired",
        "KeyNotYetValid",
        "SecretDisabled",
        "SecretExpired",
        "SecretNotYetValid",
    ),
    Meaning.NOT_FOUND: (
        "CertificateNotFound",
        "KeyNotFound",
        "SecretNotFound",
    ),
    Meaning.NO_VAULT: ("VaultNotFound",),
    Meaning.INVALID: ("BadParameter", "BadRequest", "MethodNotAllowed", "NotFound"),
    Meaning.WRITE: (
        "Conflict",
        "ObjectIsBeingDeleted",
        "ObjectIsBeingRecovered",
        "ObjectIsDeletedButRecoverable",
        "VaultAlreadyExists",
    ),
    Meaning.SERVER_SIDE: (
        "GatewayTimeout",
        "InternalError",
        "InternalServerError",
        "ServerError",
        "ServiceUnavailable",
    ),
}

VAULT_CODES: Final[Mapping[str, Meaning]] = {
    code: meaning for meaning, codes in _VAULT_BY_MEANING.items() for code in codes
}
"""Codes of Key Vault. An inner code, where there is one, goes before the outer one."""

_ENTRA_BY_MEANING: Final[Mapping[Meaning, tuple[int, ...]]] = {
    Meaning.SECRET: (7000215, 7000218, 7000222),
    Meaning.CERTIFICATE: (700021, 700023, 700027, 700030, 1000502),
    Meaning.FEDERATION: (70021, 70025, 700211, 700212, 700213, 7002138),
    Meaning.ISSUER: (50013, 50166, 90061),
    Meaning.CLOCK: (500133, 700024),
    Meaning.APPLICATION: (700016, 7000112, 7000229),
    Meaning.TENANT: (50059, 50128, 90002, 90019, 90051, 900021, 900023, 900382),
    Meaning.RESOURCE: (50001, 50105, 65001, 70011, 500011, 500014, 501051, 650052, 650057, 1002012),
    Meaning.POLICY: (50005, 53000, 53001, 53003, 53011, 530034, 530035),
    Meaning.THROTTLED: (50196, 90055),
    Meaning.SERVER_SIDE: (50000, 90006, 90024, 90025, 90033, 90036),
    Meaning.LOGIN: (50027, 70003, 90013, 90014, 900144, 901002, 9002313),
}

ENTRA_CODES: Final[Mapping[int, Meaning]] = {
    code: meaning for meaning, codes in _ENTRA_BY_MEANING.items() for code in codes
}
"""Codes of Entra ID: the number behind AADSTS."""

ENTRA_ERRORS: Final[Mapping[str, Meaning]] = {
    "interaction_required": Meaning.POLICY,
    "invalid_client": Meaning.LOGIN,
    "invalid_grant": Meaning.LOGIN,
    "invalid_request": Meaning.LOGIN,
    "invalid_resource": Meaning.RESOURCE,
    "invalid_scope": Meaning.RESOURCE,
    "invalid_tenant": Meaning.TENANT,
    "login_required": Meaning.LOGIN,
    "server_error": Meaning.SERVER_SIDE,
    "temporarily_unavailable": Meaning.SERVER_SIDE,
    "unauthorized_client": Meaning.APPLICATION,
    "unsupported_grant_type": Meaning.LOGIN,
}
"""The errors of OAuth, for codes that are not in the table; of other token services than Entra ID, too."""

_SDK_BY_MEANING: Final[Mapping[Meaning, tuple[str, ...]]] = {
    Meaning.TOKEN: ("ClientAuthenticationError",),
    Meaning.NO_IDENTITY: (
        "ArcPlatformNotSupportedError",
        "AuthenticationRequiredError",
        "CredentialUnavailableError",
        "ManagedIdentityError",
    ),
    Meaning.WRITE: ("ResourceExistsError", "ResourceModifiedError", "ResourceNotModifiedError"),
    Meaning.TIMED_OUT: ("ServiceRequestTimeoutError", "ServiceResponseTimeoutError"),
    Meaning.UNREACHABLE: ("ServiceRequestError", "ServiceResponseError"),
    Meaning.UNREADABLE: (
        "BadResponse",
        "BadStatus",
        "DecodeError",
        "DeserializationError",
        "IdTokenAudienceError",
        "IdTokenError",
        "IdTokenIssuerError",
        "IdTokenNonceError",
        "IncompleteReadError",
        "ODataV4Error",
        "OperationFailed",
        "ResourceNotFoundError",  # without an answer there is no proof that anything is absent
        "ResponseNotReadError",
        "StreamClosedError",
        "StreamConsumedError",
        "TooManyRedirectsError",
        "_IdTokenTimeError",
        "_ResponseStopIteration",
    ),
    Meaning.CALL: ("BrowserInteractionTimeoutError", "SerializationError"),
    Meaning.UNKNOWN: ("AzureError", "HttpResponseError", "MsalError", "MsalServiceError"),
}

SDK_ERRORS: Final[Mapping[str, Meaning]] = {
    name: meaning for meaning, names in _SDK_BY_MEANING.items() for name in names
}
"""Exceptions of the SDK's packages, for those that bring no answer of Azure along."""
