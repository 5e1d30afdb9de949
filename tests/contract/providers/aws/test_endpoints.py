"""Which host is called: partitions, FIPS, dual-stack, private endpoints. A proxy sees it and lets nobody through."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import http.server
import threading

import pytest

from keyferry.errors import ProviderError, Unavailable
from keyferry.ports import Read
from keyferry.providers.aws import AWSProvider


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

    async def of(region, *, sts=False):
        cluster.put_secret("team-a", "keys", id="AKIAEXAMPLEEXAMPLE00", secret="secret")
        block = toolbox.aws_block(region=region, auth=toolbox.key_auth("keys"))
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


async def test_regions_that_nobody_uses_any_more_make_room(provider, connect, toolbox, cluster, aws):
    """Whoever writes stores also writes regions: clients of the SDK are dear."""
    from keyferry.providers.aws.sdk import MAX_CLIENTS

    cluster.put_secret("team-a", "keys", id="AKIAEXAMPLEEXAMPLE00", secret="secret")
    for number in range(MAX_CLIENTS + 3):
        block = toolbox.aws_block(region=f"xx-test-{number}", auth=toolbox.key_auth("keys"))
        client = await connect(provider, toolbox.view("aws", block))
        with pytest.raises(ProviderError):
            await client.read([Read("a")])

    assert MAX_CLIENTS == len(provider._sdk._clients)  # its size cannot be seen from outside
