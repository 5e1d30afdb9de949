"""Reading from Vault's KV engine, version 1 and 2: values, versions, metadata, searches.

What Vault refuses is explained by how the mount really is, asked for only then. Source of paths and shapes:
Vault's API documentation of the KV secrets engine.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    SpecError,
    Unavailable,
)
from keyferry.ports import Find, Found, Read, RemoteValue, Verdict
from keyferry.providers.vault.answers import Answer
from keyferry.providers.vault.connection import LOOKUP, VaultConnection
from keyferry.providers.vault.document import Number, go_text, mapping_of, text_of
from keyferry.providers.vault.errors import (
    Asked,
    BadRequest,
    BadToken,
    Denied,
    NoMount,
    NothingThere,
    unreadable,
)
from keyferry.providers.vault.find import Lister, Search
from keyferry.providers.vault.paths import Place, place_of
from keyferry.providers.vault.vaults import Vaults
from keyferry.providers.vault.way import CALLS_PER_IDENTITY
from keyferry.secretdata import SecretBytes

_VERSION: Final = re.compile(r"[0-9]{1,18}")
_SYSTEM_METADATA: Final = ("created_time", "current_version", "delete_version_after")
"""What the engine itself tells of a secret, besides its custom_metadata."""
_EXPLAINED_S: Final = 60.0
"""So long is known how a mount is."""


@dataclass(frozen=True, slots=True)
class _Mount:
    """How a mount really is: kind of engine and its version; empty where Vault does not tell."""

    engine: str
    version: str
    known_at: float


class KVClient:
    """One store's reads.

    Args:
        vaults: whose connection it is.
        connection: to Vault; the client has opened it.
        path: the store's; None where it has none.
        versioned: whether the store says that the engine has version 2.
    """

    batch_size = 1
    max_concurrency = CALLS_PER_IDENTITY

    def __init__(
        self, vaults: Vaults, connection: VaultConnection, path: str | None, *, versioned: bool
    ) -> None:
        self._vaults = vaults
        self._connection = connection
        self._path = path
        self._versioned = versioned
        self._mounts: dict[str, _Mount] = {}
        self._gate = asyncio.Semaphore(CALLS_PER_IDENTITY)
        self._closed = False

    def may_batch(self, read: Read) -> bool:  # noqa: ARG002 - the port's signature
        """Never: Vault reads one secret a call."""
        return False

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        """See `ports.StoreClient.read`."""
        return await asyncio.gather(*map(self._one, reads))

    async def _one(self, read: Read) -> RemoteValue | ProviderError:
        """One read, and what came of it.

        Raises:
            ProviderError: a failure that is the store's.
        """
        try:
            place = place_of(read.key, self._path, versioned=self._versioned)
        except SpecError as error:
            return ProviderError(error.message, hint=error.hint)
        try:
            if read.metadata:
                found = await self.metadata(place)
                size = sum(map(len, found.values()))
                return RemoteValue(SecretBytes(await self._connection.compute(size, go_text, found)))
            return await self._value(place, read.version)
        except (RateLimited, Unavailable, AuthFailed, Malformed):
            raise
        except ProviderError as error:
            return error

    async def _value(self, place: Place, version: str) -> RemoteValue:
        if version and _VERSION.fullmatch(version) is None:
            raise ProviderError(
                f'version "{version[:64]}" of {_what(place)} is no number',
                hint="Vault numbers versions from 1; leave it out for the current one",
            )
        params = {"version": version} if version else {}
        asked = self._connection.asked(place.value, what=_what(place, version))
        answer = await self._ask("GET", place, place.value, asked, params)
        if not self._versioned:
            return await self._as_value(answer.document.get("data"), "", asked, answer.size)
        metadata = mapping_of(answer.data.get("metadata"))
        if "data" not in answer.data:
            raise await self._unversioned(place, asked)
        if answer.data["data"] is None:
            raise _gone(place, version, metadata)
        return await self._as_value(answer.data["data"], _number(metadata.get("version")), asked, answer.size)

    async def _as_value(self, data: Any, version: str, asked: Asked, size: int) -> RemoteValue:
        """What a secret holds, as the value of the remote secret.

        Raises:
            Malformed: it is no object.
        """
        if not isinstance(data, Mapping):
            raise unreadable(asked)
        try:
            return RemoteValue(SecretBytes(await self._connection.compute(size, go_text, data)), version)
        except ValueError:
            failure = unreadable(asked)
        raise failure

    async def metadata(self, place: Place) -> dict[str, str]:
        """A secret's metadata: its custom_metadata, and what the engine tells.

        Raises:
            ProviderError: there is none, or Vault refuses.
        """
        if not self._versioned:
            raise ProviderError(
                "metadataPolicy Fetch needs version v2 of the KV engine", hint="Version 1 has no metadata"
            )
        asked = self._connection.asked(place.metadata, what=f"the metadata of {_what(place)}")
        answer = await self._ask("GET", place, place.metadata, asked)
        if not answer.data:
            raise unreadable(asked)
        try:
            return await self._connection.compute(answer.size, _metadata_of, answer.data)
        except ValueError:
            failure = unreadable(asked)
        raise failure

    async def _ask(
        self, method: str, place: Place, path: str, asked: Asked, params: Mapping[str, str] | None = None
    ) -> Answer:
        """One call, and the true reason where Vault refuses.

        Raises:
            ProviderError: there is no answer.
        """
        try:
            async with self._gate:
                return await self._connection.request(method, path, params=params, asked=asked)
        except (NothingThere, Denied, NoMount) as error:
            refused = error
        # Raised here and not above, so that nothing of the answer stays with it.
        raise await self._reason(refused, place, asked, (params or {}).get("version", ""))

    async def _reason(
        self, refused: NothingThere | Denied | NoMount, place: Place, asked: Asked, version: str
    ) -> ProviderError:
        """Why Vault refuses.

        Raises:
            ProviderError: it could not be asked for that.
        """
        if isinstance(refused, NoMount):
            return ProviderError(
                f'{asked.service} has no secrets engine at "{place.mount}"{asked.within}', hint=refused.hint
            )
        if isinstance(refused, Denied):
            return await self._explained(refused, place)
        data = mapping_of(refused.refusal.data)
        if self._versioned and "metadata" in data:
            return _gone(place, version, mapping_of(data["metadata"]))
        return await self._explained(refused, place, refused.refusal.warned)

    async def _explained(self, error: ProviderError, place: Place, warned: bool = False) -> ProviderError:
        """The failure, or what is behind it: an engine of another kind or version."""
        mount = await self._mount(place)
        product = self._connection.identity.product
        if warned or (mount.engine == "kv" and mount.version != _version_name(self._versioned)):
            return _other_version(place, self._versioned, product)
        if mount.engine and mount.engine not in ("kv", "generic"):
            return ProviderError(
                f'"{place.mount}" in {product} is no KV engine, but {mount.engine[:40]}',
                hint="Check the store's path; other engines are for VaultDynamicSecret",
            )
        # Anew, as what they are to everybody else, and without what the answer held.
        plain = RemoteSecretNotFound if isinstance(error, NothingThere) else AccessDenied
        return plain(error.message, hint=error.hint)

    async def _unversioned(self, place: Place, asked: Asked) -> ProviderError:
        """Why an answer has not the form of version 2."""
        mount = await self._mount(place)
        if mount.engine and mount.version != "2":
            return _other_version(place, self._versioned, self._connection.identity.product)
        return unreadable(asked)

    async def _mount(self, place: Place) -> _Mount:
        """How the mount is, as far as Vault tells this identity.

        Raises:
            ProviderError: Vault could not be asked: then nobody knows whether it is the mount that is wrong.
        """
        now = asyncio.get_running_loop().time()
        known = self._mounts.get(place.mount)
        if known is not None and now - known.known_at < _EXPLAINED_S:
            return known
        path = f"sys/internal/ui/mounts/{place.mount}"
        engine = version = ""
        try:
            answer = await self._connection.request(
                "GET", path, asked=self._connection.asked(path, call="ReadMount")
            )
        except (AccessDenied, BadRequest, RemoteSecretNotFound):
            pass  # the failure that is to be explained tells enough
        else:
            engine = text_of(answer.data.get("type"))
            version = text_of(mapping_of(answer.data.get("options")).get("version")) or "1"
        if len(self._mounts) >= _MOST_MOUNTS:
            self._mounts.clear()
        found = self._mounts[place.mount] = _Mount(engine, version, now)
        return found

    # -- search

    async def find(self, find: Find) -> Sequence[Found]:
        """See `ports.StoreClient.find`. Names come from lists, values through `read`."""
        search = Search(find, self._path, versioned=self._versioned)
        names = await Lister(self._list, search).names()
        if find.tags:
            fitting = await asyncio.gather(*(self._carries(search, name) for name in names))
            names = [name for name, fits in zip(names, fitting, strict=True) if fits]
        return [Found(name, Read(name)) for name in names]

    async def _list(self, folder: Place) -> list[str]:
        """The names in a folder; those of folders end with a slash. None at all is no failure."""
        asked = self._connection.asked(
            f"{folder.metadata}/", "list", what=f'"{folder.canonical}/"', call="ListSecrets"
        )
        try:
            answer = await self._ask("LIST", folder, folder.metadata, asked)
        except RemoteSecretNotFound:
            return []
        keys = answer.data.get("keys")
        if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
            raise unreadable(asked)
        return [str(key) for key in keys]

    async def _carries(self, search: Search, name: str) -> bool:
        place = place_of(name, self._path, versioned=self._versioned)
        try:
            metadata = await self.metadata(place)
        except RemoteSecretNotFound:
            return False  # gone since it was listed
        return search.carries(metadata)

    # -- the rest of the port

    async def validate(self) -> Verdict:
        """Log in, and have Vault look the token up: no value is read."""
        token = await self._connection.token()
        asked = self._connection.asked(LOOKUP, what="looking up its own token", call="LookupSelf")
        try:
            await self._connection.request("GET", LOOKUP, asked=asked, login=True)
        except BadToken:
            await (
                self._connection.renew()
            )  # it was revoked or used up: what counts is whether there is another
        except Denied as error:
            if not token.own:
                raise AuthFailed(error.message, hint=error.hint) from None
            # The login has proven who we are; its policies let it read secrets, and not its token.
        return Verdict.READY

    async def renew(self) -> None:
        """See `ports.StoreClient.renew`."""
        await self._connection.renew()

    async def close(self) -> None:
        """See `ports.StoreClient.close`."""
        if not self._closed:
            self._closed = True
            await self._vaults.release(self._connection)


_MOST_MOUNTS: Final = 256


def _what(place: Place, version: str = "") -> str:
    told = f' in version "{version[:64]}"' if version else ""
    return f'remote secret "{place.canonical}"{told}'


def _metadata_of(data: Mapping[str, Any]) -> dict[str, str]:
    """What a secret's metadata tells, as texts.

    Raises:
        ValueError: it is nested too deep.
    """
    found = {name: _plain(data[name]) for name in _SYSTEM_METADATA if data.get(name) is not None}
    return found | {name: _plain(value) for name, value in mapping_of(data.get("custom_metadata")).items()}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else go_text(value)


def _number(value: Any) -> str:
    return str(value) if isinstance(value, Number | int) and not isinstance(value, bool) else ""


def _version_name(versioned: bool) -> str:
    return "2" if versioned else "1"


def _gone(place: Place, version: str, metadata: Mapping[str, Any]) -> RemoteSecretNotFound:
    """A version that was there."""
    named = version or _number(metadata.get("version"))
    told = f"version {named[:64]} of {_what(place)}" if named and named != "0" else _what(place)
    if metadata.get("destroyed") is True:
        return RemoteSecretNotFound(
            f"{told} is destroyed", hint="Its value is lost: write a new one, or name another version"
        )
    return RemoteSecretNotFound(
        f"{told} is deleted",
        hint=f"Bring it back (vault kv undelete -mount={place.mount}), write a new one, or name another version",
    )


def _other_version(place: Place, versioned: bool, product: str) -> ProviderError:
    has, says = ("v1", "v2") if versioned else ("v2", "v1")
    return ProviderError(
        f'the KV engine at "{place.mount}" in {product} has version {has}, and the store says {says}',
        hint=f"Set the store's version to {has}",
    )
