"""Which host is called: partitions, FIPS, dual-stack, private endpoints. A proxy sees it and lets nobody through."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import http.server
import threading

import pytest

from keyferry.errors import KeyferryError, ProviderError, SpecError, Unavailable
from keyferry.ports import Read
from keyferry.providers.aws import AWSProvider
from keyferry.providers.aws.sdk import MAX_UNLISTED_CLIENTS


class Gatekeeper:
    """An HTTPS proxy that notes which host is wanted, and refuses."""

    def __init__(self):
        self.wanted = []
        gatekeeper = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_CONNECT(self):
                gatekeeper.wanted.append(self.path)
                self.send_error(403)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gatekeeper(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Gatekeeper()
    monkeypatch.setenv("HTTPS_PROXY", made.url)
    yield made
    made.close()


@pytest.fixture
def wanted(gatekeeper, connect, toolbox, cluster):
    """The host that one read of a store wants, or that its login wants."""
    providers = []

    async def of(region, *, sts=False, service="SecretsManager"):
        cluster.put_secret("team-a", "keys", id="AKIAEXAMPLEEXAMPLE00", secret="secret")
        block = toolbox.aws_block(service=service, region=region, auth=toolbox.key_auth("keys"))
        if sts:
            block["role"] = "arn:aws:iam::123456789012:role/reader"
        providers.append(AWSProvider())
        client = await connect(providers[-1], toolbox.view("aws", block))
        with pytest.raises(Unavailable, match="proxy"):
            await client.read([Read("a")])
        await providers[-1].close()
        return gatekeeper.wanted.pop()

    return of


@pytest.mark.parametrize(
    ("region", "secrets_manager", "sts"),
    [
        (
            "eu-central-1",
            "secretsmanager.eu-central-1.amazonaws.com:443",
            "sts.eu-central-1.amazonaws.com:443",
        ),
        ("us-east-1", "secretsmanager.us-east-1.amazonaws.com:443", "sts.us-east-1.amazonaws.com:443"),
        (
            "cn-north-1",
            "secretsmanager.cn-north-1.amazonaws.com.cn:443",
            "sts.cn-north-1.amazonaws.com.cn:443",
        ),
        (
            "us-gov-west-1",
            "secretsmanager.us-gov-west-1.amazonaws.com:443",
            "sts.us-gov-west-1.amazonaws.com:443",
        ),
    ],
)
async def test_each_partition_has_its_own_hosts(wanted, region, secrets_manager, sts):
    assert (secrets_manager, sts) == (await wanted(region), await wanted(region, sts=True))


@pytest.mark.parametrize(
    ("settings", "region", "host"),
    [
        pytest.param({}, "eu-central-1", "ssm.eu-central-1.amazonaws.com:443", id="aws"),
        pytest.param({}, "cn-north-1", "ssm.cn-north-1.amazonaws.com.cn:443", id="china"),
        pytest.param(
            {"AWS_USE_FIPS_ENDPOINT": "true"}, "us-east-1", "ssm-fips.us-east-1.amazonaws.com:443", id="fips"
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL_SSM": "https://ssm.example.com"},
            "eu-central-1",
            "ssm.example.com:443",
            id="sdk",
        ),
        pytest.param(
            {
                "AWS_ENDPOINT_URL_SSM": "https://theirs.example.com",
                "AWS_SSM_ENDPOINT": "https://ours.example.com",
            },
            "eu-central-1",
            "ours.example.com:443",
            id="the-reference-operators-variable-goes-first",
        ),
    ],
)
async def test_parameter_store_has_hosts_of_its_own(wanted, monkeypatch, settings, region, host):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert host == await wanted(region, service="ParameterStore")


# Secrets Manager's dual-stack hosts are its plain ones; those of STS have a domain of their own.
SETTINGS = [
    pytest.param(
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        "us-east-1",
        "secretsmanager-fips.us-east-1.amazonaws.com:443",
        "sts-fips.us-east-1.amazonaws.com:443",
        id="fips",
    ),
    pytest.param(
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        "us-gov-east-1",
        "secretsmanager-fips.us-gov-east-1.amazonaws.com:443",
        "sts.us-gov-east-1.amazonaws.com:443",
        id="fips-in-govcloud",
    ),
    pytest.param(
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "eu-central-1",
        "secretsmanager.eu-central-1.amazonaws.com:443",
        "sts.eu-central-1.api.aws:443",
        id="dual-stack",
    ),
    pytest.param(
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "cn-north-1",
        "secretsmanager.cn-north-1.amazonaws.com.cn:443",
        "sts.cn-north-1.api.amazonwebservices.com.cn:443",
        id="dual-stack-in-china",
    ),
    pytest.param(
        {"AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_USE_FIPS_ENDPOINT": "true"},
        "us-west-2",
        "secretsmanager-fips.us-west-2.amazonaws.com:443",
        "sts-fips.us-west-2.api.aws:443",
        id="fips-and-dual-stack",
    ),
    pytest.param(
        {"AWS_ENDPOINT_URL": "https://gateway.example.com:8443"},
        "eu-central-1",
        "gateway.example.com:8443",
        "gateway.example.com:8443",
        id="sdk-variable-for-all-services",
    ),
    pytest.param(
        {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://sm.example.com",
            "AWS_ENDPOINT_URL_STS": "https://sts.example.com",
        },
        "eu-central-1",
        "sm.example.com:443",
        "sts.example.com:443",
        id="sdk-variables-of-each-service",
    ),
    pytest.param(
        {
            "AWS_SECRETSMANAGER_ENDPOINT": "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com",
            "AWS_STS_ENDPOINT": "https://vpce-2.sts.eu-central-1.vpce.amazonaws.com",
        },
        "eu-central-1",
        "vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com:443",
        "vpce-2.sts.eu-central-1.vpce.amazonaws.com:443",
        id="variables-of-the-reference-operator",
    ),
    pytest.param(
        {
            "AWS_SECRETSMANAGER_ENDPOINT": "https://ours.example.com",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://theirs.example.com",
        },
        "eu-central-1",
        "ours.example.com:443",
        "sts.eu-central-1.amazonaws.com:443",
        id="the-reference-operators-variable-goes-first",
    ),
]


@pytest.mark.parametrize(("settings", "region", "secrets_manager", "sts"), SETTINGS)
async def test_settings_of_the_surroundings_choose_the_host(
    wanted, monkeypatch, settings, region, secrets_manager, sts
):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert (secrets_manager, sts) == (await wanted(region), await wanted(region, sts=True))


async def test_settings_file_of_the_sdk_is_read(wanted, monkeypatch, tmp_path):
    file = tmp_path / "config"
    file.write_text("[default]\nuse_fips_endpoint = true\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))

    assert "secretsmanager-fips.us-east-2.amazonaws.com:443" == await wanted("us-east-2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("AWS_DEFAULTS_MODE", "nonsense", id="defaults-mode"),
        pytest.param("AWS_PROFILE", "absent", id="profile"),
    ],
)
async def test_settings_that_the_sdk_refuses_are_told(client_of, fail, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    error = await fail(await client_of(), Read("a"))

    assert isinstance(error, ProviderError)
    assert error.hint


def clients(provider):
    """The clients that are kept; they cannot be seen from outside."""
    return provider._sdk._clients


@pytest.fixture
def ask(provider, connect, toolbox, cluster):
    """Reads from a store in a region, in vain."""
    cluster.put_secret("team-a", "keys", id="AKIAEXAMPLEEXAMPLE00", secret="secret")

    async def of(region):
        block = toolbox.aws_block(region=region, auth=toolbox.key_auth("keys"))
        client = await connect(provider, toolbox.view("aws", block))
        with pytest.raises(KeyferryError) as failure:
            await client.read([Read("a")])
        return failure.value

    return of


async def test_regions_that_nobody_uses_any_more_make_room(provider, ask, aws, monkeypatch):
    """Whoever writes stores also writes regions: clients of the SDK are dear."""
    monkeypatch.setattr("keyferry.providers.aws.sdk.MAX_CLIENTS", 3)
    for region in ("eu-central-1", "eu-west-1", "eu-west-2", "eu-central-1", "eu-west-3", "us-east-1"):
        await ask(region)

    assert ["eu-central-1", "eu-west-3", "us-east-1"] == [region for _, region in clients(provider)]


async def test_made_up_regions_push_out_each_other_and_no_real_one(provider, ask, aws):
    """Also those that look like regions: new ones do, before the SDK lists them."""
    await ask("eu-central-1")
    for number in range(MAX_UNLISTED_CLIENTS + 3):
        await ask(f"eu-nowhere-{number}")

    assert ("secretsmanager", "eu-central-1") in clients(provider)
    assert 1 + MAX_UNLISTED_CLIENTS == len(clients(provider))


async def test_new_client_is_used_also_where_all_others_are_busy(provider, ask, aws, monkeypatch):
    """It is the one that is too many, and was made to be used."""
    monkeypatch.setattr("keyferry.providers.aws.sdk.MAX_CLIENTS", 1)
    await ask("eu-central-1")
    clients(provider)["secretsmanager", "eu-central-1"].busy = 1

    error = await ask("eu-west-1")

    assert "AWS refuses the credentials" in error.message


@pytest.mark.parametrize("region", ["xx-test-1", "eu-central", "aws", "cn-north-1x", "us-gov"])
async def test_region_of_no_partition_is_refused_before_a_client_is_made(
    gatekeeper, provider, ask, monkeypatch, region
):
    for service in ("SECRETS_MANAGER", "STS"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service}")

    error = await ask(region)

    assert SpecError is type(error)
    assert f'region: "{region}"' in error.message
    assert ([], {}) == (gatekeeper.wanted, clients(provider))


async def test_endpoint_of_ones_own_calls_its_regions_as_it_likes(provider, ask, aws):
    assert not isinstance(await ask("xx-test-1"), SpecError)


async def test_own_identity_is_asked_for_in_each_stores_region_until_one_answers(
    gatekeeper, provider, connect, toolbox, monkeypatch, tmp_path
):
    """Where the operator's surroundings name no region: nobody's region is kept for the others."""
    for service in ("SECRETS_MANAGER", "STS"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service}")
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/operator")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))

    for region in ("eu-south-1", "eu-central-1"):
        client = await connect(provider, toolbox.view("aws", toolbox.aws_block(region=region)))
        with pytest.raises(Unavailable):
            await client.read([Read("a")])

    assert ["sts.eu-south-1.amazonaws.com:443", "sts.eu-central-1.amazonaws.com:443"] == gatekeeper.wanted
