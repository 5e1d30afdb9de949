"""Secrets of an API server as remote secrets: read, listed, watched; see `clusters.RemoteCluster`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import msgspec

from keyferry.clusters import ClusterTarget, RemoteSecret
from keyferry.errors import KubeError, KubeForbidden, KubeLimit, KubeMalformed
from keyferry.kube.client import KubeApi
from keyferry.kube.remote_api import RemoteApi, TooLongError
from keyferry.kube.shallow import Decoder
from keyferry.kube.watch import BACKOFF_S, Change, MetadataWatch, ObjectMeta, Partial, PartialList, Watched
from keyferry.ports import Follower
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

PAGE: Final = 100
LISTED_HERE: Final = 4
"""Most pages of Secrets that are read of this cluster at the same time: each may be as long as an answer may be."""
LISTED_ELSEWHERE: Final = 12
"""The same for all other servers together."""
LISTED_OF_ONE: Final = 2
"""The same for the stores of one namespace, or for one server that ClusterSecretStores name."""
MOST_WATCHES: Final = 256
"""Most watches at the same time for SecretStores, and as many for ClusterSecretStores: each holds a connection."""
WATCHES_OF_ONE: Final = 16
"""Most watches for the SecretStores of one namespace."""
MOST_FOLLOWED: Final = 20_000
"""Most Secrets of a namespace that is watched."""
MOST_PAGES: Final = 400
LONGEST_LIST_S: Final = 120.0
"""Bounds of the list that a watch begins with."""
MAX_EVENT_BYTES: Final = 4 << 20
EVENTS_AT_ONCE: Final = 1000
EVENTS_PER_S: Final = 100.0
"""Events of one watch that are read at once, and in a second for good; the server has to wait with the others."""
_LIST_PAUSE_S: Final = 5.0
_NAMES_PER_S: Final = 200
_PAGES_PER_S: Final = 2
"""How soon a watch may list again, by how long the last list was."""
_PAUSES_S: Final = (*BACKOFF_S, 30.0, 60.0)
_LONGEST_TOKEN: Final = 8192
_LONGEST_PLACE: Final = 253 + 63
_REVIEWS: Final = "authorization.k8s.io/v1"

T = TypeVar("T")


class _SecretMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Secret(msgspec.Struct):
    metadata: _SecretMeta
    kind: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _ListMeta(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")


class _SecretList(msgspec.Struct):
    metadata: _ListMeta
    kind: str
    items: list[_Secret] | None = None


class _Rule(msgspec.Struct, rename="camel"):
    verbs: list[str] | None = None
    api_groups: list[str] | None = None
    resources: list[str] | None = None

    def lets_get_secrets(self) -> bool:
        """Whether it lets at least some Secret be read."""
        return all(
            {wanted, "*"} & set(given or ())
            for wanted, given in (("get", self.verbs), ("", self.api_groups), ("secrets", self.resources))
        )


class _ReviewStatus(msgspec.Struct, rename="camel"):
    resource_rules: list[_Rule] | None = None
    allowed: bool = False


class _Review(msgspec.Struct):
    kind: str
    status: _ReviewStatus


class _Write(msgspec.Struct):
    """An entry of managedFields: somebody wrote, at this time."""

    time: str = ""


class DatedMeta(ObjectMeta, rename="camel", frozen=True):
    """Metadata that tells when somebody last wrote."""

    creation_timestamp: str = ""
    managed_fields: list[_Write] | None = None

    def written_at(self) -> datetime | None:
        """When that was, in whole seconds; None where it does not say."""
        times = [self.creation_timestamp, *(write.time for write in self.managed_fields or ())]
        try:
            return datetime.fromisoformat(max(times))  # in UTC: the order of the texts is that of the times
        except ValueError:
            return None


class _DatedPartial(Partial):
    metadata: DatedMeta


class _DatedList(PartialList):
    items: list[_DatedPartial] | None = None  # type: ignore[assignment]  # a list that nobody adds to


class Gate:
    """What all connections share."""

    def __init__(self) -> None:
        self._here = asyncio.Semaphore(LISTED_HERE)
        self._elsewhere = asyncio.Semaphore(LISTED_ELSEWHERE)
        self._of_one: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self.watches: Counter[str] = Counter()
        """How many watches there are now, by the namespace of their stores; empty for ClusterSecretStores."""

    @contextlib.asynccontextmanager
    async def listing(self, target: ClusterTarget) -> AsyncIterator[None]:
        """A page is read. Who makes a server slow takes places from nobody else."""
        if not target.server:
            async with self._here:
                yield
            return
        one = target.share or target.server
        places = self._of_one.get(one)
        if places is None:
            places = self._of_one[one] = asyncio.Semaphore(LISTED_OF_ONE)
        async with places, self._elsewhere:
            yield

    @contextlib.contextmanager
    def watching(self, share: str) -> Iterator[None]:
        """There is one more watch.

        Raises:
            KubeLimit: there are as many as there may be.
        """
        if share and self.watches[share] >= WATCHES_OF_ONE:
            raise KubeLimit(f"the stores of one namespace have {WATCHES_OF_ONE} watches at most")
        of_tenants = self.watches.total() - self.watches[""]
        if (of_tenants if share else self.watches[""]) >= MOST_WATCHES:
            raise KubeLimit(f"there are {MOST_WATCHES} watches already")
        self.watches[share] += 1
        try:
            yield
        finally:
            self.watches[share] -= 1
            self.watches += Counter()  # those who have none are not counted


class Budget:
    """So much at once, and so much in a second for good. Who spends more waits."""

    def __init__(self, at_once: float, per_s: float) -> None:
        self._at_once = self._left = at_once
        self._per_s = per_s
        self._then = asyncio.get_running_loop().time()

    async def spend(self, units: float) -> None:
        """Wait until it is there. Whoever waits for nothing lets the others have their turn."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._at_once, self._left + (now - self._then) * self._per_s) - units
        self._then = now
        await asyncio.sleep(max(0.0, -self._left / self._per_s))


class SourceWatch(MetadataWatch):
    """A watch of what perhaps may not be watched, at a server that may mean no good.

    It ends where the server refuses it, or lists more than is followed. What the server sends too fast it has to
    keep until there is time.
    """

    list_decoder = Decoder(_DatedList)
    object_decoder = Decoder(_DatedPartial)
    longest_line = MAX_EVENT_BYTES

    def __init__(self, api: KubeApi, watched: Watched) -> None:
        super().__init__(api, watched, pauses_s=_PAUSES_S)
        self.spend = Budget(EVENTS_AT_ONCE, EVENTS_PER_S).spend
        self._listed = self._pages = 0
        self._list_at = 0.0

    def gives_up(self, error: KubeError) -> bool:
        """Whether the server refuses: trying again soon would only make noise."""
        refused = 300 <= error.status < 500 and error.status not in (410, 429)
        return refused or isinstance(error, KubeMalformed | KubeLimit)

    def tell(self, error: Exception, failures: int) -> None:
        """Quietly: who reads from the store is told of its outage, and refreshes go on without a watch."""
        if failures == 0:
            log.debug("watch of a store's Secrets failed: %s", type(error).__name__)

    async def _list(self) -> str:
        """See `MetadataWatch._list`. Not again at once, and with bounds.

        Raises:
            KubeLimit: it has no end.
        """
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._list_at - loop.time()))
        self._listed = self._pages = 0
        try:
            async with asyncio.timeout(LONGEST_LIST_S):
                return await super()._list()
        except TimeoutError:
            late = KubeLimit(f"to list them takes longer than {LONGEST_LIST_S:.0f} s")
        finally:
            pause_s = max(_LIST_PAUSE_S, self._listed / _NAMES_PER_S, self._pages / _PAGES_PER_S)
            self._list_at = loop.time() + pause_s
        raise late

    async def _page(self, params: dict[str, str]) -> Any:
        """See `MetadataWatch._page`. One that is too long is asked for in halves."""
        limit = int(params["limit"])
        self._pages += 1
        if self._pages > MOST_PAGES:
            raise KubeLimit(f"the list has more than {MOST_PAGES} pages")
        try:
            page = await super()._page(params)
        except TooLongError:
            if limit == 1:
                raise
            params["limit"] = str(max(1, limit // 2))
            return await self._page(params)
        items = page.items or ()
        self._listed += len(items)
        check_page(page.metadata.continue_, len(items), limit)
        if any(len(item.metadata.name) + len(item.metadata.namespace) > _LONGEST_PLACE for item in items):
            raise KubeMalformed("the API server's answer names what can have no such name")
        if self._listed > MOST_FOLLOWED:
            raise KubeLimit(f"there are more than {MOST_FOLLOWED}")
        return page


def check_page(token: str, items: int, limit: int) -> None:
    """Check that a page of a list is one that an API server makes.

    Raises:
        KubeMalformed: it holds more than was asked for, or goes on by what is no token.
    """
    if items > limit or len(token) > _LONGEST_TOKEN:
        raise KubeMalformed("the API server's answer is no page of a list")


class RemoteKube:
    """See the module's docstring.

    Args:
        api: the connection; this one owns it.
        gate: what all connections share.
        target: whose connection it is.
        release: called once, at the end.
    """

    def __init__(
        self, api: RemoteApi, gate: Gate, target: ClusterTarget, release: Callable[[], Awaitable[None]]
    ) -> None:
        self._api = api
        self._gate = gate
        self._target = target
        self._release = release
        self._closed = False

    async def get_secret(self, namespace: str, name: str) -> RemoteSecret:
        """See `clusters.RemoteCluster.get_secret`."""
        body = await self._api.request("GET", f"{_path(namespace)}/{name}")
        found = _decoded(_SECRET.decode, body)
        if found.kind != "Secret" or found.metadata.name != name:
            raise KubeMalformed("the API server's answer is no Secret, or another one")
        return _remote(found)

    async def list_secrets(self, namespace: str, labels: Mapping[str, str]) -> AsyncIterator[RemoteSecret]:
        """See `clusters.RemoteCluster.list_secrets`. A page that is too long is asked for in halves."""
        limit, token = PAGE, ""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        while True:
            params = {"limit": str(limit), "labelSelector": selector, "continue": token}
            params = {key: value for key, value in params.items() if value}
            try:
                async with self._gate.listing(self._target):
                    body = await self._api.request("GET", _path(namespace), params=params)
            except TooLongError:
                if limit == 1:
                    raise
                limit = max(1, limit // 2)
                continue
            page = _decoded(_SECRETS.decode, body)
            if page.kind != "SecretList":
                raise KubeMalformed("the API server's answer is no list of Secrets")
            check_page(page.metadata.continue_, len(page.items or ()), limit)
            for item in page.items or ():
                yield _remote(item)
            token = page.metadata.continue_
            if not token:
                return

    async def may_get_secrets(self, namespace: str) -> bool | None:
        """See `clusters.RemoteCluster.may_get_secrets`. Rules first: they also tell of rights to single Secrets."""
        rules = await self._review("SelfSubjectRulesReview", {"namespace": namespace})
        if rules is not None and any(rule.lets_get_secrets() for rule in rules.resource_rules or ()):
            return True
        wanted = {"resource": "secrets", "namespace": namespace, "verb": "get"}
        access = await self._review("SelfSubjectAccessReview", {"resourceAttributes": wanted})
        return None if access is None else access.allowed

    async def _review(self, kind: str, spec: Mapping[str, Any]) -> _ReviewStatus | None:
        """What the API server tells of the identity's own rights; None where it may not be asked."""
        body = {"apiVersion": _REVIEWS, "kind": kind, "spec": spec}
        try:
            told = await self._api.request("POST", f"/apis/{_REVIEWS}/{kind.lower()}s", body=body)
        except KubeForbidden:
            return None
        review = _decoded(_REVIEW.decode, told)
        if review.kind != kind:
            raise KubeMalformed("the API server's answer is no review")
        return review.status

    async def watch_secrets(self, namespace: str, follower: Follower) -> None:
        """See `clusters.RemoteCluster.watch_secrets`."""

        def told(change: Change, meta: ObjectMeta) -> None:
            at = meta.written_at() if change is Change.LISTED and isinstance(meta, DatedMeta) else None
            if len(meta.name) <= _LONGEST_PLACE:
                follower.changed(meta.name, at)

        watched = Watched(_path(namespace), told, lambda: [(namespace, key) for key in follower.known()])
        with self._gate.watching(self._target.share):
            await SourceWatch(self._api, watched).run()

    async def close(self) -> None:
        """See `clusters.RemoteCluster.close`."""
        if not self._closed:
            self._closed = True
            await self._api.close()
            await self._release()


_SECRET: Final = Decoder(_Secret)
_SECRETS: Final = Decoder(_SecretList)
_REVIEW: Final = msgspec.json.Decoder(_Review)


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """An answer as its type.

    Raises:
        KubeMalformed: it is something else.
    """
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # Raised here and not above: the decoder's error may quote the answer, which holds values.
    raise KubeMalformed("the API server's answer cannot be read")


def _remote(found: _Secret) -> RemoteSecret:
    meta, data = found.metadata, bytes(found.data)
    values = SecretBytes(b"{}" if data == b"null" else data)
    return RemoteSecret(meta.name, meta.resource_version, values, meta.labels, meta.annotations)
