"""What every provider is asked here: the same questions, put to a backend of its own.

A `Backend` holds remote secrets and makes stores and clients for them. `fake`, `aws` and `webhook` are there; a
further provider adds a class with these few methods and a name in `BACKENDS`. AWS and the webhook's server are
strict doubles;
the cluster's side (auth Secrets, ServiceAccounts, tokens) is `Cluster`, in memory.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol

import botocore.loaders
import botocore.session
import pytest

from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.clock import SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.ports import (
    ObjectKey,
    Provider,
    StoreClient,
    StoreView,
)
from keyferry.providers.aws import AWSProvider
from keyferry.providers.fake import FakeProvider
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.webhook import WebhookProvider
from keyferry.testing.aws import Administrator, StrictAws
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.leaks import canary
from keyferry.testing.webhook import WebhookDouble

REGION = "eu-central-1"


def make_view(
    provider: str, block: Mapping[str, Any], *, namespace: str = "team-a", name: str = "main"
) -> StoreView:
    """A store as its provider sees it; without a namespace a ClusterSecretStore."""
    kind = "SecretStore" if namespace else "ClusterSecretStore"
    spec = convert({"provider": {provider: block}}, SecretStoreSpec)
    return StoreView.of(ObjectKey(kind, namespace, name), spec)


class Backend(Protocol):
    """One kind of store with remote secrets in it."""

    provider: Provider
    cluster: Cluster
    keeps_bytes: bool
    """Whether a value may be no text."""
    finds: bool
    """Whether it can be searched."""

    def put(self, key: str, value: str | bytes) -> str:
        """Give a remote secret a new current value; how a manifest names that version."""
        ...

    def view(self) -> StoreView:
        """A store that may read everything here."""
        ...


class FakeBackend:
    keeps_bytes = False
    finds = True

    def __init__(self, cluster: Cluster) -> None:
        self.provider = FakeProvider()
        self.cluster = cluster
        self._entries: dict[tuple[str, str], str | bytes] = {}

    def put(self, key: str, value: str | bytes) -> str:
        version = f"v{len(self._entries)}"
        self._entries[key, ""] = self._entries[key, version] = value
        return version

    def view(self) -> StoreView:
        data = [{"key": k, "version": v, "value": value} for (k, v), value in self._entries.items()]
        return make_view("fake", {"data": data})


class AWSBackend:
    keeps_bytes = True
    finds = True

    def __init__(self, cluster: Cluster, administrator: Administrator) -> None:
        self.provider = AWSProvider()
        self.cluster = cluster
        self.administrator = administrator
        everything = administrator.read_policy(["*"], find=True)
        keys = administrator.create_user(f"reader-{secrets.token_hex(4)}", policy=everything)
        cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)

    def put(self, key: str, value: str | bytes) -> str:
        return f"uuid/{self.administrator.put_secret(key, value)}"

    def view(self) -> StoreView:
        return make_view("aws", aws_block(auth=key_auth("keys")))


class WebhookBackend:
    keeps_bytes = True
    finds = False

    def __init__(self, cluster: Cluster, server: WebhookDouble) -> None:
        outgoing = Outgoing(AddressPolicy(["127.0.0.1"]), SystemClock())
        self.provider = WebhookProvider(outgoing, SystemClock(), secrets.token_bytes)
        self.cluster = cluster
        self.server = server
        server.let_in(canary("webhook-token"))
        cluster.put_secret("team-a", "webhook", token=canary("webhook-token"))
        cluster.label_secret("team-a", "webhook", type="webhook")

    def put(self, key: str, value: str | bytes) -> str:
        return self.server.put(key, value)

    def view(self, **changes: Any) -> StoreView:
        return make_view("webhook", webhook_block(self.server.url, **changes))


def webhook_block(server: str, **changes: Any) -> dict[str, Any]:
    block = {
        "url": f"{server}/secrets?key={{{{ .remoteRef.key }}}}&version={{{{ .remoteRef.version }}}}",
        "headers": {"Authorization": "Bearer {{ .auth.token }}"},
        "secrets": [{"name": "auth", "secretRef": {"name": "webhook"}}],
        **changes,
    }
    return {key: value for key, value in block.items() if value is not None}


def aws_block(**changes: Any) -> dict[str, Any]:
    return {"service": "SecretsManager", "region": REGION} | changes


def key_auth(name: str, *, session_token: bool = False, namespace: str | None = None) -> dict[str, Any]:
    """An auth block for the keys in a Secret made with `id`, `secret` and, if so, `token`."""
    where = {"name": name} | ({"namespace": namespace} if namespace else {})
    refs = {
        "accessKeyIDSecretRef": where | {"key": "id"},
        "secretAccessKeySecretRef": where | {"key": "secret"},
    }
    if session_token:
        refs["sessionTokenSecretRef"] = where | {"key": "token"}
    return {"secretRef": refs}


@pytest.fixture(scope="session")
def running_aws() -> Iterator[StrictAws]:
    with StrictAws() as aws:
        yield aws


@pytest.fixture(scope="session", autouse=True)
def definitions_are_read_once() -> Iterator[None]:
    """The SDK parses a service's definition again for each provider that a test makes; most of its time goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own AWS set-up reaches a test."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws(running_aws: StrictAws, own_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictAws]:
    """The double without faults and with an empty call log; the SDK's own variables point at it."""
    control = running_aws.control
    control.clear_faults()
    control.session_lifetime(0)
    control.reset_calls()
    for name, value in running_aws.environment.items():
        monkeypatch.setenv(name, value)
    yield running_aws
    control.clear_faults()
    control.session_lifetime(0)


@pytest.fixture
def administrator(aws: StrictAws) -> Administrator:
    return aws.administrator(region=REGION)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def unique() -> str:
    """A name that no other test has."""
    return f"t{secrets.token_hex(5)}"


@pytest.fixture
def webhook_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookDouble]:
    """The server behind webhook stores. No proxy of the developer's is in between."""
    import os

    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with WebhookDouble() as server:
        yield server


@pytest.fixture(params=["fake", "aws", "webhook"])
async def backend(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Backend]:
    made: Backend
    if request.param == "fake":
        made = FakeBackend(cluster)
    elif request.param == "webhook":
        made = WebhookBackend(cluster, request.getfixturevalue("webhook_server"))
    else:
        made = AWSBackend(cluster, request.getfixturevalue("administrator"))
    yield made
    await made.provider.close()


@pytest.fixture
async def connect(cluster: Cluster) -> AsyncIterator[Callable[..., Any]]:
    """Make clients; they are closed with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(provider: Provider, view: StoreView, namespace: str = "team-a") -> StoreClient:
            provider.check(view)
            client = await provider.connect(await provider.identify(view, namespace, cluster))
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture(scope="session")
def toolbox() -> Any:
    """The functions of this file, for modules that cannot import a conftest."""

    class Toolbox:
        Cluster = Cluster
        AWSBackend = AWSBackend
        FakeBackend = FakeBackend
        WebhookBackend = WebhookBackend
        view = staticmethod(make_view)
        aws_block = staticmethod(aws_block)
        webhook_block = staticmethod(webhook_block)
        key_auth = staticmethod(key_auth)

    return Toolbox
