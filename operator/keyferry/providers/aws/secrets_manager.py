"""Reading from AWS Secrets Manager: single reads, batches of twenty, tags, searches.

Source of limits and shapes: AWS Secrets Manager API Reference, GetSecretValue, BatchGetSecretValue,
DescribeSecret, ListSecrets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from keyferry.core.gotext import go_object, go_string
from keyferry.errors import (
    AccessDenied,
    Malformed,
    ProviderError,
    RemoteSecretNotFound,
)
from keyferry.ports import Find, Found, Read, RemoteValue
from keyferry.providers.aws.asked import Asked
from keyferry.providers.aws.client import REFUSED_S, AwsClient, concerns_the_store
from keyferry.providers.aws.credentials import CredentialSession
from keyferry.providers.aws.errors import KMSDenied, from_code, unreadable
from keyferry.providers.aws.find import Search
from keyferry.providers.aws.sdk import SECRETS_MANAGER, AwsSdk
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

CURRENT: Final = "AWSCURRENT"
_VERSION_ID: Final = "uuid/"
BATCH: Final = 20
PAGE: Final = 100
"""Most secrets that one call of a search lists."""
METRICS_NAME: Final = "AWS/SecretsManager"
_ACTIONS: Final = {
    "get_secret_value": "GetSecretValue",
    "batch_get_secret_value": "BatchGetSecretValue",
    "describe_secret": "DescribeSecret",
    "list_secrets": "ListSecrets",
}
_ARN_SUFFIX_CHARS: Final = 7
"""A hyphen and six random characters, which AWS appends to the name in an ARN."""

Answer = RemoteValue | ProviderError


class SecretsManagerClient(AwsClient):
    """One identity's reads.

    Args:
        sdk: the SDK.
        credentials: of the identity; the client owns them.
        region: where.
        prefix: put in front of every key.
    """

    batch_size = BATCH

    def __init__(self, sdk: AwsSdk, credentials: CredentialSession, region: str, prefix: str) -> None:
        super().__init__(sdk, credentials, service=SECRETS_MANAGER, metrics_name=METRICS_NAME, region=region)
        self._prefix = prefix
        self._no_batch_until = 0.0

    def may_batch(self, read: Read) -> bool:
        """Current values only, and not while AWS denies batches to this identity."""
        if read.metadata or read.version not in ("", CURRENT):
            return False
        return asyncio.get_running_loop().time() >= self._no_batch_until

    async def read(self, reads: Sequence[Read]) -> Sequence[Answer]:
        """See `ports.StoreClient.read`."""
        if not reads:
            return []
        if len(reads) == 1:
            answers = [await self._single(reads[0])]
        else:
            answers = await self._many(reads)
        # A failure of the store is the call's failure only where nothing else came back: what was
        # answered stays answered.
        if all(concerns_the_store(answer) for answer in answers):
            raise next(answer for answer in answers if isinstance(answer, ProviderError))
        return answers

    async def _many(self, reads: Sequence[Read]) -> list[Answer]:
        """A batch, and single reads where there is none or for what it leaves open.

        Raises:
            ProviderError: the batch failed as a whole, for a reason that is the store's.
        """
        found: list[Answer | None] = [None] * len(reads)
        try:
            if all(self.may_batch(read) for read in reads):
                found = await self._batch(reads)
        except KMSDenied:
            pass  # one secret spoils the call for all: find out which
        except AccessDenied as error:
            # Many policies grant single reads only; some guards watch for batches.
            log.info("batches are denied, reading one by one from now on: %s", error.message)
            self._no_batch_until = asyncio.get_running_loop().time() + REFUSED_S
        except ProviderError as error:
            if concerns_the_store(error):
                raise
        # Read singly what the batch did not answer, or answered with a failure that is the store's.
        late = [i for i, answer in enumerate(found) if answer is None or concerns_the_store(answer)]
        singles = await asyncio.gather(*(self._single(reads[i]) for i in late), return_exceptions=True)
        for i, answer in zip(late, singles, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, ProviderError):
                raise answer
            found[i] = answer
        return [answer for answer in found if answer is not None]

    # -- single

    async def _single(self, read: Read) -> Answer:
        """One read, and what came of it."""
        key = self._prefix + read.key
        if read.version == _VERSION_ID:
            return ProviderError(
                f'remote secret "{key}": version "{read.version}" names no version id',
                hint="Set version to a stage, or to uuid/ and a version id",
            )
        arguments: dict[str, Any] = {"SecretId": key}
        operation = "describe_secret" if read.metadata else "get_secret_value"
        if not read.metadata:
            if read.version.startswith(_VERSION_ID):
                arguments["VersionId"] = read.version.removeprefix(_VERSION_ID)
            else:
                arguments["VersionStage"] = read.version or CURRENT
        asked = Asked(f"secretsmanager:{_ACTIONS[operation]}", self.region, key, read.version)
        try:
            answer = await self.call(operation, asked, **arguments)
        except ProviderError as error:
            return error
        return _tags(answer, asked) if read.metadata else _value(answer, asked)

    # -- batch

    async def _batch(self, reads: Sequence[Read]) -> list[Answer | None]:
        """One call for up to twenty reads; None for what it leaves unanswered.

        Raises:
            AccessDenied: the batch call itself is denied.
            ProviderError: the call failed, for a reason of the store's or of one of the secrets.
        """
        asked = Asked("secretsmanager:BatchGetSecretValue", self.region)
        keys = [self._prefix + read.key for read in reads]
        answer = await self.call("batch_get_secret_value", asked, SecretIdList=sorted(set(keys)))
        if "SecretValues" not in answer and "Errors" not in answer:
            # The SDK makes an empty success of a body cut short: that must never read as "not found".
            raise unreadable(asked)
        values = answer.get("SecretValues") or []
        errors = {str(error.get("SecretId") or ""): error for error in answer.get("Errors") or []}
        results: list[Answer | None] = []
        for key, read in zip(keys, reads, strict=True):
            one = Asked("secretsmanager:GetSecretValue", self.region, key, read.version)
            told = errors.get(key)
            entry = None if told is not None else _entry_for(key, values)
            if told is not None:
                code, message = str(told.get("ErrorCode") or ""), str(told.get("Message") or "")
                results.append(from_code(code, message, one))
            else:
                results.append(_value(entry, one) if entry is not None else None)
        return results

    # -- search

    async def find(self, find: Find) -> Sequence[Found]:
        """See `ports.StoreClient.find`. Names come from the list of secrets, values through `read`."""
        search = Search(find, self._prefix)
        names = {str(entry.get("Name")) async for entry in self._listed(search) if search.fits(entry)}
        return [Found(name, Read(name.removeprefix(self._prefix))) for name in sorted(names)]

    async def _listed(self, search: Search) -> AsyncIterator[Mapping[str, Any]]:
        """What AWS lists for a search, page by page.

        Raises:
            ProviderError: a page cannot be had.
        """
        asked = Asked("secretsmanager:ListSecrets", self.region)
        arguments: dict[str, Any] = {"MaxResults": PAGE}
        if filters := search.filters():
            arguments["Filters"] = filters
        while True:
            try:
                page = await self.call("list_secrets", asked, **arguments)
            except RemoteSecretNotFound:
                raise unreadable(asked) from None  # no answer to this question, and never "there is none"
            if "SecretList" not in page:
                raise unreadable(asked)  # see `_batch` on bodies cut short
            for entry in page["SecretList"] or []:
                yield entry
            if not page.get("NextToken"):
                return
            arguments["NextToken"] = page["NextToken"]


def _value(entry: Mapping[str, Any], asked: Asked) -> Answer:
    if not entry.get("ARN"):
        return unreadable(asked)  # see `_batch` on bodies cut short
    version = str(entry.get("VersionId") or "")
    if entry.get("SecretString") is not None:
        return RemoteValue(SecretBytes(entry["SecretString"]), version)
    if entry.get("SecretBinary") is not None:
        return RemoteValue(SecretBytes(entry["SecretBinary"]), version)
    return Malformed(
        f"{asked.what} has neither a string nor a binary value",
        hint="Look at the secret in the AWS console",
    )


def _tags(answer: Mapping[str, Any], asked: Asked) -> Answer:
    """The tags as Go writes a JSON map."""
    if not answer.get("ARN"):
        return unreadable(asked)
    tags = {tag["Key"]: go_string(tag["Value"]) for tag in answer.get("Tags") or []}
    return RemoteValue(SecretBytes(go_object(tags)))


def _entry_for(key: str, values: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The batch's value for what was asked: a name, an ARN, or an ARN without its random suffix.

    Part of an ARN counts only if it can mean one secret: `…:db-AbCdEf` is also how the ARN of a secret
    named `db` ends.
    """
    exact = [entry for entry in values if key in (entry.get("Name"), entry.get("ARN"))]
    if exact or not key.startswith("arn:"):
        return exact[0] if exact else None
    arns = {str(entry.get("ARN") or ""): entry for entry in values}
    partial = [entry for arn, entry in arns.items() if arn[:-_ARN_SUFFIX_CHARS] == key]
    return partial[0] if len(partial) == 1 else None
