"""The table: what each code of AWS and each exception of its SDK means to us. Words are in `errors.py`.

Every exception class of the SDK and every error of the service models of Secrets Manager, Systems Manager
and STS stands here by name; a test compares the lists with the SDK's own, so that a new one is decided about
and not overlooked. What is not here counts as `Meaning.UNKNOWN`: unavailable, tried again.

Sources: the API references of Secrets Manager, Systems Manager and STS, "Common Errors", botocore's service
models.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from keyferry.providers.aws.codes_elsewhere import ELSEWHERE


class Meaning(enum.Enum):
    """What a failure means to the reader of a manifest."""

    THROTTLED = enum.auto()
    """Too many calls."""
    EXPIRED = enum.auto()
    """The credentials were good and are no longer."""
    REFUSED = enum.auto()
    """The credentials are not good."""
    CLOCK = enum.auto()
    """The time of the signature is too far from AWS's."""
    DENIED = enum.auto()
    """Policies do not allow it."""
    KMS = enum.auto()
    """The key that encrypts the secret may not be used, or not at the moment."""
    NOT_FOUND = enum.auto()
    """No such secret, or no such version of it."""
    NO_VERSION = enum.auto()
    """The secret is there, and not in this version."""
    REQUEST = enum.auto()
    """Not possible in the secret's state: marked for deletion, or something else that the message tells."""
    INVALID = enum.auto()
    """The request is wrong: key, version, role, session tags."""
    TAGS = enum.auto()
    """The session tags are too large together, or malformed."""
    TOKEN = enum.auto()
    """The ServiceAccount's token is not accepted."""
    ISSUER = enum.auto()
    """AWS cannot reach the cluster's OIDC issuer."""
    REGION = enum.auto()
    """The region is not switched on in the account, or has no such endpoint."""
    SERVER_SIDE = enum.auto()
    """AWS's own failure."""
    WRITE = enum.auto()
    """Refusals of writing operations."""
    ELSEWHERE = enum.auto()
    """Failures of operations that are never asked for."""
    TIMED_OUT = enum.auto()
    """No answer in time."""
    UNREACHABLE = enum.auto()
    """No connection, or one that broke off."""
    TLS = enum.auto()
    """The endpoint's certificate is not trusted."""
    PROXY = enum.auto()
    """The proxy does not let us through."""
    UNREADABLE = enum.auto()
    """The answer is not what the API promises."""
    NO_CREDENTIALS = enum.auto()
    """The SDK's default chain finds none, or they cannot be had."""
    SETTINGS = enum.auto()
    """The SDK's settings in the operator's surroundings contradict themselves."""
    CALL = enum.auto()
    """The SDK refuses to make the call as it is."""
    UNKNOWN = enum.auto()
    """Not in the tables."""


_BY_MEANING: Final[Mapping[Meaning, tuple[str, ...]]] = {
    Meaning.THROTTLED: (
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    ),
    Meaning.EXPIRED: (
        "ExpiredToken",
        "ExpiredTokenException",
        "ExpiredTradeInTokenException",
        "TokenRefreshRequired",
    ),
    Meaning.REFUSED: (
        "AuthFailure",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    ),
    Meaning.CLOCK: ("RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"),
    Meaning.DENIED: (
        "AccessDenied",
        "AccessDeniedException",
        "NotAuthorized",
        "OutboundWebIdentityFederationDisabledException",
        "SessionDurationEscalationException",
        "UnauthorizedOperation",
    ),
    Meaning.KMS: ("DecryptionFailure", "DecryptionFailureException", "InvalidKeyId"),
    Meaning.NOT_FOUND: ("InvalidResourceId", "ParameterNotFound", "ResourceNotFoundException"),
    Meaning.NO_VERSION: ("ParameterVersionNotFound",),
    Meaning.REQUEST: ("InvalidRequestException",),
    Meaning.INVALID: (
        "InvalidAction",
        "InvalidAuthorizationMessageException",
        "InvalidFilterKey",
        "InvalidFilterOption",
        "InvalidFilterValue",
        "InvalidNextToken",
        "InvalidNextTokenException",
        "InvalidParameterCombination",
        "InvalidParameterException",
        "InvalidParameterValue",
        "InvalidQueryParameter",
        "InvalidResourceType",
        "JWTPayloadSizeExceededException",
        "MalformedHttpRequestException",
        "MalformedQueryString",
        "MissingAction",
        "MissingParameter",
        "RequestEntityTooLargeException",
        "SerializationException",
        "UnknownOperationException",
        "ValidationError",
        "ValidationException",
    ),
    Meaning.TAGS: (
        "MalformedPolicyDocument",
        "MalformedPolicyDocumentException",
        "PackedPolicyTooLarge",
        "PackedPolicyTooLargeException",
    ),
    Meaning.TOKEN: (
        "IDPRejectedClaim",
        "IDPRejectedClaimException",
        "InvalidIdentityToken",
        "InvalidIdentityTokenException",
    ),
    Meaning.ISSUER: ("IDPCommunicationError", "IDPCommunicationErrorException"),
    Meaning.REGION: ("OptInRequired", "RegionDisabledException"),
    Meaning.SERVER_SIDE: (
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "InternalServiceErrorException",
        "RequestAbortedException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    ),
    Meaning.WRITE: (
        "EncryptionFailure",
        "HierarchyLevelLimitExceededException",
        "HierarchyTypeMismatchException",
        "IncompatiblePolicyException",
        "InvalidAllowedPatternException",
        "InvalidPolicyAttributeException",
        "InvalidPolicyTypeException",
        "ParameterAlreadyExists",
        "ParameterLimitExceeded",
        "ParameterMaxVersionLimitExceeded",
        "ParameterPatternMismatchException",
        "ParameterVersionLabelLimitExceeded",
        "PoliciesLimitExceededException",
        "PreconditionNotMetException",
        "PublicPolicyException",
        "ResourceExistsException",
        "TooManyTagsError",
        "TooManyUpdates",
        "UnsupportedParameterType",
    ),
    Meaning.ELSEWHERE: ELSEWHERE,
}
CODES: Final[Mapping[str, Meaning]] = {
    code: meaning for meaning, codes in _BY_MEANING.items() for code in codes
}
"""AWS's codes, in the spelling of both protocols."""

_SDK_BY_MEANING: Final[Mapping[Meaning, tuple[str, ...]]] = {
    Meaning.TIMED_OUT: ("ConnectTimeoutError", "ReadTimeoutError"),
    Meaning.UNREACHABLE: (
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ResponseStreamingError",
    ),
    Meaning.TLS: ("SSLError",),
    Meaning.PROXY: ("ProxyConnectionError", "InvalidProxiesConfigError"),
    Meaning.UNREADABLE: (
        "AwsChunkedWrapperError",
        "ChecksumError",
        "EventStreamError",
        "FlexibleChecksumError",
        "NoInitialResponseError",
        "ResponseParserError",
    ),
    Meaning.NO_CREDENTIALS: (
        "CredentialRetrievalError",
        "InvalidIMDSEndpointError",
        "InvalidIMDSEndpointModeError",
        "LoginAuthorizationCodeError",
        "LoginError",
        "LoginInsufficientPermissions",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "MetadataRetrievalError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "UnknownCredentialError",
        "UnknownTokenProviderError",
    ),
    Meaning.REGION: (
        "BaseEndpointResolverError",
        "EndpointProviderError",
        "EndpointResolutionError",
        "EndpointVariantError",
        "InvalidRegionError",
        "NoRegionError",
        "ServiceNotInRegionError",
        "UnknownEndpointError",
        "UnknownFIPSEndpointError",
        "UnknownRegionError",
    ),
    Meaning.SETTINGS: (
        "ConfigNotFound",
        "ConfigParseError",
        "InfiniteLoopConfigError",
        "InvalidChecksumConfigError",
        "InvalidConfigError",
        "InvalidDefaultsMode",
        "InvalidEndpointConfigurationError",
        "InvalidEndpointDiscoveryConfigurationError",
        "InvalidMaxRetryAttemptsError",
        "InvalidRetryConfigurationError",
        "InvalidRetryModeError",
        "InvalidS3AddressingStyleError",
        "InvalidS3UsEast1RegionalEndpointConfigError",
        "InvalidSTSRegionalEndpointsConfigError",
        "MD5UnavailableError",
        "MissingDependencyException",
        "UnknownEndpointResolutionBuiltInName",
        "UnknownSignatureVersionError",
        "UnsupportedServiceProtocolsError",
        "UnsupportedSignatureVersionError",
    ),
    Meaning.CALL: (
        "AliasConflictParameterError",
        "ApiVersionNotFoundError",
        "CapacityNotAvailableError",
        "DataNotFoundError",
        "InvalidDNSNameError",
        "InvalidExpressionError",
        "InvalidHostLabelError",
        "MissingParametersError",
        "OperationNotPageableError",
        "PaginationError",
        "ParamValidationError",
        "RangeError",
        "StubAssertionError",
        "StubResponseError",
        "UnStubbedResponseError",
        "UnknownClientMethodError",
        "UnknownKeyError",
        "UnknownParameterError",
        "UnknownServiceError",
        "UnknownServiceStyle",
        "UnseekableStreamError",
        "UnsupportedOutpostResourceError",
        "UnsupportedS3AccesspointConfigurationError",
        "UnsupportedS3ArnError",
        "UnsupportedS3ConfigurationError",
        "UnsupportedS3ControlArnError",
        "UnsupportedS3ControlConfigurationError",
        "ValidationError",
        "WaiterConfigError",
        "WaiterError",
    ),
    Meaning.UNKNOWN: ("BotoCoreError",),
}
SDK_ERRORS: Final[Mapping[str, Meaning]] = {
    name: meaning for meaning, names in _SDK_BY_MEANING.items() for name in names
}
"""The SDK's exception classes by name; a class that is not here has the meaning of its nearest ancestor."""
