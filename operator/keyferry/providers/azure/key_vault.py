"""Reading from Azure Key Vault: secrets, keys and certificates, one call each, their metadata, and searches.

Source of shapes and limits: Azure Key Vault REST API, Get Secret, Get Key, Get Certificate, Get Secrets.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from keyferry.clock import Clock
from keyferry.core.gotext import go_string
from keyferry.errors import (
    AuthFailed,
    KeyferryError,
    Malformed,
    ProviderError,
    RateLimited,
    Unavailable,
)
from keyferry.metrics import count_provider_call
from keyferry.ports import Find, Found, Read, RemoteValue, Verdict
from keyferry.providers.azure.errors import Asked, unexpected, unreadable
from keyferry.providers.azure.find import MOST_PAGES, Search
from keyferry.providers.azure.remote_keys import Kind, RemoteKey, is_version, parse
from keyferry.providers.azure.sdk import Vault
from keyferry.providers.azure.select import metadata
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

CALLS_PER_IDENTITY: Final = 8
PAGE: Final = 25
"""Most secrets that one call of a search lists."""
METRICS_NAME: Final = "Azure/KeyVault"
_MOST_TOLD: Final = 1000
"""So many expired objects are remembered as told of."""
_CALLS: Final = {Kind.SECRET: "GetSecret", Kind.KEY: "GetKey", Kind.CERTIFICATE: "GetCertificate"}
_JWK: Final = (
    ("kid", str),
    ("kty", str),
    ("key_ops", list),
    ("n", bytes),
    ("e", bytes),
    ("crv", str),
    ("x", bytes),
    ("y", bytes),
)
"""The public members of a key, in the order in which the API gives them; the others a vault never shows."""

Answer = RemoteValue | ProviderError


class KeyVaultClient:
    """One identity's reads.

    Args:
        vault: its way there; the client owns it.
        clock: to know what has expired.
    """

    batch_size = 1
    max_concurrency = CALLS_PER_IDENTITY

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._gate = asyncio.Semaphore(CALLS_PER_IDENTITY)
        self._told: set[tuple[str, str]] = set()

    def may_batch(self, read: Read) -> bool:  # noqa: ARG002 - the port's signature
        """Key Vault has no batches."""
        return False

    async def read(self, reads: Sequence[Read]) -> Sequence[Answer]:
        """See `ports.StoreClient.read`."""
        if not reads:
            return []
        answers = await asyncio.gather(*map(self._one, reads))
        # A failure of the store is the call's failure only where nothing else came back.
        if all(_concerns_the_store(answer) for answer in answers):
            raise next(answer for answer in answers if isinstance(answer, ProviderError))
        return answers

    async def _one(self, read: Read) -> Answer:
        """One read, and what came of it."""
        key = parse(read.key)
        if isinstance(key, str):
            return unexpected(key, self._vault.asked("secrets/get", read.key))
        asked = self._vault.asked(f"{key.kind.value}/get", read.key, read.version)
        if not is_version(read.version):
            return unexpected(f'no object of Key Vault can have the version "{read.version[:64]}"', asked)

        async def get(client: Any) -> Answer:
            # In here, where it is told if the SDK or we stumble over what somebody answers.
            return self._answer(await _get(client, key, read.version), key.kind, read, asked)

        try:
            answer: Answer = await self._call(key.kind, _CALLS[key.kind], get, asked)
        except ProviderError as error:
            return error
        return answer

    async def _call(self, kind: Kind, name: str, work: Callable[[Any], Awaitable[Any]], asked: Asked) -> Any:
        """One call of the SDK, counted; None where none was needed.

        Raises:
            KeyferryError: why there is no answer.
        """
        try:
            async with self._gate:
                answer = await self._vault.ask(kind, work, asked)
        except KeyferryError:
            count_provider_call(METRICS_NAME, name, ok=False)
            raise
        if answer is not None:
            count_provider_call(METRICS_NAME, name, ok=True)
        return answer

    def _answer(self, found: Any, kind: Kind, read: Read, asked: Asked) -> Answer:
        properties = found.properties
        if properties is None or not isinstance(properties.version, str) or not properties.version:
            return unreadable(asked)  # a body that is none of Key Vault's
        if read.metadata:
            tags = {name: text for name, text in (properties.tags or {}).items() if text is not None}
            if not all(isinstance(text, str) for text in tags.values()):
                return unreadable(asked)
            return RemoteValue(metadata(tags, _moments(properties)), properties.version)
        value: object
        match kind:
            case Kind.SECRET:
                value = found.value
            case Kind.KEY:
                value = _jwk(found.key)
            case Kind.CERTIFICATE:
                value = bytes(found.cer) if isinstance(found.cer, bytes | bytearray) else None
        if not isinstance(value, bytes | str):
            return unreadable(asked)
        self._tell_if_expired(properties, asked)
        return RemoteValue(SecretBytes(value), properties.version)

    def _tell_if_expired(self, properties: Any, asked: Asked) -> None:
        """Key Vault gives what has expired all the same: tell it once."""
        expires: datetime | None = properties.expires_on
        if expires is None or expires > self._clock.now():
            return
        told = (asked.key, properties.version)
        if told not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(told)
            log.warning(
                "%s in %s has expired (%s): Key Vault still gives it, and it is still synced",
                asked.what,
                asked.where,
                f"{expires:%Y-%m-%dT%H:%M:%SZ}",
            )

    # -- search

    async def find(self, find: Find) -> Sequence[Found]:
        """See `ports.StoreClient.find`. Names come from the list of secrets, values through `read`."""
        search = Search(find)
        asked = self._vault.asked("secrets/list")
        found: list[Found] = []
        pages: Any = None
        turns, links = 0, set[str]()

        async def turn(client: Any) -> list[Any] | None:
            nonlocal pages
            if pages is None:
                pages = client.list_properties_of_secrets(max_page_size=PAGE).by_page()
            return await _next(pages)

        while (page := await self._call(Kind.SECRET, "GetSecrets", turn, asked)) is not None:
            turns += 1
            link = pages.continuation_token or ""
            if turns > MOST_PAGES or link in links:
                raise unreadable(asked)  # a list without end
            links.add(link)
            for one in page:
                name = one.name or ""
                if search.fits(name, enabled=one.enabled is not False, tags=one.tags or {}):
                    found.append(Found(name, Read(name)))
        return sorted(found, key=lambda one: one.name)

    # -- the rest of the port

    async def validate(self) -> Verdict:
        """Prove the identity without reading. What a firewall or a role refuses, only reads tell."""
        await self._vault.prove()
        return Verdict.READY

    async def renew(self) -> None:
        """See `ports.StoreClient.renew`."""
        await self._vault.renew()

    async def close(self) -> None:
        """See `ports.StoreClient.close`."""
        await self._vault.close()


def _concerns_the_store(error: object) -> bool:
    return isinstance(error, RateLimited | Unavailable | AuthFailed | Malformed)


async def _get(client: Any, key: RemoteKey, version: str) -> Any:
    match key.kind:
        case Kind.SECRET:
            return await client.get_secret(key.name, version)
        case Kind.KEY:
            return await client.get_key(key.name, version)
    if version:
        return await client.get_certificate_version(key.name, version)
    return await client.get_certificate(key.name)


async def _next(pages: Any) -> list[Any] | None:
    """The next page of a list; None where there is none."""
    try:
        page = await anext(pages)
    except StopAsyncIteration:
        return None
    return [one async for one in page]


def _moments(properties: Any) -> Mapping[str, datetime | None]:
    return {
        "expires": properties.expires_on,
        "created": properties.created_on,
        "updated": properties.updated_on,
        "notBefore": properties.not_before,
    }


def _jwk(key: Any) -> str | None:
    """The public part of a key as a JSON Web Key; None where there is none."""
    members = []
    for name, kind in _JWK:
        value: Any = getattr(key, name, None)
        if not value:
            continue
        if not isinstance(value, (bytes, bytearray) if kind is bytes else kind):
            return None
        if kind is bytes:
            text = go_string(base64.urlsafe_b64encode(cast("bytes", value)).rstrip(b"=").decode())
        elif kind is list:
            text = "[" + ",".join(go_string(str(getattr(one, "value", one))) for one in value) + "]"
        else:
            text = go_string(str(getattr(value, "value", value)))
        members.append(f"{go_string(name)}:{text}")
    return "{" + ",".join(members) + "}" if members else None
