"""Secrets of an API server as remote secrets: read, listed, watched; see `clusters.RemoteCluster`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from keyferry.clusters import RemoteSecret
from keyferry.errors import KubeError, KubeForbidden, KubeMalformed
from keyferry.kube.remote_api import RemoteApi, TooLongError
from keyferry.kube.shallow import Decoder
from keyferry.kube.watch import BACKOFF_S, Change, MetadataWatch, ObjectMeta, Partial, PartialList, Watched
from keyferry.ports import Follower
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

PAGE: Final = 100
LISTED_AT_ONCE: Final = 4
"""Most pages of Secrets that are read at the same time, of all servers: each may be as long as an answer may be."""
MOST_WATCHES: Final = 256
"""Most watches at the same time: each holds a connection."""
MAX_EVENT_BYTES: Final = 4 << 20
_PAUSES_S: Final = (*BACKOFF_S, 30.0, 60.0)
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
        self.lists = asyncio.Semaphore(LISTED_AT_ONCE)
        self.watches = 0
        """How many watches there are now."""


class SourceWatch(MetadataWatch):
    """A watch of what perhaps may not be watched: it ends where the server refuses it."""

    list_decoder = Decoder(_DatedList)
    object_decoder = Decoder(_DatedPartial)
    longest_line = MAX_EVENT_BYTES

    def gives_up(self, error: KubeError) -> bool:
        """Whether the server refuses: trying again soon would only make noise."""
        refused = 300 <= error.status < 500 and error.status not in (410, 429)
        return refused or isinstance(error, KubeMalformed)

    def tell(self, error: Exception, failures: int) -> None:
        """Quietly: who reads from the store is told of its outage, and refreshes go on without a watch."""
        if failures == 0:
            log.debug("watch of a store's Secrets failed: %s", type(error).__name__)


class RemoteKube:
    """See the module's docstring.

    Args:
        api: the connection; this one owns it.
        gate: what all connections share.
        release: called once, at the end.
    """

    def __init__(self, api: RemoteApi, gate: Gate, release: Callable[[], Awaitable[None]]) -> None:
        self._api = api
        self._gate = gate
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
                async with self._gate.lists:
                    body = await self._api.request("GET", _path(namespace), params=params)
            except TooLongError:
                if limit == 1:
                    raise
                limit = max(1, limit // 2)
                continue
            page = _decoded(_SECRETS.decode, body)
            if page.kind != "SecretList":
                raise KubeMalformed("the API server's answer is no list of Secrets")
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
        if self._gate.watches >= MOST_WATCHES:
            raise KubeError(f"there are {MOST_WATCHES} watches already")

        def told(change: Change, meta: ObjectMeta) -> None:
            at = meta.written_at() if change is Change.LISTED and isinstance(meta, DatedMeta) else None
            follower.changed(meta.name, at)

        watched = Watched(_path(namespace), told, lambda: [(namespace, key) for key in follower.known()])
        self._gate.watches += 1
        try:
            await SourceWatch(self._api, watched, pauses_s=_PAUSES_S).run()
        finally:
            self._gate.watches -= 1

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
