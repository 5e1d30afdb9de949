"""One identity's reads, searches and watch of one namespace's Secrets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from keyferry import metrics
from keyferry.clusters import RemoteCluster, RemoteSecret
from keyferry.core.patterns import Pattern
from keyferry.errors import (
    ON_CHANGE,
    AuthFailed,
    KubeError,
    Malformed,
    ProviderError,
    RateLimited,
    SpecError,
    Unavailable,
)
from keyferry.ports import Find, Follower, Found, Read, RemoteValue, Verdict
from keyferry.providers.kubernetes.errors import Asked, translated
from keyferry.providers.kubernetes.identity import AccountBearer, FixedBearer, KubernetesIdentity
from keyferry.providers.kubernetes.reading import metadata_answer, whole_answer

SERVICE: Final = "Kubernetes"
READS_AT_ONCE: Final = 8
MOST_FOUND_BYTES: Final = 16 * 1024 * 1024
"""More than a search may bring: as many as the planner lets one have."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MOST_NAME: Final = 253
_LABEL: Final = re.compile(r"([A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")

T = TypeVar("T")


def is_secret_name(key: str) -> bool:
    """Whether a Secret can have this name."""
    return len(key) <= _MOST_NAME and _NAME.fullmatch(key) is not None


@dataclass(slots=True)
class KubernetesClient:
    """See `ports.WatchingClient`.

    Args:
        cluster: the connection; the client owns it.
        identity: who asks.
        bearer: whose token is shown, if one is.
    """

    cluster: RemoteCluster
    identity: KubernetesIdentity
    bearer: AccountBearer | FixedBearer | None

    batch_size = 1
    max_concurrency = READS_AT_ONCE

    def may_batch(self, read: Read) -> bool:  # noqa: ARG002 - the port's signature
        """Never: the API reads one Secret at a time."""
        return False

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        """See `ports.StoreClient.read`. A Secret has no versions: `Read.version` does not matter."""
        return [await self._one(read) for read in reads]

    async def _one(self, read: Read) -> RemoteValue | ProviderError:
        namespace = self.identity.namespace
        if not is_secret_name(read.key):
            return ProviderError(
                f'remote secret "{read.key[:253]}" is no name that a Secret can have',
                hint="Set key to a Secret's name, and property to a key in it",
                retry=ON_CHANGE,
            )
        asked = self._asked("get", key=read.key)
        try:
            found = await self._call("GetSecret", asked, self.cluster.get_secret, namespace, read.key)
        except (Unavailable, RateLimited, AuthFailed, Malformed):
            raise  # of the server, whatever is asked for
        except ProviderError as error:
            return error
        value = metadata_answer(found) if read.metadata else found.data
        return RemoteValue(value, found.version)

    async def find(self, find: Find) -> Sequence[Found]:
        """See `ports.StoreClient.find`. One list, which brings the values along; a path means nothing here."""
        if find.name is None and not find.tags:
            raise SpecError("find: name or tags must be set")
        _check_tags(find.tags)
        pattern = Pattern(find.name) if find.name is not None else None
        asked = self._asked("list")
        listed = self.cluster.list_secrets(self.identity.namespace, dict(find.tags))
        return await self._call("ListSecrets", asked, _fitting, listed, pattern, asked.server)

    async def validate(self) -> Verdict:
        """See `ports.StoreClient.validate`: the API server tells what the identity may."""
        asked = self._asked("get")
        name, ask = "CreateSelfSubjectRulesReview", self.cluster.may_get_secrets
        allowed = await self._call(name, asked, ask, self.identity.namespace)
        if allowed is False:
            raise asked.denied()
        return Verdict.UNKNOWN if allowed is None else Verdict.READY

    async def watch(self, follower: Follower) -> None:
        """See `ports.WatchingClient.watch`."""
        asked = self._asked("list", "watch")
        await self._call("WatchSecrets", asked, self.cluster.watch_secrets, asked.namespace, follower)

    async def renew(self) -> None:
        """See `ports.StoreClient.renew`."""
        if self.bearer is not None:
            self.bearer.refused()

    async def close(self) -> None:
        """See `ports.StoreClient.close`."""
        await self.cluster.close()

    def _asked(self, *verbs: str, key: str = "") -> Asked:
        identity = self.identity
        renewable = self.bearer is not None and self.bearer.renewable
        return Asked(identity.host, identity.where, identity.namespace, verbs, key, renewable)

    async def _call(
        self, name: str, asked: Asked, call: Callable[..., Awaitable[T]], *arguments: object
    ) -> T:
        """One call, counted.

        Raises:
            ProviderError: it failed.
            KeyferryError: there is no token to be had, which is not this store's failure.
        """
        if self.bearer is not None:
            await self.bearer.token()  # before, so that what fails from here on is the server's
        try:
            answer = await call(*arguments)
        except KubeError as error:
            metrics.count_provider_call(SERVICE, name, ok=False)
            failure = translated(error, asked)
        else:
            metrics.count_provider_call(SERVICE, name, ok=True)
            return answer
        # Raised here and not above: nothing of what was sent or answered stays with it.
        raise failure


async def _fitting(
    listed: AsyncIterator[RemoteSecret], pattern: Pattern | None, server: str
) -> Sequence[Found]:
    """What of a list has a fitting name, with all its keys and values, by name.

    Raises:
        ProviderError: that is more than any Secret could hold, many times over.
    """
    found: list[Found] = []
    size = 0
    async for one in listed:
        if pattern is not None and not pattern.matches(one.name):
            continue
        value = whole_answer(one.data)
        size += len(value)
        if size > MOST_FOUND_BYTES:
            raise ProviderError(
                f"the search at {server} finds more than {MOST_FOUND_BYTES >> 20} MiB",
                hint="Narrow it by name or tags: a Secret holds 1 MiB",
            )
        found.append(Found(one.name, RemoteValue(value, one.version)))
    return sorted(found, key=lambda one: one.name)


def _check_tags(tags: Sequence[tuple[str, str]]) -> None:
    """Check that tags are labels, and nothing else that a selector can say.

    Raises:
        SpecError: one is not.
    """
    for key, value in tags:
        if _LABEL.fullmatch(key) is None or _LABEL_VALUE.fullmatch(value) is None:
            raise SpecError(
                f'find.tags: "{key[:63]}" and its value are no label that a Secret can have',
                hint="Tags are labels here",
            )
