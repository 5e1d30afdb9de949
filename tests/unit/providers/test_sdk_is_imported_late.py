"""A process pays for a store's SDK when a store first asks, and not before."""

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
    sdks = {"azure", "boto3", "botocore", "hvac", "kubernetes", "moto", "msal", "requests", "urllib3"}
    return sorted({name.partition(".")[0] for name in sys.modules} & sdks)
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


PARAMETERS_READ = """
answer = asyncio.run(read(store("aws", {"service": "ParameterStore", "region": "eu-central-1"})))
print(type(answer).__name__, *loaded())
"""
AZURE = """
import os
os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"  # nobody is there

class Keys:
    async def read_secret(self, namespace, name):
        return SecretObject("uid", "1", SecretData({"k": "11111111-2222-3333-4444-555555555555"}))

async def ask(read):
    planner = Planner(build_providers(ProviderSettings()), Keys(), lambda key: None)
    keys = {"name": "keys", "key": "k"}
    block = {
        "vaultUrl": "https://team.vault.azure.net",
        "authType": "ServicePrincipal",
        "tenantId": "11111111-2222-3333-4444-555555555555",
        "authSecretRef": {"clientId": keys, "clientSecret": keys},
    }
    binding = await planner.bind(store("azurekv", block), "team-a")
    if read:
        print(type(await binding.session.read(Read("a"), Freshness(0, 0), ())).__name__)
    await planner.close()
"""
VAULT = """
class Keys:
    async def read_secret(self, namespace, name):
        return SecretObject("uid", "1", SecretData({"k": "token"}))

async def ask(read):
    planner = Planner(build_providers(ProviderSettings()), Keys(), lambda key: None)
    auth = {"tokenSecretRef": {"name": "keys", "key": "k"}}
    vault = store("vault", {"server": "https://vault.invalid", "path": "kv", "auth": auth})
    binding = await planner.bind(vault, "team-a")
    if read:
        try:
            answer = await binding.session.read(Read("a"), Freshness(0, 0), ())
        except NotAvailableError as error:
            answer = error
        print(answer if isinstance(answer, NotAvailableError) else type(answer).__name__)
    await planner.close()
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
        pytest.param(PARAMETERS_READ, "AuthFailed botocore urllib3", id="parameter-store"),
        pytest.param(
            AZURE + "asyncio.run(ask(False)); print(*loaded())",
            "",
            id="azure-store-that-nobody-has-read-from",
        ),
        pytest.param(
            AZURE + "asyncio.run(ask(True)); print(*loaded())", "Unavailable\nazure", id="azure-store"
        ),
        pytest.param(
            VAULT + "asyncio.run(ask(False)); print(*loaded())",
            "",
            id="vault-store-that-nobody-has-read-from",
        ),
        pytest.param(
            VAULT + "asyncio.run(ask(True)); print(*loaded())",
            "Unavailable\nhvac requests urllib3",
            id="vault-store",
        ),
        pytest.param(
            'sys.modules["hvac"] = None\n' + VAULT + "asyncio.run(ask(True))",
            "Vault as a store needs the package hvac. Install keyferry[vault]",
            id="vault-sdk-that-is-not-installed",
        ),
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
