"""From an API server's refusals to ours: one table, in the words of somebody who wants to read a Secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeInvalid,
    KubeLimit,
    KubeMalformed,
    KubeNotFound,
    KubeTimedOut,
    KubeUnavailable,
    KubeUnresolved,
    KubeUntrusted,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    TimedOut,
    Unavailable,
)

_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom, for texts.

    Args:
        server: as people know it: "this cluster's API server".
        field: where the manifest has its address.
        namespace: that is asked.
        verbs: the rights that it takes.
        key: the Secret; empty for more than one.
        renewable: whether other credentials can be had than those that were shown.
    """

    server: str
    field: str
    namespace: str
    verbs: tuple[str, ...]
    key: str = ""
    renewable: bool = False

    @property
    def what(self) -> str:
        """What was asked for."""
        if self.key:
            return f'remote secret "{self.key[:253]}" in namespace "{self.namespace}"'
        return f'the Secrets of namespace "{self.namespace}"'

    @property
    def doing(self) -> str:
        """What was to be done: "list and watch the Secrets of …"."""
        return f"{' and '.join(self.verbs)} {self.what}"

    def denied(self) -> AccessDenied:
        """The failure where the identity may not."""
        verbs = " and ".join(f'"{verb}"' for verb in self.verbs)
        named = f"verb{'s' if len(self.verbs) > 1 else ''} {verbs}"
        return AccessDenied(
            f"{self.server} does not let this identity {self.doing}",
            hint=f'Grant it the {named} on secrets in namespace "{self.namespace}", by a Role and a RoleBinding',
        )


def translated(error: KubeError, asked: Asked) -> ProviderError:
    """The same failure as the planner knows failures; nothing of the server's text is in it."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind](error, asked)
    raise AssertionError("unreachable: KubeError is in the table")


def _denied(error: KubeError, asked: Asked) -> ProviderError:  # noqa: ARG001 - as all rows
    return asked.denied()


def _absent(error: KubeError, asked: Asked) -> ProviderError:  # noqa: ARG001 - as all rows
    return RemoteSecretNotFound(
        f"{asked.what} does not exist", hint=f"Create it, or check key, remoteNamespace and {asked.field}"
    )


def _busy(error: KubeError, asked: Asked) -> ProviderError:
    if error.status == _TOO_MANY:
        return RateLimited(
            f"{asked.server} asks for fewer calls (status {error.status})",
            hint="Nothing to do now; for good, raise refreshInterval",
            retry=error.retry,
        )
    if error.status:
        return Unavailable(
            f"{asked.server} failed at its own side (status {error.status})",
            hint="Nothing to do here but to look at that cluster's control plane",
        )
    return Unavailable(f"{asked.server} cannot be reached, or ended the connection", hint=_NETWORK)


def _late(error: KubeError, asked: Asked) -> ProviderError:  # noqa: ARG001 - as all rows
    return TimedOut(f"{asked.server} did not answer in time", hint=_NETWORK)


def _untrusted(error: KubeError, asked: Asked) -> ProviderError:  # noqa: ARG001 - as all rows
    return Unavailable(
        f"the certificate of {asked.server} is not trusted",
        hint="Give its CA in server.caBundle or server.caProvider, or in the kubeconfig",
    )


def _unresolved(error: KubeError, asked: Asked) -> ProviderError:  # noqa: ARG001 - as all rows
    return Unavailable(f"the name of {asked.server} cannot be resolved", hint=f"Check {asked.field}")


def _unreadable(error: KubeError, asked: Asked) -> ProviderError:  # noqa: ARG001 - as all rows
    return Malformed(
        f"{asked.server} was to {asked.doing}, and gave an answer that no API server gives",
        hint=f"Check {asked.field}: something else may answer there",
    )


def _outdated(error: KubeError, asked: Asked) -> ProviderError:  # noqa: ARG001 - as all rows
    return Unavailable(
        f"{asked.server} has changed while {asked.what} were listed", hint="Nothing to do: it is tried again"
    )


def _bounded(error: KubeError, asked: Asked) -> ProviderError:
    return ProviderError(
        f"{asked.what} at {asked.server} are not watched: {error.message}",
        hint="Nothing to do: what reads them is refreshed",
    )


def _other(error: KubeError, asked: Asked) -> ProviderError:
    if error.status == _UNAUTHORIZED:
        kind = CredentialsExpired if asked.renewable else AuthFailed
        return kind(
            f"{asked.server} does not accept the credentials (status {error.status})",
            hint="Check that they belong to that cluster and have not ended",
        )
    if error.status in _REDIRECTS:
        return ProviderError(
            f"{asked.server} answers with a redirect (status {error.status}), which is not followed",
            hint=f"Set {asked.field} to the address that it leads to",
        )
    return ProviderError(
        f"{asked.server} refuses to {asked.doing} (status {error.status})",
        hint="Look at that API server's own log",
    )


_NETWORK: Final = "Check the address, network policies and firewalls between the operator and it"
_Row = Callable[[KubeError, Asked], ProviderError]
TABLE: Final[Mapping[type, _Row]] = {
    KubeForbidden: _denied,
    KubeNotFound: _absent,
    KubeTimedOut: _late,
    KubeUntrusted: _untrusted,
    KubeUnresolved: _unresolved,
    KubeUnavailable: _busy,
    KubeMalformed: _unreadable,
    KubeGone: _outdated,
    KubeLimit: _bounded,
    KubeConflict: _other,
    KubeInvalid: _other,
    KubeError: _other,
}
"""Every failure that the port to other clusters can raise."""
