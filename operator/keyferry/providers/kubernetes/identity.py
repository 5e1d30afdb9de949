"""Who asks which API server, for a store and a namespace. The result has a fingerprint; `client` uses it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import msgspec

from keyferry.api.meta import NamespacedReference, SecretKeySelector, ServiceAccountSelector
from keyferry.api.providers.kubernetes import KubernetesAuth
from keyferry.api.providers.kubernetes import KubernetesProvider as KubernetesBlock
from keyferry.clock import Clock
from keyferry.clusters import Bearer, ClientCertificate, Clusters, ClusterTarget
from keyferry.core.stores import check_references, effective_namespace, references
from keyferry.errors import ForbiddenError, SpecError
from keyferry.ports import BoundToken, ClusterAccess, StoreView
from keyferry.providers.kubernetes.kubeconfig import read_kubeconfig
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.trust import Trust
from keyferry.secretdata import SecretBytes

PATH: Final = "spec.provider.kubernetes"
URL: Final = f"{PATH}.server.url"
TOKEN_LIFETIME_S: Final = 600
"""The API server issues none that ends sooner."""
RENEW_BEFORE: Final = timedelta(seconds=TOKEN_LIFETIME_S / 5)
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount of this cluster, whose tokens are asked for as needed.

    Args:
        audiences: those that the manifest names.
        own: whether the tokens are for this cluster's API server, and go to nobody else.
    """

    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...]
    own: bool


@dataclass(frozen=True, slots=True)
class KubernetesIdentity:
    """Who asks where.

    Args:
        server, where, ca_pem: see `clusters.ClusterTarget`, whose `field` is `where`.
        host: the server as texts name it.
        namespace: whose Secrets are read.
        account, token, certificate: who asks: an account, or a token, a certificate or both.
    """

    server: str
    where: str
    host: str
    namespace: str
    ca_pem: bytes = field(default=b"", repr=False)
    account: Account | None = None
    token: SecretBytes | None = field(default=None, repr=False)
    certificate: ClientCertificate | None = field(default=None, repr=False)

    def fingerprint(self) -> str:
        """Hash over all that decides what may be read."""
        pair, account = self.certificate, self.account
        parts = (
            "kubernetes",
            self.server,
            self.where,
            self.namespace,
            self.ca_pem,
            msgspec.to_builtins(account) if account is not None else None,
            self.token.reveal() if self.token is not None else None,
            (pair.certificate, pair.key.reveal()) if pair is not None else None,
        )
        return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()

    def target(self, bearer: Bearer | None, share: str = "") -> ClusterTarget:
        """Where and who, for the port. The share is no part of the identity: who connects first gives it."""
        return ClusterTarget(self.server, self.where, self.ca_pem, bearer, self.certificate, share)


class FixedBearer:
    """A token that a Secret holds."""

    renewable = False

    def __init__(self, token: SecretBytes) -> None:
        self._token = token

    async def token(self) -> SecretBytes:
        """See `clusters.Bearer.token`."""
        return self._token

    def refused(self) -> None:
        """There is no other: when the Secret changes, there is another identity."""


class AccountBearer:
    """Tokens of a ServiceAccount, each renewed well before its end.

    Args:
        account: whose.
        cluster: asked for them.
        clock: to know when one ends.
    """

    renewable = True

    def __init__(self, account: Account, cluster: ClusterAccess, clock: Clock) -> None:
        self._account = account
        self._cluster = cluster
        self._clock = clock
        self._bound: BoundToken | None = None
        self._asking = asyncio.Lock()

    async def token(self) -> SecretBytes:
        """See `clusters.Bearer.token`."""
        async with self._asking:
            if self._bound is None or self._clock.now() >= self._bound.expires_at - RENEW_BEFORE:
                account = self._account
                self._bound = await self._cluster.request_token(
                    account.namespace,
                    account.name,
                    account.audiences,
                    TOKEN_LIFETIME_S,
                    api_server=account.own,
                )
            return self._bound.token

    def refused(self) -> None:
        """See `clusters.Bearer.refused`."""
        self._bound = None


def block_of(store: StoreView) -> KubernetesBlock:
    """The store's kubernetes block.

    Raises:
        SpecError: it has none.
    """
    if not isinstance(store.block, KubernetesBlock):
        raise SpecError(f"{store.key} is no kubernetes store")
    return store.block


@dataclass(frozen=True, slots=True)
class Gathering:
    """Checks blocks, and gathers who asks.

    Args:
        clusters: tells this cluster from others.
        outgoing: tells what may be connected to.
    """

    clusters: Clusters
    outgoing: Outgoing

    def check(self, store: StoreView) -> None:
        """Check the block without asking anybody.

        Raises:
            SpecError, ForbiddenError: see `ports.Provider.check`.
        """
        block = block_of(store)
        check_references(block, store.key.namespace, PATH)
        if _NAMESPACE.fullmatch(block.remote_namespace) is None:
            raise SpecError(f"{PATH}.remoteNamespace is no name of a namespace")
        if block.auth_ref is not None:
            _check_selector(block.auth_ref, f"{PATH}.authRef")
            return
        if block.auth is None:
            raise SpecError(
                f"{PATH} has neither auth nor authRef: the operator's own rights are not lent to stores",
                hint="Say who reads: auth.serviceAccount, auth.token or auth.cert, or a kubeconfig in authRef",
            )
        server = self._server(block.server.url, URL)
        _check_auth(block.auth, own=not server)

    def _server(self, url: str, where: str) -> str:
        """The base URL; empty for this cluster.

        Raises:
            SpecError: it is none.
            ForbiddenError: it is none that may be connected to.
        """
        if self.clusters.is_own(url):
            return ""
        base = self.outgoing.check(url, "", where).base
        if not base.lower().startswith("https://"):
            raise SpecError(f"{where} must begin with https://", hint="Credentials are sent there")
        return base

    async def gather(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> KubernetesIdentity:
        """The identity for a namespace, with its auth material read.

        Raises:
            KeyferryError: material is missing or refused.
        """
        block = block_of(store)
        reader = _Reader(store, namespace, cluster)
        if block.auth_ref is not None:
            return await self._by_kubeconfig(block, block.auth_ref, reader)
        if block.auth is None:  # `check` has said so
            raise SpecError(f"{PATH} has neither auth nor authRef")
        server = self._server(block.server.url, URL)
        trust = Trust(block.server.ca_bundle, block.server.ca_provider, f"{PATH}.server")
        ca_pem = await trust.read(store.key.namespace, namespace, cluster)
        identity = KubernetesIdentity(server, URL, _host(server), block.remote_namespace, ca_pem)
        auth = block.auth
        if auth.service_account is not None:
            account = await reader.account(auth.service_account, own=not server)
            return replace(identity, account=account)
        if auth.token is not None:
            field_ = f"{PATH}.auth.token.bearerToken"
            token = await reader.value(auth.token.bearer_token, field_)
            return replace(identity, token=_clean(token, field_))
        if auth.cert is None:
            raise SpecError(f"{PATH}.auth names nobody")
        certificate = await reader.value(auth.cert.client_cert, f"{PATH}.auth.cert.clientCert")
        key = await reader.value(auth.cert.client_key, f"{PATH}.auth.cert.clientKey")
        return replace(identity, certificate=ClientCertificate(certificate.reveal(), key))

    async def _by_kubeconfig(
        self, block: KubernetesBlock, selector: SecretKeySelector, reader: _Reader
    ) -> KubernetesIdentity:
        where = f'Secret "{reader.namespace_of(selector, f"{PATH}.authRef")}/{selector.name}", key "{selector.key}"'
        found = read_kubeconfig(await reader.value(selector, f"{PATH}.authRef"), where)
        field_ = f"the server of the kubeconfig in {where}"
        server = self._server(found.server, field_)
        return KubernetesIdentity(
            server,
            field_,
            _host(server),
            block.remote_namespace,
            found.ca_pem,
            token=_clean(found.token, f"the token of the kubeconfig in {where}") if found.token else None,
            certificate=found.certificate,
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what a store refers to."""

    store: StoreView
    referent: str
    cluster: ClusterAccess

    def namespace_of(self, reference: NamespacedReference, field_: str) -> str:
        found = effective_namespace(reference, self.store.key.namespace, self.referent)
        if not found:
            raise ForbiddenError(f"{field_} names no namespace, which only an ExternalSecret can fill in")
        return found

    async def value(self, selector: SecretKeySelector, field_: str) -> SecretBytes:
        namespace = self.namespace_of(selector, field_)
        found = (await self.cluster.read_secret(namespace, selector.name)).data.get(selector.key)
        if not found:
            raise SpecError(
                f'{field_}: Secret "{namespace}/{selector.name}" has nothing under the key "{selector.key}"'
            )
        return found

    async def account(self, selector: ServiceAccountSelector, *, own: bool) -> Account:
        namespace = self.namespace_of(selector, f"{PATH}.auth.serviceAccount")
        found = await self.cluster.read_service_account(namespace, selector.name)
        return Account(namespace, selector.name, found.uid, selector.audiences, own)


def depends_on_namespace(store: StoreView) -> bool:
    """Whether each ExternalSecret's namespace makes an identity of its own."""
    block = block_of(store)
    used: Iterable[NamespacedReference]
    if block.auth_ref is not None:
        used = (block.auth_ref,)
    else:
        used = (reference for part in (block.server, block.auth) for _, reference in references(part))
    return store.cluster_scoped and any(not reference.namespace for reference in used)


def _check_auth(auth: KubernetesAuth, *, own: bool) -> None:
    given = [one for one in (auth.service_account, auth.token, auth.cert) if one is not None]
    if len(given) != 1:
        raise SpecError(f"{PATH}.auth: exactly one of serviceAccount, token and cert must be set")
    if auth.token is not None:
        _check_selector(auth.token.bearer_token, f"{PATH}.auth.token.bearerToken")
    if auth.cert is not None:
        _check_selector(auth.cert.client_cert, f"{PATH}.auth.cert.clientCert")
        _check_selector(auth.cert.client_key, f"{PATH}.auth.cert.clientKey")
    account = auth.service_account
    if account is not None and not own and not account.audiences:
        raise SpecError(
            f"{PATH}.auth.serviceAccount needs audiences: {URL} is not this cluster's API server, and a token "
            "for that one is given to nobody else",
            hint="Name the audiences that the other API server accepts, such as its issuer's",
        )


def _check_selector(selector: SecretKeySelector, field_: str) -> None:
    if not selector.name or not selector.key:
        raise SpecError(f"{field_} must have a name and a key")


def _clean(token: SecretBytes, field_: str) -> SecretBytes:
    """A token without the line break that `echo` leaves at its end.

    Raises:
        SpecError: what is left cannot go into a header.
    """
    plain = token.reveal().strip()
    if _TOKEN.fullmatch(plain) is None:
        raise SpecError(f"{field_} is no token: it has characters that no token has, or none at all")
    return SecretBytes(plain)


def _host(server: str) -> str:
    """The server as texts name it."""
    if not server:
        return "this cluster's API server"
    return f"the API server at {server.partition('://')[2].partition('/')[0]}"
