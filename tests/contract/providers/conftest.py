"""What every provider is asked here: the same questions, put to a backend of its own.

See `backends.base`. The cluster's side (auth Secrets, ServiceAccounts, tokens) is `Cluster`, in memory.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from tests.contract.providers.backends import aws as aws_backend
from tests.contract.providers.backends import fake, webhook
from tests.contract.providers.backends.aws import REGION
from tests.contract.providers.backends.base import Backend, make_view
from tests.contract.providers.backends.every import BACKENDS
from tests.contract.providers.backends.kubernetes import SourceNamespace, proxied

from keyferry.localcluster import LocalCluster
from keyferry.ports import Provider, StoreClient, StoreView
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.aws import Administrator, StrictAws
from keyferry.testing.azure import Administrator as AzureAdministrator
from keyferry.testing.azure import StrictAzure
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.webhook import WebhookDouble


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
def azure_administrator(azure: StrictAzure, azure_environment: None) -> AzureAdministrator:
    """One who may do everything in a directory of the test's own; this process finds the double."""
    return azure.administrator()


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


@pytest.fixture(scope="session")
def source_namespace(control_plane: LocalCluster) -> SourceNamespace:
    """The namespace that kubernetes stores read."""
    return SourceNamespace(control_plane)


@pytest.fixture(scope="session")
def session_api_proxy(control_plane: LocalCluster) -> Iterator[ApiProxy]:
    with proxied(control_plane) as running:
        yield running


@pytest.fixture
def api_proxy(session_api_proxy: ApiProxy) -> Iterator[ApiProxy]:
    """The control plane by an address that can fail, and counts calls from the test's beginning."""
    session_api_proxy.reset_requests()
    yield session_api_proxy
    session_api_proxy.clear()


@pytest.fixture(params=BACKENDS)
async def backend(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Backend]:
    made = BACKENDS[request.param](request, cluster)
    yield made
    made.relieve()
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
        AWSBackend = aws_backend.AWSBackend
        FakeBackend = fake.FakeBackend
        WebhookBackend = webhook.WebhookBackend
        view = staticmethod(make_view)
        aws_block = staticmethod(aws_backend.aws_block)
        webhook_block = staticmethod(webhook.webhook_block)
        key_auth = staticmethod(aws_backend.key_auth)

    return Toolbox
