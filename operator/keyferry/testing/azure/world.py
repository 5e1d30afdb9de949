"""All that there is in this Azure, and which service a request is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from keyferry.testing.azure import vaults
from keyferry.testing.azure.calls import CallRecord
from keyferry.testing.azure.clouds import CLOUDS, LOCAL, LOOPBACK, Cloud
from keyferry.testing.azure.entra import Asked, Entra, correlation_headers
from keyferry.testing.azure.identities import Identity
from keyferry.testing.azure.machine import Machine
from keyferry.testing.azure.registries import Registries, Registry
from keyferry.testing.azure.tokens import Tokens
from keyferry.testing.azure.vault import Vault
from keyferry.testing.azure.vaults import Vaults
from keyferry.testing.azure.wire import AzureError, Request
from keyferry.testing.httpdouble import Answer
from keyferry.testing.issuerkeys import IssuerKeys

Service = Literal["entra", "vault", "registry", "machine", "nobody"]
HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class Place:
    """Who is at a host and port."""

    service: Service
    cloud: Cloud | None = None
    vault: Vault | None = None
    registry: Registry | None = None


class World:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.tokens = Tokens()
        self.issuers = IssuerKeys()
        self.entra = Entra(self.tokens, self.issuers)
        self.vaults = Vaults(self.tokens)
        self.registries = Registries(self.tokens)
        self.machine = Machine(self.tokens)
        self.identities: dict[str, Identity] = {}
        """By client id."""
        self.login_port = 0
        """Where Entra ID of the local cloud is."""

    def knows(self, host: str) -> bool:
        """Whether somebody is at a host, at the usual port."""
        return host not in LOOPBACK and self.place(host, HTTPS).service != "nobody"

    def place(self, host: str, port: int) -> Place:
        """Who is at a host and port."""
        host = LOOPBACK[0] if host in LOOPBACK else host
        if (host, port) in self.vaults.by_host:
            return Place("vault", vault=self.vaults.by_host[host, port])
        if (host, port) in self.registries.by_host:
            return Place("registry", registry=self.registries.by_host[host, port])
        if host in LOOPBACK:
            return Place("entra", LOCAL) if port == self.login_port else Place("nobody")
        for cloud in CLOUDS.values():
            if host in cloud.login_hosts and port == HTTPS:
                return Place("entra", cloud)
        return Place("nobody")

    async def answer(self, request: Request, place: Place, record: CallRecord) -> Answer:
        """The answer to a request, whoever it is for.

        Raises:
            AzureError: as the service tells it.
        """

        def note(oid: str) -> None:
            record.oid = oid

        if place.cloud is not None:
            asked = Asked()
            try:
                return await self.entra.answer(request, place.cloud, asked)
            finally:
                record.client_id, record.oid, record.subject = asked.client_id, asked.oid, asked.subject
        if place.vault is not None:
            return self.vaults.answer(request, place.vault, note)
        if place.registry is not None:
            return self.registries.answer(request, place.registry, note)
        if place.service == "machine":
            answer, identity = self.machine.answer(request)
            record.oid, record.client_id = identity.oid, identity.client_id
            return answer
        raise AzureError(Answer(404), "NobodyHere")


def headers_of(service: Service, request: Request) -> dict[str, str]:
    """The headers that every answer of a service has."""
    makers: dict[str, Callable[[Request], dict[str, str]]] = {
        "entra": correlation_headers,
        "vault": vaults.headers_of,
    }
    return makers[service](request) if service in makers else {}
