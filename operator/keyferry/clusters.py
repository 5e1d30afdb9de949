"""The ports to API servers as somebody else than the operator: for stores whose remote secrets are Secrets.

`keyferry.kube` fulfils them; the kubernetes provider speaks to them; `cli.run` brings both together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from keyferry.ports import Follower
from keyferry.secretdata import SecretBytes


class Bearer(Protocol):
    """Whose token is shown to an API server."""

    async def token(self) -> SecretBytes:
        """The token to show now.

        Raises:
            KeyferryError: there is none to be had.
        """
        ...

    def refused(self) -> None:
        """The API server did not take it: another one next time, where there can be another one."""
        ...


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: SecretBytes


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """An API server, and who asks it: a bearer or a certificate.

    Args:
        server: its base URL with https, checked as it is written; empty for this cluster's own, which is asked
            at the operator's own address, whatever a manifest calls it.
        field: where the address is from, for errors.
        ca_pem: whom to believe; empty for the system's authorities, or at this cluster for the operator's own.
        share: among whom what is scarce is shared out: the namespace of the store; empty for ClusterSecretStores.
    """

    server: str
    field: str
    ca_pem: bytes = b""
    bearer: Bearer | None = None
    certificate: ClientCertificate | None = None
    share: str = ""


@dataclass(frozen=True, slots=True)
class RemoteSecret:
    """A Secret of some cluster.

    Args:
        data: as the API server sent it: a JSON object of values in base64.
        labels, annotations: None where it has none.
    """

    name: str
    version: str
    data: SecretBytes
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


class RemoteCluster(Protocol):
    """A connection to an API server as somebody. It neither retries nor sleeps but for its watch.

    Every method raises `KubeError`, whose text is never the server's, `ForbiddenError` where the server's name
    leads to an address that may not be connected to, and what `Bearer.token` raises.
    """

    async def get_secret(self, namespace: str, name: str) -> RemoteSecret:
        """A Secret as it is now. `KubeNotFound` only where the API server itself says so."""
        ...

    def list_secrets(self, namespace: str, labels: Mapping[str, str]) -> AsyncIterator[RemoteSecret]:
        """All Secrets that carry these labels, page by page."""
        ...

    async def may_get_secrets(self, namespace: str) -> bool | None:
        """Whether RBAC lets some Secret be read there; None where the API server does not tell."""
        ...

    async def watch_secrets(self, namespace: str, follower: Follower) -> None:
        """Tell of changes of Secrets, by their metadata alone, until cancelled; see `WatchingClient.watch`.

        Raises:
            KubeLimit: there are too many of them, or too many watches.
        """
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Clusters(Protocol):
    """The way to API servers, for stores whose remote secrets are Secrets."""

    def is_own(self, url: str) -> bool:
        """Whether an address, as a manifest has it, is this cluster's: by the operator's own configuration alone."""
        ...

    async def connect(self, target: ClusterTarget) -> RemoteCluster:
        """A connection; nobody is asked before it is used.

        Raises:
            KubeError: CA or client certificate cannot be used.
            ForbiddenError: the server may not be connected to.
        """
        ...

    async def close(self) -> None:
        """End all connections."""
        ...
