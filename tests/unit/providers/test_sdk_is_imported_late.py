"""A process pays for the AWS SDK when a store first asks AWS, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRELUDE = """
import asyncio, sys
from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.planner.cache import Freshness
from keyferry.planner.planner import Planner
from keyferry.errors import NotAvailableError
from keyferry.ports import ObjectKey, Read, SecretObject, StoreView
from keyferry.providers.registry import ProviderSettings, build_providers
from keyferry.secretdata import SecretData

def store(provider, block):
    spec = convert({"provider": {provider: block}}, SecretStoreSpec)
    return StoreView.of(ObjectKey("SecretStore", "team-a", "main"), spec)

async def read(store):
    planner = Planner(build_providers(ProviderSettings()), None, lambda key: None)
    binding = await planner.bind(store, "team-a")
    answer = await binding.session.read(Read("a"), Freshness(0, 0), ())
    await planner.close()
    return answer

def loaded():
    return sorted({name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore", "urllib3", "moto"})
"""
FAKE = """
answer = asyncio.run(read(store("fake", {"data": [{"key": "a", "value": "b"}]})))
print(type(answer).__name__, *loaded())
"""
AWS_BOUND = """
async def bind(store):
    planner = Planner(build_providers(ProviderSettings()), None, lambda key: None)
    binding = await planner.bind(store, "team-a")
    await planner.close()
asyncio.run(bind(store("aws", {"service": "SecretsManager", "region": "eu-central-1"})))
print(*loaded())
"""
AWS_READ = """
answer = asyncio.run(read(store("aws", {"service": "SecretsManager", "region": "eu-central-1"})))
print(type(answer).__name__, *loaded())
"""


WITHOUT_SDK = """
sys.modules["botocore"] = None

class Keys:
    async def read_secret(self, namespace, name):
        return SecretObject("uid", "1", SecretData({"k": "AKIAEXAMPLEEXAMPLE00"}))

async def validate(block):
    planner = Planner(build_providers(ProviderSettings()), Keys(), lambda key: None)
    binding = await planner.bind(store("aws", {"service": "SecretsManager", "region": "eu-central-1"} | block), "team-a")
    for work in (binding.session.client.validate(), binding.session.read(Read("a"), Freshness(0, 0), ())):
        try:
            print(await work)
        except NotAvailableError as error:
            print(error)
    await planner.close()

key = {"name": "keys", "key": "k"}
role = "arn:aws:iam::123456789012:role/reader"
asyncio.run(validate({}))
asyncio.run(validate({"auth": {"secretRef": {"accessKeyIDSecretRef": key, "secretAccessKeySecretRef": key}}}))
asyncio.run(validate({"role": role}))
"""
MISSING = "provider aws needs the package botocore. Install keyferry[aws]"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param("print(*loaded())", "", id="start"),
        pytest.param(FAKE, "RemoteValue", id="fake-store"),
        pytest.param(AWS_BOUND, "", id="aws-store-that-nobody-has-read-from"),
        pytest.param(AWS_READ, "AuthFailed botocore urllib3", id="aws-store"),
        pytest.param(WITHOUT_SDK, "\n".join([MISSING] * 6), id="sdk-that-is-not-installed"),
    ],
)
def test_sdk_is_there_only_where_it_is_used(program, expected, tmp_path):
    environment = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "PATH": ""}

    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )

    assert ("", 0, expected) == (done.stderr, done.returncode, done.stdout.strip())
