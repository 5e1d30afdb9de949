"""Reading from AWS Systems Manager Parameter Store: single reads, batches of ten, tags, searches.

AWS refuses a batch as a whole where one of its parameters is denied. So what a batch cannot have is read
singly, and remembered as what spoils batches.

Source of limits and shapes: AWS Systems Manager API Reference, GetParameter, GetParameters,
GetParametersByPath, DescribeParameters, ListTagsForResource.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

from keyferry.core.gotext import go_object, go_string
from keyferry.errors import AccessDenied, ProviderError, RemoteSecretNotFound
from keyferry.ports import Find, Found, Read, RemoteValue
from keyferry.providers.aws.asked import Asked
from keyferry.providers.aws.client import REFUSED_S, AwsClient, concerns_the_store
from keyferry.providers.aws.credentials import CredentialSession
from keyferry.providers.aws.errors import KMSDenied, unreadable
from keyferry.providers.aws.pace import Line
from keyferry.providers.aws.parameter_names import ParameterName, canonical, parsed
from keyferry.providers.aws.parameter_search import ParameterSearch
from keyferry.providers.aws.refusals import Refusals
from keyferry.providers.aws.sdk import SSM, AwsSdk
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

BATCH: Final = 10
VALUES_PAGE: Final = 10
"""Most parameters that one call of a search brings with their values."""
NAMES_PAGE: Final = 50
"""Most that one call lists by name."""
METRICS_NAME: Final = "AWS/ParameterStore"
MOST_BYTES: Final = 16 * 1024 * 1024
"""Names and values that a search brings along: no more than the planner takes."""

Answer = RemoteValue | ProviderError


class ParameterStoreClient(AwsClient):
    """One identity's reads.

    Args:
        sdk: the SDK.
        credentials: of the identity; the client owns them.
        region: where.
        prefix: put in front of every key.
        line: where its calls wait for the pace of the identity's account in this region.
    """

    batch_size = BATCH

    def __init__(
        self, sdk: AwsSdk, credentials: CredentialSession, region: str, prefix: str, line: Line
    ) -> None:
        super().__init__(sdk, credentials, service=SSM, metrics_name=METRICS_NAME, region=region)
        self._prefix = prefix
        self._line = line
        self._no_batch_until = 0.0
        self._spoilers = Refusals()
        """Parameters whose denial has spoilt a batch, in their canonical form."""
        self._closed_paths = Refusals()
        """Paths that may not be read as a whole."""

    def room(self, ahead: int = 0) -> float:
        """See `ports.PacedClient.room`."""
        return self._line.room(ahead)

    async def _wait_turn(self) -> None:
        await self._line.turn()

    def may_batch(self, read: Read) -> bool:
        """Values of whatever version, but not of parameters that would spoil the batch for the others."""
        if read.metadata or asyncio.get_running_loop().time() < self._no_batch_until:
            return False
        try:
            name = self._named(read)
        except ProviderError:
            return False
        return not name.is_reference and canonical(name.name) not in self._spoilers

    def _named(self, read: Read) -> ParameterName:
        return parsed(self._prefix + read.key, read.version)

    async def read(self, reads: Sequence[Read]) -> Sequence[Answer]:
        """See `ports.StoreClient.read`."""
        answers = [await self._single(reads[0])] if len(reads) == 1 else await self._many(reads)
        # As with Secrets Manager: what was answered stays answered.
        if answers and all(map(concerns_the_store, answers)):
            raise next(answer for answer in answers if isinstance(answer, ProviderError))
        return answers

    # -- single

    async def _single(self, read: Read) -> Answer:
        """One read, and what came of it."""
        try:
            name = self._named(read)
            return await (self._tags(name) if read.metadata else self._value(name))
        except ProviderError as error:
            return error

    async def _value(self, name: ParameterName) -> Answer:
        asked = Asked("ssm:GetParameter", self.region, name.name, name.selector)
        answer = await self.call("get_parameter", asked, Name=name.asked, WithDecryption=True)
        self._spoilers.discard(canonical(name.name))
        return _value(answer.get("Parameter") or {}, asked)

    async def _tags(self, name: ParameterName) -> Answer:
        """The tags as Go writes a JSON map. They are the parameter's, whatever the version."""
        asked = Asked("ssm:ListTagsForResource", self.region, name.name)
        if name.is_arn or name.is_reference:
            return ProviderError(
                f"{asked.what}: the tags of what is named like that cannot be read",
                hint="Use the parameter's own name; shared parameters have no tags for those they are shared with",
            )
        answer = await self.call(
            "list_tags_for_resource", asked, ResourceType="Parameter", ResourceId=name.name
        )
        if "TagList" not in answer:
            return unreadable(asked)  # see `_batch` on bodies cut short
        tags = {tag["Key"]: go_string(tag["Value"]) for tag in answer["TagList"] or []}
        return RemoteValue(SecretBytes(go_object(tags)))

    # -- batch

    async def _many(self, reads: Sequence[Read]) -> list[Answer]:
        """A batch, and single reads where there is none or for what it leaves open.

        Raises:
            ProviderError: the batch failed as a whole, for a reason that is the store's.
        """
        found: list[Answer | None] = [None] * len(reads)
        denied: AccessDenied | None = None
        try:
            if all(map(self.may_batch, reads)):
                found = await self._batch([self._named(read) for read in reads])
        except AccessDenied as error:
            denied = error
        except ProviderError as error:
            if concerns_the_store(error):
                raise
        late = [i for i, answer in enumerate(found) if answer is None]
        singles = await asyncio.gather(*(self._single(reads[i]) for i in late))
        for i, answer in zip(late, singles, strict=True):
            found[i] = answer
        if denied is not None:
            self._blame(denied, reads, found)
        return [answer for answer in found if answer is not None]

    def _blame(self, denied: AccessDenied, reads: Sequence[Read], answers: Sequence[Answer | None]) -> None:
        """A batch was denied: remember whose fault that was, so that it spoils no other."""
        pairs = zip(reads, answers, strict=True)
        spoilers = [read for read, answer in pairs if isinstance(answer, AccessDenied)]
        for read in spoilers:
            self._spoilers.add(canonical(self._named(read).name))
        if spoilers or isinstance(denied, KMSDenied):
            return
        # Each may be read, and not together: many policies grant single reads only.
        log.info("batches are denied, reading one by one from now on: %s", denied.message)
        self._no_batch_until = asyncio.get_running_loop().time() + REFUSED_S

    async def _batch(self, names: Sequence[ParameterName]) -> list[Answer | None]:
        """One call for up to ten reads; None for what it leaves unanswered.

        Raises:
            AccessDenied: the call is denied, or one of its parameters, or a key that encrypts one.
            ProviderError: the call failed, for a reason of the store's or of one of the parameters.
        """
        asked = Asked("ssm:GetParameters", self.region)
        # Once in whatever form: AWS need not take two names of one parameter.
        wanted = {(canonical(name.name), name.selector): name.asked for name in names}
        answer = await self.call("get_parameters", asked, Names=sorted(wanted.values()), WithDecryption=True)
        if "Parameters" not in answer and "InvalidParameters" not in answer:
            # The SDK makes an empty success of a body cut short: that must never read as "not found".
            raise unreadable(asked)
        entries = answer.get("Parameters") or []
        arns = {name.name for name in names if name.is_arn}
        results: list[Answer | None] = []
        for name in names:
            one = Asked("ssm:GetParameter", self.region, name.name, name.selector)
            entry = _entry_for(name, entries, arns)
            # What AWS calls invalid is not there, or "not run" for a reason that it does not tell: a single read does.
            results.append(None if entry is None else _value(entry, one))
        return results

    # -- search

    async def find(self, find: Find) -> Sequence[Found]:
        """See `ports.StoreClient.find`. Values come along where a path may be read as a whole."""
        search = ParameterSearch(find, self._prefix)
        denied: dict[str, AccessDenied] = {}
        found: list[Found] | None = None
        if not search.by_tags:
            found = await self._whole(search, denied)
        if found is None:
            try:
                names = [name async for name in self._listed(search)]
            except AccessDenied as error:
                # Who may neither way is told of the better one.
                raise next(iter(denied.values()), error) from None
            found = [Found(name, Read(search.key_of(name))) for name in sorted(names)]
        for path, denial in denied.items():
            log.info("a path is denied, searching it in another way from now on: %s", denial.message)
            self._closed_paths.add(path)
        return found

    async def _whole(self, search: ParameterSearch, denied: dict[str, AccessDenied]) -> list[Found] | None:
        """What a search finds in a path that may be read as a whole; None where none may.

        Args:
            denied: gets those that are denied.

        Raises:
            ProviderError: as `_below`.
        """
        # A policy may name the path with a slash or without; AWS judges it as it is written.
        paths = dict.fromkeys((search.folder, search.folder.rstrip("/") or "/"))
        for path in paths:
            if path in self._closed_paths:
                continue
            try:
                return await self._below(search, path)
            except KMSDenied as error:
                # The path itself may be read, and so would be the other.
                denied.update(dict.fromkeys(paths, error))
                break
            except AccessDenied as error:
                denied[path] = error
        return None

    async def _below(self, search: ParameterSearch, path: str) -> list[Found]:
        """All that lies below the path, with its value.

        Raises:
            AccessDenied: the path may not be read as a whole, or a key that encrypts something below it.
            ProviderError: a page cannot be had, or it is too much.
        """
        asked = Asked("ssm:GetParametersByPath", self.region, path=path)
        found: dict[str, RemoteValue] = {}
        size = 0
        where = {"Path": path, "Recursive": True, "WithDecryption": True, "MaxResults": VALUES_PAGE}
        async for entry in self._pages("get_parameters_by_path", asked, where):
            name = str(entry.get("Name") or "")
            if not search.fits(name):
                continue
            value = _value(entry, Asked(asked.action, self.region, name))
            if isinstance(value, ProviderError):
                raise value
            found[name] = value
            size += len(name) + len(value.value)
            if size > MOST_BYTES:
                raise ProviderError(
                    f"the search finds more than {MOST_BYTES // 1024**2} MiB",
                    hint="Narrow it by path, name or tags: a Secret holds 1 MiB",
                )
        return [Found(name, found[name], search.key_of(name)) for name in sorted(found)]

    async def _listed(self, search: ParameterSearch) -> AsyncIterator[str]:
        """The names of all that fits.

        Raises:
            ProviderError: a page cannot be had.
        """
        asked = Asked("ssm:DescribeParameters", self.region)
        which: dict[str, Any] = {"MaxResults": NAMES_PAGE}
        if filters := search.filters():
            which["ParameterFilters"] = filters
        async for entry in self._pages("describe_parameters", asked, which):
            if search.fits(name := str(entry.get("Name") or "")):
                yield name

    async def _pages(
        self, operation: str, asked: Asked, arguments: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """What AWS gives page by page; a page may be empty, and others follow."""
        token: dict[str, str] = {}
        while True:
            try:
                page = await self.call(operation, asked, **arguments, **token)
            except RemoteSecretNotFound:
                raise unreadable(asked) from None  # no answer to this question, and never "there is none"
            if "Parameters" not in page:
                raise unreadable(asked)  # see `_batch` on bodies cut short
            for entry in page["Parameters"] or []:
                yield entry
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}


def _value(entry: Mapping[str, Any], asked: Asked) -> Answer:
    if not entry.get("Name") or entry.get("Value") is None:
        return unreadable(asked)
    return RemoteValue(SecretBytes(entry["Value"]), str(entry.get("Version") or ""))


def _entry_for(
    name: ParameterName, entries: Sequence[Mapping[str, Any]], arns: Collection[str]
) -> Mapping[str, Any] | None:
    """The batch's value for what was asked, if it can be no other's.

    Args:
        arns: those asked for in the same batch: their answers may have the names of our own parameters.
    """

    def answers(entry: Mapping[str, Any]) -> bool:
        selector = str(entry.get("Selector") or "").removeprefix(":")
        if selector != name.selector:
            return False
        if name.is_arn:
            return name.name in (entry.get("ARN"), entry.get("Name"))
        return entry.get("ARN") not in arns and canonical(str(entry.get("Name") or "")) == canonical(
            name.name
        )

    fitting = [entry for entry in entries if answers(entry)]
    return fitting[0] if len({entry.get("ARN") for entry in fitting}) == 1 else None
