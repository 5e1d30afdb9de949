"""What Vault and its SDK say, in our words: texts that tell what happened, why, and what to do.

Vault's own texts are looked at for the fixed phrases in `codes.py`, and never repeated.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from keyferry.providers.vault import codes
from keyferry.providers.vault.call import MAX_BODY_BYTES, Call, TooMuch
from keyferry.providers.vault.codes import HVAC, REQUESTS, STATUSES, URLLIB3, Meaning

_LONGEST_WAIT_S: Final = 3600.0
"""A Retry-After beyond that is not believed."""
_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_TABLES: Final = {"hvac": HVAC, "requests": REQUESTS, "urllib3": URLLIB3}
_NETWORK: Final = "Check the address, network policies and firewalls between the operator and it"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, for the text.

    Args:
        product: how errors name the server: Vault or OpenBao.
        host: where it is.
        field: where the manifest has its address.
        path: the path in Vault's API, as policies name it.
        capability: what a policy has to allow there.
        namespace: Vault's; empty for the root.
        what: is wanted, as it stands in a sentence; the path if empty.
        call: its name in metrics.
    """

    product: str
    host: str
    field: str
    path: str
    capability: str = "read"
    namespace: str = ""
    what: str = ""
    call: str = "ReadSecretData"

    @property
    def wanted(self) -> str:
        """What is wanted."""
        return self.what or f'"{self.path}"'

    @property
    def service(self) -> str:
        """The server, and where it is."""
        return f"{self.product} at {self.host}"

    @property
    def within(self) -> str:
        """The namespace, as the end of a sentence."""
        return f' in namespace "{self.namespace}"' if self.namespace else ""

    @property
    def policy(self) -> str:
        """The policy that allows it, in Vault's own language."""
        return f'path "{self.path}" {{ capabilities = ["{self.capability}"] }}{self.within}'


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is known of a refusal: its status, and what to look for phrases in.

    Args:
        status: of HTTP; 0 where there was no answer.
        text: all that Vault said of it; not to be repeated.
        data: of the answer.
        warned: whether there is a warning about version 2 of the KV engine.
        is_vaults: whether it has the form that Vault gives to refusals; else somebody on the way has answered.
    """

    status: int
    text: str
    data: Mapping[str, Any]
    warned: bool = False
    is_vaults: bool = True

    def says(self, *phrases: str) -> bool:
        """Whether one of the phrases is in it."""
        return any(phrase in self.text for phrase in phrases)


class Denied(AccessDenied):
    """The token's policies do not allow it."""


class BadToken(CredentialsExpired):
    """Vault does not know the token, or does not know it any more."""


class BadRequest(ProviderError):
    """Vault finds the request wrong; of a lease, that there is none (any more)."""


class NotSetUp(ProviderError):
    """Vault has not what the store asks for: a namespace, or a setting."""


class NoMount(ProviderError):
    """Nothing is mounted at the path."""


class NothingThere(RemoteSecretNotFound):
    """Vault has nothing at the path.

    Args:
        refusal: what the answer held.
    """

    refusal: Refusal


def refusal_of(error: BaseException, call: Call) -> Refusal:
    """What one of hvac's exceptions tells."""
    held = getattr(error, "json", None)
    document = held if isinstance(held, Mapping) else {}
    data = document.get("data")
    warned = any(codes.VERSIONED in text for text in _texts(document.get("warnings")))
    return Refusal(
        call.status,
        "\n".join(_texts(document.get("errors"))),
        data if isinstance(data, Mapping) else {},
        warned,
        is_vaults=isinstance(document.get("errors"), list) or "request_id" in document,
    )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, Sequence) else []


def translated(error: BaseException, asked: Asked, call: Call) -> KeyferryError:
    """Our error for one of the SDK's, or of Vault's through it.

    Raises:
        BaseException: it is neither: a bug, or a cancellation, which is not ours to tell.
    """
    if isinstance(error, KeyferryError):
        # Anew: its traceback holds the request, and with it the token.
        return type(error)(error.message, hint=error.hint, retry=error.retry)
    if isinstance(error, TooMuch):
        return Malformed(
            f"{asked.service} gave an answer of more than {MAX_BODY_BYTES >> 20} MiB",
            hint=f"Check {asked.field}: something else than {asked.product} may answer there",
        )
    meaning = meaning_of(error)
    if meaning is None:
        raise error
    if call.ended and meaning is not Meaning.NOT_FOUND:
        meaning = Meaning.TIMED_OUT
    name = type(error).__name__
    if name in HVAC and type(error).__module__.startswith("hvac."):
        return told_of_refusal(STATUSES.get(call.status, meaning), refusal_of(error, call), asked, call)
    return told_of_way(meaning, name, asked)


def meaning_of(error: BaseException) -> Meaning | None:
    """What an exception means; None for one that is neither the SDK's nor the network's."""
    inner = list(_inside(error))
    for one in inner:
        if isinstance(one, socket.gaierror):
            return Meaning.NAME
        if isinstance(one, ssl.SSLError):
            return Meaning.TLS
    named = [found for one in inner if (found := _named(one)) is not None]
    for telling in (Meaning.NAME, Meaning.PROXY, Meaning.TLS, Meaning.TIMED_OUT):
        if telling in named:
            return telling
    if named:
        return named[0]
    if isinstance(error, TimeoutError):
        return Meaning.TIMED_OUT
    if isinstance(error, UnicodeError):
        return Meaning.CALL
    return Meaning.UNREACHABLE if isinstance(error, OSError) else None


def _inside(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it holds: the SDK wraps what happened several times."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.append(one)
        yield one
        held = [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
        waiting += [inner for inner in held if isinstance(inner, BaseException)]


def _named(error: BaseException) -> Meaning | None:
    for cls in type(error).__mro__:
        table = _TABLES.get(cls.__module__.partition(".")[0])
        if table is not None and cls.__name__ in table:
            return table[cls.__name__]
    return None


def told_of_refusal(meaning: Meaning, refusal: Refusal, asked: Asked, call: Call) -> ProviderError:
    """The text for what Vault answered, or somebody else in its place."""
    if not refusal.is_vaults and meaning in _BY_VAULT_ALONE:
        return _not_vaults(refusal, asked)
    match meaning:
        case Meaning.DENIED if refusal.says(*codes.BAD_TOKEN):
            return BadToken(f"{asked.service} does not know the token any more", hint=_LOST)
        case Meaning.DENIED:
            return Denied(
                f"{asked.service} does not let the store's identity {asked.capability} {asked.wanted}",
                hint=f"Grant it with a policy: {asked.policy}",
            )
        case Meaning.NOT_FOUND:
            return _not_found(refusal, asked)
        case Meaning.THROTTLED:
            return _throttled(refusal, asked, call.answer_headers)
        case Meaning.REQUEST if refusal.says(*codes.NO_NAMESPACE):
            return _no_namespace(asked)
        case Meaning.REQUEST if refusal.says(codes.NO_FORWARDING):
            return NotSetUp(
                f"{asked.service} does not forward on request",
                hint="Set allow_forwarding_via_header in its configuration, or forwardInconsistent: false",
            )
        case Meaning.REQUEST:
            return BadRequest(
                f"{asked.service} finds the request for {asked.wanted} wrong (status {refusal.status})",
                hint="Check key, version and the store's path; Vault's log has the details",
            )
        case Meaning.CONFLICT:
            return Unavailable(
                f"{asked.service} has not replicated yet what was written before",
                hint="Nothing to do; forwardInconsistent lets the active node answer",
            )
    return _told_of_server(meaning, refusal, asked)


def _told_of_server(meaning: Meaning, refusal: Refusal, asked: Asked) -> ProviderError:
    """The text for a server that cannot answer."""
    if refusal.says(codes.SEALED):
        return Unavailable(f"{asked.service} is sealed", hint="Unseal it")
    if refusal.says(codes.NOT_INITIALISED):
        return Unavailable(f"{asked.service} is not initialised", hint="Initialise and unseal it")
    if refusal.says(*codes.STANDBY):
        return Unavailable(
            f"{asked.service} is a standby, and reaches no active node",
            hint="Look at the cluster's leader, and at the network between its nodes",
        )
    if meaning is Meaning.SEALED:
        return Unavailable(
            f"{asked.service} is sealed, not initialised, or in maintenance (status {refusal.status})",
            hint="Look at its seal status",
        )
    if meaning is Meaning.UNKNOWN and refusal.status < 500:
        return ProviderError(
            f"{asked.service} refuses the request for {asked.wanted} (status {refusal.status})",
            hint=f"Check {asked.field}: something else than {asked.product} may answer there",
        )
    return Unavailable(
        f"{asked.service} failed at its own side (status {refusal.status})",
        hint="Vault's log has the details",
    )


_BY_VAULT_ALONE: Final = (Meaning.DENIED, Meaning.NOT_FOUND, Meaning.REQUEST)
"""What is believed of Vault alone: by "not found" Secrets are deleted, by "denied" leases are given up."""


def _not_vaults(refusal: Refusal, asked: Asked) -> Unavailable:
    """What stands before Vault has answered: a load balancer without a server behind it, a wrong address."""
    return Unavailable(
        f"{asked.service} is not what answers there (status {refusal.status})",
        hint=f"Check {asked.field}, and what is on the way: proxies and load balancers answer in Vault's place",
    )


_LOST: Final = (
    "Keyferry logs in anew by itself; a token in a Secret (tokenSecretRef) must be replaced in time"
)


def _no_namespace(asked: Asked) -> ProviderError:
    return NotSetUp(
        f'{asked.service} has no namespace "{asked.namespace}"',
        hint="Check namespace and auth.namespace of the store",
    )


def _not_found(refusal: Refusal, asked: Asked) -> ProviderError:
    if refusal.says(*codes.NO_NAMESPACE):
        return _no_namespace(asked)
    if refusal.says(codes.NO_MOUNT):
        return NoMount(
            f'{asked.service} has no secrets engine at "{asked.path.partition("/")[0]}"{asked.within}',
            hint="Check the store's path, and its namespace",
        )
    nothing = NothingThere(
        f"{asked.wanted} does not exist{asked.within}", hint="Check key, path and namespace"
    )
    nothing.refusal = refusal
    return nothing


def _throttled(refusal: Refusal, asked: Asked, headers: Mapping[str, str]) -> RateLimited:
    seconds = headers.get("retry-after", "")
    retry = after(min(float(seconds), _LONGEST_WAIT_S)) if _SECONDS.fullmatch(seconds) else None
    if refusal.says(codes.QUOTA):
        return RateLimited(
            f"{asked.service} keeps no more leases: a lease count quota is used up",
            hint="Raise the quota, or let fewer identities log in",
            retry=retry,
        )
    return RateLimited(
        f"{asked.service} asks for fewer calls",
        hint="Nothing to do now; for good, raise its rate limit quota or refreshInterval",
        retry=retry,
    )


def redirected(asked: Asked, status: int) -> Unavailable:
    """The server names another one, as a standby does that cannot forward."""
    return Unavailable(
        f"{asked.service} answers with a redirect (status {status}), which is not followed",
        hint=f"A standby that does not forward requests does so: set {asked.field} to the address of the active node",
    )


def unreadable(asked: Asked) -> Malformed:
    """The answer is not what the API promises."""
    return Malformed(
        f"{asked.service} gave an answer that cannot be read",
        hint=f"Check {asked.field}: something else than {asked.product} may answer there",
    )


def late(asked: Asked) -> TimedOut:
    """There was no answer in time."""
    return TimedOut(f"{asked.service} did not answer in time", hint=_NETWORK)


def told_of_way(meaning: Meaning, name: str, asked: Asked) -> ProviderError:
    """The text for failures of the way to the server.

    Args:
        name: of the exception.
    """
    match meaning:
        case Meaning.TIMED_OUT:
            return late(asked)
        case Meaning.NAME:
            return Unavailable(f"the name of {asked.service} cannot be resolved", hint=f"Check {asked.field}")
        case Meaning.TLS:
            return Unavailable(
                f"no trusted connection to {asked.service}: its certificate is not trusted, or it wants another of ours",
                hint="Set caBundle or caProvider to the server's CA, and tls where it asks for a client certificate",
            )
        case Meaning.PROXY:
            return Unavailable(
                f"{asked.service} cannot be reached through the proxy",
                hint="Check HTTPS_PROXY and NO_PROXY of the operator",
            )
        case Meaning.UNREADABLE:
            return unreadable(asked)
        case Meaning.CALL:
            return ProviderError(
                f"the call to {asked.service} cannot be made ({name})",
                hint=f"Check {asked.field} and the store's headers",
            )
    return Unavailable(f"{asked.service} cannot be reached, or ended the connection", hint=_NETWORK)


def not_logged_in(error: ProviderError, asked: Asked, method: str, hint: str) -> ProviderError:
    """The error of a login that failed: whatever Vault has against it, there is no identity.

    Args:
        method: and where it is mounted, as a sentence names it.
        hint: what is to be checked.
    """
    if isinstance(error, RateLimited | Unavailable | Malformed):
        return error
    if isinstance(error, NotSetUp):
        return AuthFailed(error.message, hint=error.hint)
    return AuthFailed(f"{asked.service} refuses the login by {method}{asked.within}", hint=hint)
