"""The connections that are in use, by who asks: shared by stores and generators, ended by the last to go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from keyferry.aio import TaskBag
from keyferry.api.providers.vault import VaultProvider as VaultBlock
from keyferry.ports import ClusterAccess, ObjectKey
from keyferry.providers.vault.checks import Place, Rules
from keyferry.providers.vault.connection import VaultConnection
from keyferry.providers.vault.google import GoogleTokens
from keyferry.providers.vault.identity import VaultIdentity
from keyferry.providers.vault.lent import AwsLogins
from keyferry.providers.vault.material import Gathering
from keyferry.providers.vault.way import Ways

log = logging.getLogger(__name__)


class Vaults:
    """Connections by who asks. One per process and product.

    Args:
        product: Vault or OpenBao.
        rules: what the flags say.
        google: for Google's tokens.
        aws: lends AWS identities.
    """

    def __init__(
        self, product: str, rules: Rules, google: GoogleTokens, aws: AwsLogins | None = None
    ) -> None:
        self._product = product
        self._rules = rules
        self._google = google
        self._aws = aws
        self._ways = Ways(rules.addresses)
        self._connections: dict[str, VaultConnection] = {}
        self._graces: dict[str, asyncio.TimerHandle] = {}
        self._tasks = TaskBag()

    def check(self, block: VaultBlock, owner: ObjectKey, path: str) -> None:
        """Check a block without asking anybody.

        Args:
            owner: the store or generator that holds it.
            path: where it stands in its spec, for errors.

        Raises:
            SpecError, NotAvailableError, ForbiddenError: see `ports.Provider.check`.
        """
        self._rules.check(block, Place(owner, path))

    async def identify(
        self, block: VaultBlock, owner: ObjectKey, namespace: str, cluster: ClusterAccess, path: str
    ) -> VaultIdentity:
        """Who asks for an ExternalSecret of a namespace, with the auth material read.

        Raises:
            KeyferryError: material is missing or refused.
        """
        place = Place(owner, path)
        return await Gathering(place, namespace, cluster, self._rules, self._aws, self._product).identity(
            block
        )

    def open(self, identity: VaultIdentity, cluster: ClusterAccess) -> VaultConnection:
        """The connection of an identity, shared by all that open it. Nobody is asked yet."""
        key = identity.fingerprint
        connection = self._connections.get(key)
        if connection is None:
            connection = VaultConnection(identity, cluster, self._ways, self._google)
            self._connections[key] = connection
        connection.users += 1
        if (grace := self._graces.pop(key, None)) is not None:
            grace.cancel()
        return connection

    async def release(self, connection: VaultConnection, grace_s: float = 0.0) -> None:
        """Its user needs it no more; after the last one it ends.

        Args:
            grace_s: how long it waits for the next.
        """
        connection.users -= 1
        if connection.users:
            return
        if grace_s:
            key = connection.fingerprint
            loop = asyncio.get_running_loop()
            self._graces[key] = loop.call_later(grace_s, self._end_if_unused, connection)
        else:
            self._drop(connection)
            await connection.close()

    def _end_if_unused(self, connection: VaultConnection) -> None:
        self._graces.pop(connection.fingerprint, None)
        if not connection.users:
            self._drop(connection)
            self._tasks.spawn(connection.close(), name="vault connection")

    def _drop(self, connection: VaultConnection) -> None:
        if self._connections.get(connection.fingerprint) is connection:
            del self._connections[connection.fingerprint]

    @property
    def connections(self) -> Mapping[str, VaultConnection]:
        """The connections there are, by fingerprint."""
        return self._connections

    async def close(self) -> None:
        """End all connections."""
        for grace in self._graces.values():
            grace.cancel()
        self._graces.clear()
        await self._tasks.close()
        connections, self._connections = list(self._connections.values()), {}
        await asyncio.gather(*(connection.close() for connection in connections), return_exceptions=True)
        self._ways.close()
        await self._google.close()
        if unended := [one for one in connections if one.users]:
            log.debug("%d connections to Vault were in use at the end", len(unended))
