"""What each failure means: exceptions of the SDK and of what it is built on, and fixed phrases of Vault's.

Sources: the classes of hvac.exceptions, requests.exceptions and urllib3.exceptions (a test compares), and
"HTTP status codes" in Vault's API documentation. Phrases are searched for, never repeated.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Meaning(enum.Enum):
    """What a failure means for whoever asked."""

    DENIED = "denied"
    """The token is good, and its policies do not allow this. Or the token is bad: a phrase tells."""
    NOT_FOUND = "not-found"
    REQUEST = "request"
    """Vault finds the request wrong."""
    THROTTLED = "throttled"
    SEALED = "sealed"
    """Sealed, not initialised, or no node is active."""
    SERVER_SIDE = "server-side"
    CONFLICT = "conflict"
    """A standby has not seen yet what was asked for."""
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    NAME = "name"
    """The server's name cannot be resolved."""
    TLS = "tls"
    PROXY = "proxy"
    UNREADABLE = "unreadable"
    CALL = "call"
    """The SDK refuses the call: address, headers, or a bug."""
    UNKNOWN = "unknown"


HVAC: Final[Mapping[str, Meaning]] = {
    "VaultError": Meaning.UNKNOWN,
    "InvalidRequest": Meaning.REQUEST,
    "Unauthorized": Meaning.DENIED,
    "Forbidden": Meaning.DENIED,
    "InvalidPath": Meaning.NOT_FOUND,
    "UnsupportedOperation": Meaning.REQUEST,
    "PreconditionFailed": Meaning.CONFLICT,
    "RateLimitExceeded": Meaning.THROTTLED,
    "InternalServerError": Meaning.SERVER_SIDE,
    "VaultNotInitialized": Meaning.SEALED,
    "VaultDown": Meaning.SEALED,
    "UnexpectedError": Meaning.UNKNOWN,
    "BadGateway": Meaning.SERVER_SIDE,
    "ParamValidationError": Meaning.CALL,
}
"""hvac.exceptions by name."""

STATUSES: Final[Mapping[int, Meaning]] = {
    405: Meaning.REQUEST,
    412: Meaning.CONFLICT,
    472: Meaning.SEALED,
    473: Meaning.SEALED,
}
"""What hvac has no exception for."""

REQUESTS: Final[Mapping[str, Meaning]] = {
    "RequestException": Meaning.UNKNOWN,
    "InvalidJSONError": Meaning.UNREADABLE,
    "JSONDecodeError": Meaning.UNREADABLE,
    "HTTPError": Meaning.UNKNOWN,
    "ConnectionError": Meaning.UNREACHABLE,
    "ProxyError": Meaning.PROXY,
    "SSLError": Meaning.TLS,
    "Timeout": Meaning.TIMED_OUT,
    "ConnectTimeout": Meaning.TIMED_OUT,
    "ReadTimeout": Meaning.TIMED_OUT,
    "URLRequired": Meaning.CALL,
    "TooManyRedirects": Meaning.UNREADABLE,
    "MissingSchema": Meaning.CALL,
    "InvalidSchema": Meaning.CALL,
    "InvalidURL": Meaning.CALL,
    "InvalidHeader": Meaning.CALL,
    "InvalidProxyURL": Meaning.PROXY,
    "ChunkedEncodingError": Meaning.UNREADABLE,
    "ContentDecodingError": Meaning.UNREADABLE,
    "StreamConsumedError": Meaning.UNREADABLE,
    "RetryError": Meaning.UNREACHABLE,
    "UnrewindableBodyError": Meaning.CALL,
}
"""requests.exceptions by name."""

URLLIB3: Final[Mapping[str, Meaning]] = {
    "HTTPError": Meaning.UNKNOWN,
    "PoolError": Meaning.UNREACHABLE,
    "RequestError": Meaning.UNREACHABLE,
    "SSLError": Meaning.TLS,
    "ProxyError": Meaning.PROXY,
    "DecodeError": Meaning.UNREADABLE,
    "ProtocolError": Meaning.UNREACHABLE,
    "MaxRetryError": Meaning.UNREACHABLE,
    "HostChangedError": Meaning.CALL,
    "TimeoutStateError": Meaning.CALL,
    "TimeoutError": Meaning.TIMED_OUT,
    "ReadTimeoutError": Meaning.TIMED_OUT,
    "ConnectTimeoutError": Meaning.TIMED_OUT,
    "NewConnectionError": Meaning.UNREACHABLE,
    "NameResolutionError": Meaning.NAME,
    "EmptyPoolError": Meaning.UNREACHABLE,
    "FullPoolError": Meaning.UNREACHABLE,
    "ClosedPoolError": Meaning.UNREACHABLE,
    "LocationValueError": Meaning.CALL,
    "LocationParseError": Meaning.CALL,
    "URLSchemeUnknown": Meaning.CALL,
    "ResponseError": Meaning.UNREADABLE,
    "ResponseNotChunked": Meaning.UNREADABLE,
    "BodyNotHttplibCompatible": Meaning.UNREADABLE,
    "IncompleteRead": Meaning.UNREADABLE,
    "InvalidChunkLength": Meaning.UNREADABLE,
    "InvalidHeader": Meaning.UNREADABLE,
    "ProxySchemeUnknown": Meaning.PROXY,
    "ProxySchemeUnsupported": Meaning.PROXY,
    "HeaderParsingError": Meaning.UNREADABLE,
    "UnrewindableBodyError": Meaning.CALL,
}
"""urllib3.exceptions by name."""

BAD_TOKEN: Final = ("invalid token", "bad token", "token not found", "missing client token")
"""Phrases of a refusal that is about the token, and not about its policies."""
SEALED: Final = "is sealed"
NOT_INITIALISED: Final = "not yet initialized"
STANDBY: Final = ("standby", "active cluster node not found", "local node not active")
NO_MOUNT: Final = "no handler for route"
NO_NAMESPACE: Final = ("namespace not found", "namespace does not exist", "invalid namespace")
NO_FORWARDING: Final = "disabled in configuration"
QUOTA: Final = "lease count quota exceeded"
VERSIONED: Final = "Invalid path for a versioned K/V secrets engine"
"""A warning that the KV engine gives where version 2 is asked like version 1."""
