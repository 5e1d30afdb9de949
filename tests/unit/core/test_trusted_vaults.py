"""Which Vaults get tokens that the API server accepts: those whose address the platform has written, and no others."""

from __future__ import annotations

import pytest

from keyferry.core.origins import TrustedVaults


@pytest.mark.parametrize(
    "server",
    [
        "https://vault.example.com:8200",
        "https://VAULT.example.com:8200/",
        "https://vault.example.com.:8200",
        "vault.example.com:8200",
    ],
)
def test_address_is_trusted_however_it_is_written(server):
    assert TrustedVaults(["https://vault.example.com:8200"]).includes(server)


@pytest.mark.parametrize(
    "server",
    [
        "https://vault.example.com",
        "http://vault.example.com:8200",
        "https://vault.example.com.evil.example:8200",
        "https://evil.example/?https://vault.example.com:8200",
        "https://vault.example.com:8200@evil.example",
        "https://user@vault.example.com:8200",
        "https://vault.example.com:82000",
        "https://vault.example.com:8200/some/path",
        "https://vault.example.com:8200/v1/kv/data/mine",
        "",
        "//",
    ],
)
def test_another_address_is_not(server):
    assert not TrustedVaults(["https://vault.example.com:8200"]).includes(server)


def test_ports_of_schemes_are_known():
    trusted = TrustedVaults(["https://a.example.com", "http://b.example.com:80"])

    assert trusted.includes("https://a.example.com:443")
    assert trusted.includes("http://b.example.com")


@pytest.mark.parametrize(
    ("server", "is_trusted"),
    [
        ("https://apps.example.com/vault", True),
        ("https://apps.example.com/vault/", True),
        ("https://apps.example.com", False),
        ("https://apps.example.com/tenant", False),
        ("https://apps.example.com/vault/../tenant", False),
        ("https://apps.example.com/vault-of-mine", False),
        ("https://apps.example.com/Vault", False),
    ],
)
def test_trust_is_in_one_path_of_a_shared_host(server, is_trusted):
    assert is_trusted == TrustedVaults(["https://apps.example.com/vault"]).includes(server)


def test_nobody_is_trusted_by_default():
    assert not TrustedVaults().includes("https://vault.example.com:8200")


@pytest.mark.parametrize(
    "address", ["", "ftp://a.example.com", "https://", "https://a b", "https://u:p@a.example.com"]
)
def test_flag_that_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match=r"is no address of a Vault|port|Port|netloc"):
        TrustedVaults([address])
