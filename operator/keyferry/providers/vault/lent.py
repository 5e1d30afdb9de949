"""What this provider gets from others without knowing them: an AWS identity, to log in with."""

from __future__ import annotations

from typing import Protocol

from keyferry.api.providers.aws import AWSAuth
from keyferry.ports import ClusterAccess, ObjectKey
from keyferry.secretdata import SecretData


class SignedRequest(Protocol):
    """A request that proves who signed it."""

    @property
    def url(self) -> str:
        """Where it goes."""
        ...

    @property
    def body(self) -> bytes:
        """What it asks."""
        ...

    @property
    def headers(self) -> SecretData:
        """Its headers, with the signature."""
        ...


class AwsLogin(Protocol):
    """An AWS identity, whose credentials are exchanged and renewed by whoever lends it."""

    @property
    def fingerprint(self) -> str:
        """Hash over all that decides who it is."""
        ...

    async def caller_identity(self, server_id: str) -> SignedRequest:
        """A signed request to STS that asks who this is; whoever gets it may send it for a quarter of an hour.

        Args:
            server_id: signed too, so that the request is good for one Vault alone; empty for none.

        Raises:
            KeyferryError: there are no credentials to sign with.
        """
        ...

    async def close(self) -> None:
        """End what goes on for it."""
        ...


class AwsLogins(Protocol):
    """Who lends AWS identities."""

    async def find(  # noqa: PLR0913 - all that the manifest says
        self,
        auth: AWSAuth,
        owner: ObjectKey,
        namespace: str,
        cluster: ClusterAccess,
        *,
        region: str,
        roles: tuple[str, ...],
        external_id: str,
    ) -> AwsLogin:
        """The identity that a manifest names, with its auth material read.

        Args:
            auth: without secretRef and jwt, the operator's own identity.
            owner: the store or generator.
            namespace: of the ExternalSecret.
            roles: ARNs of roles to assume, one after the other.

        Raises:
            KeyferryError: material is missing or refused.
        """
        ...
