"""AWS identities lent to who logs in elsewhere with them: Vault's iam method takes a signed request to STS as proof.

The keys stay here: what is given away is a request that STS answers for a quarter of an hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from keyferry.api.providers.aws import AWSAuth
from keyferry.clock import Clock
from keyferry.ports import ClusterAccess, ObjectKey
from keyferry.providers.aws.credentials import CredentialSession
from keyferry.providers.aws.identity import AwsIdentity, find_source
from keyferry.providers.aws.sdk import STS, AwsSdk, Signer
from keyferry.secretdata import SecretData

BODY: Final = b"Action=GetCallerIdentity&Version=2011-06-15"
SERVER_ID: Final = "X-Vault-AWS-IAM-Server-ID"
_GLOBAL: Final = "us-east-1"
"""The region of the endpoint that names none."""


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """A signed request to STS that asks who has signed it."""

    url: str
    body: bytes
    headers: SecretData = field(repr=False)


class LentIdentity:
    """An identity, and its credentials while somebody uses it.

    Args:
        identity: who.
        credentials: of it.
    """

    def __init__(self, identity: AwsIdentity, credentials: CredentialSession) -> None:
        self._identity = identity
        self._credentials = credentials

    @property
    def fingerprint(self) -> str:
        """Hash over all that decides who it is."""
        return self._identity.fingerprint()

    async def caller_identity(self, server_id: str) -> CallerIdentity:
        """A signed request to STS.

        Args:
            server_id: signed too, so that the request is good for one receiver alone; empty for none.

        Raises:
            KeyferryError: there are no credentials to sign with.
        """
        return _signed(await self._credentials.signer(), self._identity.region, server_id)

    async def close(self) -> None:
        """End a renewal under way."""
        await self._credentials.close()


class Lender:
    """Lends them.

    Args:
        sdk: for STS.
        clock: for when credentials end.
    """

    def __init__(self, sdk: AwsSdk, clock: Clock) -> None:
        self._sdk = sdk
        self._clock = clock

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
    ) -> LentIdentity:
        """The identity that a manifest names, with its auth material read.

        Args:
            auth: checked already; without secretRef and jwt the operator's own identity.
            owner: the object that holds it.
            namespace: of the ExternalSecret.
            roles: ARNs of roles to assume, one after the other.

        Raises:
            KeyferryError: material is missing or refused.
        """
        source = await find_source(auth, owner, namespace, cluster)
        identity = AwsIdentity(region, "", source, roles, external_id if roles else "", service=STS)
        return LentIdentity(identity, CredentialSession(identity, self._sdk, cluster, self._clock))


def _signed(signer: Signer, region: str, server_id: str) -> CallerIdentity:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = f"https://sts.{suffix}/" if region == _GLOBAL else f"https://sts.{region}.{suffix}/"
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    if server_id:
        headers[SERVER_ID] = server_id
    request: Any = AWSRequest("POST", url, headers=headers, data=BODY)
    SigV4Auth(signer(), STS, region).add_auth(request)
    prepared = request.prepare()
    return CallerIdentity(url, BODY, SecretData({str(k): _text(v) for k, v in prepared.headers.items()}))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
