"""Reading from AWS Secrets Manager: single reads, batches of twenty, tags.

Source of limits and shapes: AWS Secrets Manager API Reference, GetSecretValue, BatchGetSecretValue,
DescribeSecret.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keyferry import metrics
from keyferry.errors import AccessDenied, AuthFailed, Malformed, ProviderError, RateLimited, Unavailable
from keyferry.ports import Read, RemoteValue, Verdict
from keyferry.providers.aws.credentials import CredentialSession
from keyferry.providers.aws.errors import Asked, from_code, translated
from keyferry.providers.aws.sdk import SECRETS_MANAGER, AwsSdk
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

CURRENT: Final = "AWSCURRENT"
BATCH: Final = 20
SINGLES_AT_ONCE: Final = 4
NO_BATCH_S: Final = 3600.0
"""How long a denied batch call is not tried again: a policy may have changed meanwhile."""
METRICS_NAME: Final = "AWS/SecretsManager"
_ACTIONS: Final = {
    "get_secret_value": "GetSecretValue",
    "batch_get_secret_value": "BatchGetSecretValue",
    "describe_secret": "DescribeSecret",
}
_ARN_SUFFIX_CHARS: Final = 7
"""A hyphen and six random characters, which AWS appends to the name in an ARN."""


class SecretsManagerClient:
    """One identity's reads.

    Args:
        sdk: the SDK.
        credentials: of the identity; the client owns them.
        region: where.
        prefix: put in front of every key.
    """

    batch_size = BATCH
    max_concurrency = 8

    def __init__(self, sdk: AwsSdk, credentials: CredentialSession, region: str, prefix: str) -> None:
        self._sdk = sdk
        self._credentials = credentials
        self._region = region
        self._prefix = prefix
        self._no_batch_until = 0.0

    def may_batch(self, read: Read) -> bool:
        """Current values only, and not while AWS denies batches to this identity."""
        if read.metadata or read.version not in ("", CURRENT):
            return False
        return asyncio.get_running_loop().time() >= self._no_batch_until

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        """See `ports.StoreClient.read`."""
        if len(reads) == 1:
            return [await self._single(reads[0])]
        try:
            return await self._batch(reads)
        except (RateLimited, Unavailable):
            raise
        except AccessDenied as error:
            # Many policies grant single reads only; some guards watch for batches.
            log.info("batches are denied, reading one by one from now on: %s", error.message)
            self._no_batch_until = asyncio.get_running_loop().time() + NO_BATCH_S
        except _PoisonedBatchError:
            pass  # one secret spoils the call for all: find out which
        return await self._one_by_one(reads)

    async def _one_by_one(self, reads: Sequence[Read]) -> list[RemoteValue | ProviderError]:
        gate = asyncio.Semaphore(SINGLES_AT_ONCE)

        async def one(read: Read) -> RemoteValue | ProviderError:
            async with gate:
                return await self._single(read)

        results = await asyncio.gather(*(one(read) for read in reads), return_exceptions=True)
        answers: list[RemoteValue | ProviderError] = []
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, ProviderError):
                raise result
            answers.append(result)
        # A failure of the store is the call's failure only where nothing else came back: what was
        # answered stays answered.
        if answers and all(_concerns_the_store(answer) for answer in answers):
            raise next(answer for answer in answers if isinstance(answer, ProviderError))
        return answers

    # -- single

    async def _single(self, read: Read) -> RemoteValue | ProviderError:
        """One read; what concerns this secret alone is returned, what concerns the store is raised."""
        key = self._prefix + read.key
        arguments: dict[str, Any] = {"SecretId": key}
        operation = "describe_secret" if read.metadata else "get_secret_value"
        if not read.metadata:
            if read.version.startswith("uuid/"):
                arguments["VersionId"] = read.version.removeprefix("uuid/")
            else:
                arguments["VersionStage"] = read.version or CURRENT
        asked = Asked(f"secretsmanager:{_ACTIONS[operation]}", self._region, key, read.version)
        try:
            answer = await self._call(operation, asked, **arguments)
        except ProviderError as error:
            if _concerns_the_store(error):
                raise
            return error
        return _tags(answer) if read.metadata else _value(answer, asked)

    async def _call(self, operation: str, asked: Asked, **arguments: Any) -> dict[str, Any]:
        signer = await self._credentials.signer()
        try:
            answer = await self._sdk.call(SECRETS_MANAGER, self._region, operation, signer, **arguments)
        except Exception as error:
            metrics.count_provider_call(METRICS_NAME, _ACTIONS[operation], ok=False)
            raise translated(error, asked) from error
        metrics.count_provider_call(METRICS_NAME, _ACTIONS[operation], ok=True)
        return answer

    # -- batch

    async def _batch(self, reads: Sequence[Read]) -> list[RemoteValue | ProviderError]:
        """Up to twenty reads in one call; what the call leaves unanswered is read singly.

        Raises:
            AccessDenied: the batch call itself is denied.
            _PoisonedBatchError: AWS refused the call for one of its secrets.
            ProviderError: the store as a whole failed.
        """
        asked = Asked("secretsmanager:BatchGetSecretValue", self._region)
        keys = [self._prefix + read.key for read in reads]
        try:
            answer = await self._call("batch_get_secret_value", asked, SecretIdList=sorted(set(keys)))
        except ProviderError as error:
            if _concerns_the_store(error) or isinstance(error, AccessDenied):
                raise
            raise _PoisonedBatchError from error
        values, errors = _by_name(answer), _by_id(answer)
        results: list[RemoteValue | ProviderError | None] = []
        for key, read in zip(keys, reads, strict=True):
            one = Asked("secretsmanager:GetSecretValue", self._region, key, read.version)
            if (found := values.get(key)) is not None:
                results.append(_value(found, one))
            elif (told := errors.get(key)) is not None:
                results.append(_item_error(told, one))
            else:
                results.append(None)
        return await self._fill(results, reads)

    async def _fill(
        self, results: Sequence[RemoteValue | ProviderError | None], reads: Sequence[Read]
    ) -> list[RemoteValue | ProviderError]:
        """Read singly what a batch did not answer, or answered with a failure that is the store's."""
        open_ = [i for i, result in enumerate(results) if result is None or _concerns_the_store(result)]
        late = dict(zip(open_, await self._one_by_one([reads[i] for i in open_]), strict=True))
        filled = [late.get(i, result) for i, result in enumerate(results)]
        return [result for result in filled if result is not None]

    # -- the rest of the port

    async def validate(self) -> Verdict:
        """Prove the identity as far as it goes without reading: the credentials can be had."""
        await self._credentials.signer()
        return Verdict.READY

    async def renew(self) -> None:
        """See `ports.StoreClient.renew`."""
        self._credentials.drop()
        await self._credentials.signer()

    async def close(self) -> None:
        """See `ports.StoreClient.close`."""
        await self._credentials.close()


class _PoisonedBatchError(Exception):
    """AWS refused a whole batch for a reason that concerns one secret in it."""


def _concerns_the_store(error: object) -> bool:
    return isinstance(error, RateLimited | Unavailable | AuthFailed)


def _value(entry: Mapping[str, Any], asked: Asked) -> RemoteValue | ProviderError:
    version = str(entry.get("VersionId") or "")
    if entry.get("SecretString") is not None:
        return RemoteValue(SecretBytes(entry["SecretString"]), version)
    if entry.get("SecretBinary") is not None:
        return RemoteValue(SecretBytes(entry["SecretBinary"]), version)
    return Malformed(f"{asked.what} has neither a string nor a binary value")


def _tags(answer: Mapping[str, Any]) -> RemoteValue:
    """The tags as Go writes a JSON map: sorted, compact, with <, > and & escaped."""
    tags = {tag["Key"]: tag["Value"] for tag in answer.get("Tags") or []}
    text = json.dumps(dict(sorted(tags.items())), separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return RemoteValue(SecretBytes(text))


def _by_name(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Batch values by every id that may have asked for them: name, ARN, ARN without its random suffix."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in answer.get("SecretValues") or []:
        arn = str(entry.get("ARN") or "")
        found[str(entry.get("Name") or "")] = entry
        found[arn] = entry
        found[arn[:-_ARN_SUFFIX_CHARS]] = entry
    return found


def _by_id(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(error.get("SecretId") or ""): error for error in answer.get("Errors") or []}


def _item_error(told: Mapping[str, Any], asked: Asked) -> ProviderError:
    return from_code(str(told.get("ErrorCode") or ""), str(told.get("Message") or ""), asked)
