"""The shared client of the SDK signs with what its caller brings, and with nothing that lies around."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from keyferry.errors import AuthFailed
from keyferry.providers.aws.sdk import SECRETS_MANAGER, AwsSdk, signing
from keyferry.providers.aws.settings import AwsCredentials
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import LeakDetector, canary

REGION = "eu-central-1"


@pytest.fixture
def sdk(monkeypatch):
    """An SDK with the operator's own keys in its environment, and an endpoint that nobody serves."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOROPERATOR")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "operator")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    made = AwsSdk()
    yield made
    made.close()


async def test_call_without_credentials_is_not_signed_with_the_operators(sdk):
    with pytest.raises(AuthFailed, match="no credentials to be signed with"):
        await sdk.call(SECRETS_MANAGER, REGION, "get_secret_value", None, SecretId="a")


async def test_credentials_of_one_call_are_not_there_for_the_next(sdk):
    credentials = signing(AwsCredentials("AKIAEXAMPLE", SecretBytes("secret"), None))
    with pytest.raises(Exception, match="Could not connect"):
        await sdk.call(SECRETS_MANAGER, REGION, "get_secret_value", credentials, SecretId="a")

    with pytest.raises(AuthFailed, match="no credentials"):
        await sdk.call(SECRETS_MANAGER, REGION, "get_secret_value", None, SecretId="a")


async def test_calls_at_the_same_time_are_signed_each_with_its_own(sdk):
    client = await sdk._client(SECRETS_MANAGER, REGION)  # to see what would go over the wire
    seen = {}

    def look(request, **_):
        body = request.body if isinstance(request.body, bytes) else request.body.encode()
        seen[body.decode()] = request.headers["Authorization"].decode().split("Credential=")[1].split("/")[0]

    client.client.meta.events.register("before-send.secrets-manager.GetSecretValue", look)
    names = [f"AKIA{number:016}" for number in range(30)]

    async def call(name):
        credentials = signing(AwsCredentials(name, SecretBytes("secret"), None))
        await sdk.call(SECRETS_MANAGER, REGION, "get_secret_value", credentials, SecretId=name)

    await asyncio.gather(*map(call, names), return_exceptions=True)

    assert {f'{{"SecretId": "{name}"}}': name for name in names} == seen


def test_credentials_show_and_store_nothing():
    credentials = AwsCredentials("AKIAEXAMPLE", SecretBytes(canary("key")), SecretBytes(canary("token")))

    assert [] == LeakDetector().look("credentials", f"{credentials!r} {credentials}")
    with pytest.raises(TypeError):
        pickle.dumps(credentials)
