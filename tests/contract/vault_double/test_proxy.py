"""The way to Vault that fails on demand: what it does to requests, and what it remembers of them."""

from __future__ import annotations

import http.client
import threading

import pytest

from keyferry.testing.leaks import canary
from keyferry.testing.vault import Api, VaultProxy, VaultServer


@pytest.fixture(scope="module")
def token(vault: VaultServer) -> str:
    vault.administrator.mount_kv("proxied")
    vault.administrator.put("proxied", "a", {"value": canary("proxied")})
    rules = {"proxied/data/*": ["read"], "proxied/metadata/*": ["list"]}
    return vault.administrator.token(vault.administrator.policy("proxied", rules)).value


@pytest.fixture
def api(vault_proxy: VaultProxy, token: str) -> Api:
    return Api(vault_proxy.url, vault_proxy.ca_pem, token)


def test_answers_are_vaults_own(api: Api, vault: VaultServer, token: str):
    direct = Api(vault.url, vault.ca_pem, token)

    for method, path in (("LIST", "proxied/metadata"), ("GET", "proxied/data/none"), ("GET", "sys/health")):
        through, own = api.send(method, path), direct.send(method, path)
        assert own[0] == through[0]
    assert canary("proxied") == api.request("GET", "proxied/data/a")["data"]["data"]["value"]


def test_calls_are_remembered_without_values(api: Api, vault_proxy: VaultProxy, token: str):
    headers = {"X-Vault-Index": "", "X-Vault-Inconsistent": "fail"}
    api.request("GET", "proxied/data/a?version=1", headers=headers)
    api.request("LIST", "proxied/metadata")

    first, second = vault_proxy.asked("proxied/*")

    assert ("GET", "proxied/data/a", {"version": "1"}, 200) == (
        first.method,
        first.path,
        first.query,
        first.status,
    )
    assert "LIST" == second.method
    assert {"x-vault-token", "x-vault-index", "x-vault-inconsistent"} <= first.headers
    assert "fail" == first.marks["x-vault-inconsistent"]
    assert token not in repr(vault_proxy.calls)
    assert canary("proxied") not in repr(vault_proxy.calls)


def test_faults_strike_what_they_are_about_as_often_as_they_shall(api: Api, vault_proxy: VaultProxy):
    vault_proxy.throttle("7", "proxied/data/*", times=2)
    vault_proxy.fail(path="*", method="LIST", status=500, times=1)

    answers = [
        api.send(*asked)[0]
        for asked in (
            ("LIST", "proxied/metadata"),
            ("GET", "proxied/data/a"),
            ("GET", "auth/token/lookup-self"),
            ("GET", "proxied/data/a"),
            ("GET", "proxied/data/a"),
            ("LIST", "proxied/metadata"),
        )
    ]

    assert [500, 429, 200, 429, 200, 200] == answers


def test_a_sealed_front_answers_as_a_sealed_vault(api: Api, vault_proxy: VaultProxy):
    vault_proxy.sealed()

    assert (503, b'{"errors": ["Vault is sealed"]}\n') == api.send("GET", "proxied/data/a")

    vault_proxy.clear()

    assert 200 == api.send("GET", "proxied/data/a")[0]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        pytest.param("cut", http.client.RemoteDisconnected, id="no-answer"),
        pytest.param("cut-body", http.client.IncompleteRead, id="half-an-answer"),
    ],
)
def test_answers_are_cut(api: Api, vault_proxy: VaultProxy, kind, error):
    vault_proxy.fail(kind, "proxied/*", times=0)

    with pytest.raises(error):
        api.send("GET", "proxied/data/a")


def test_a_request_is_held_until_it_is_let_go(api: Api, vault_proxy: VaultProxy):
    vault_proxy.fail("hold", "proxied/data/*")
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            api.send("GET", "proxied/data/a")
        except (OSError, http.client.HTTPException) as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    vault_proxy.wait_held()
    held = asking.is_alive()
    vault_proxy.clear()
    asking.join(15)

    assert (True, []) == (held, caught)  # asked again, as the client does on a fresh connection


def test_an_outage_refuses_and_ends(api: Api, vault_proxy: VaultProxy):
    before = api.send("GET", "proxied/data/a")[0]
    vault_proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        api.send("GET", "proxied/data/a")
    vault_proxy.accept()

    assert [200, 200] == [before, api.send("GET", "proxied/data/a")[0]]
