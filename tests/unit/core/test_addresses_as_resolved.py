"""The second look at an address: what its host resolves to, with the machine's own resolver where it needs no network."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.core.addresses import AddressPolicy, host_of
from keyferry.errors import ForbiddenError, SpecError
from keyferry.ports import ObjectKey, StoreView
from keyferry.reconcile.addresses import check_addresses

DISGUISED = [
    pytest.param("http://2130706433:8200", id="decimal"),
    pytest.param("http://0x7f000001", id="hexadecimal"),
    pytest.param("http://0x7f.0.0.1", id="hexadecimal-part"),
    pytest.param("http://0177.0.0.1", id="octal"),
    pytest.param("http://127.1", id="short"),
    pytest.param("http://0", id="zero"),
    pytest.param("http://2852039166", id="metadata-as-decimal"),
    pytest.param("http://0xa9fea9fe/latest", id="metadata-as-hexadecimal"),
    pytest.param("http://[::ffff:7f00:1]:8200", id="mapped-into-ipv6"),
    pytest.param("http://[0:0:0:0:0:ffff:169.254.169.254]", id="metadata-mapped-into-ipv6"),
    pytest.param("http://①②⑦.⓪.⓪.①", id="circled-digits"),
    pytest.param("http://\uff11\uff12\uff17.\uff10.\uff10.\uff11", id="full-width-digits"),
    pytest.param("http://127。0。0。1", id="ideographic-dots"),
    pytest.param("http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54", id="full-width-name"),
    pytest.param("http://user:pass@2130706433/", id="behind-a-login"),
    pytest.param("2130706433:8200", id="without-a-scheme"),
    pytest.param("http://127.0.\n0.1", id="line-break-within"),
]


def vault(server):
    spec = convert(
        {"provider": {"vault": {"server": server, "auth": {"tokenSecretRef": {"name": "t", "key": "k"}}}}},
        SecretStoreSpec,
    )
    return StoreView.of(ObjectKey("SecretStore", "team-a", "vault"), spec)


def check(server, *allowed, loop_factory=None):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(check_addresses(AddressPolicy(allowed), vault(server)))


@pytest.mark.parametrize("server", DISGUISED)
@pytest.mark.parametrize("loop_factory", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_disguised_address_is_refused(server, loop_factory):
    with pytest.raises(ForbiddenError, match=r"^spec\.provider\.vault\.server: "):
        check(server, loop_factory=loop_factory)


@pytest.mark.parametrize("server", DISGUISED[:5])
def test_allowed_network_lets_its_disguises_through(server):
    assert check(server, "127.0.0.0/8") is None


@pytest.fixture
def resolver(monkeypatch):
    """Names with addresses of the test's choice, in place of the network's name service."""
    names = {}

    def resolve(host, port, *rest, **more):
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return names


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param(["169.254.169.254"], id="metadata"),
        pytest.param(["203.0.113.7", "127.0.0.1"], id="one-of-several"),
        pytest.param(["::ffff:127.0.0.1"], id="mapped"),
    ],
)
def test_name_that_points_here_is_refused(resolver, addresses):
    resolver["vault.example.com"] = addresses

    with pytest.raises(ForbiddenError, match=r'"vault\.example\.com" is '):
        check("https://vault.example.com:8200")


def test_name_that_points_elsewhere_passes(resolver):
    resolver["vault.example.com"] = ["203.0.113.7", "10.0.0.5"]

    assert check("https://vault.example.com:8200") is None


@pytest.mark.parametrize("allowed", ["vault.example.com", "127.0.0.1"], ids=["name", "address"])
def test_name_that_points_here_passes_where_it_is_allowed(resolver, allowed):
    resolver["vault.example.com"] = ["127.0.0.1"]

    assert check("https://vault.example.com:8200", allowed) is None


def test_name_that_does_not_resolve_is_left_to_the_connection(resolver):
    assert check("https://vault.example.com:8200") is None


@pytest.mark.parametrize("host", ["a" * 64 + ".example.com", "a..b"], ids=["label-too-long", "empty-label"])
@pytest.mark.parametrize("loop_factory", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_cannot_be_a_name_is_no_bug(host, loop_factory):
    assert check(f"https://{host}", loop_factory=loop_factory) is None


@pytest.mark.parametrize(
    "address", ["https://good.example.com\\@127.0.0.1", "https://127.0.0.1\\@good.example.com"]
)
def test_address_whose_end_depends_on_its_reader_is_refused(address):
    with pytest.raises(SpecError, match=r"^spec\.x "):
        host_of(address, "spec.x")
