"""What Vault refuses, and why there is no answer: each is a condition that says what is the matter."""

from __future__ import annotations

import asyncio
import time

import pytest

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    ForbiddenError,
    KeyferryError,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    RetryKind,
    SpecError,
    TimedOut,
    Unavailable,
    one_line,
)
from keyferry.ports import Find, Read, RemoteValue
from keyferry.providers.vault import way
from keyferry.testing.leaks import canary
from keyferry.testing.vault.front import Response

VALUE = canary("vault-refusal")


@pytest.fixture(autouse=True)
def value(team):
    team.put("db", v=VALUE)


@pytest.fixture
async def client(proxied, connect, provider, kit):
    """A client that has logged in and read, by way of the proxy."""
    made = await connect(provider, proxied.store())
    assert VALUE in await kit.answer(made, Read("db"))
    return made


def check(error, expected, leaks, *words):
    assert expected is type(error), error
    assert one_line(str(error)) == str(error)
    assert error.hint
    for word in words:
        assert word in str(error)
    assert [] == leaks.look_at_error("refusal", error)


# -- policies


async def test_denial_names_path_and_capability(team, ask, leaks):
    team.allow({f"{team.name}/metadata/*": ["list"]})

    error = await ask(team.store(), "db")

    check(error, AccessDenied, leaks, f'remote secret "{team.name}/db"')
    assert f'Grant it with a policy: path "{team.name}/data/db" {{ capabilities = ["read"] }}' == error.hint


# -- engines that are not what the store says


@pytest.mark.parametrize("rules", ["own", "everything"])
async def test_store_of_version_1_at_an_engine_of_version_2(team, ask, leaks, rules):
    """Whether the policy lets the wrong path in or not."""
    team.allow({f"{team.name}/*": ["read"]} if rules == "everything" else None)

    error = await ask(team.store(version="v1"), "db")

    check(error, ProviderError, leaks, f'"{team.name}" in Vault has version v2, and the store says v1')


@pytest.mark.parametrize("rules", ["own", "everything"])
async def test_store_of_version_2_at_an_engine_of_version_1(team, ask, leaks, unique, rules):
    mount = f"{unique}-v1"
    team.administrator.mount_kv(mount, 1)
    team.administrator.put(mount, "db", {"v": VALUE}, version=1)
    team.allow({f"{mount}/db": ["read"]} if rules == "own" else {f"{mount}/*": ["read"]})

    error = await ask(team.store(path=mount), "db")

    check(error, ProviderError, leaks, f'"{mount}" in Vault has version v1, and the store says v2')


async def test_secret_of_version_1_that_looks_like_version_2_is_no_value(team, ask, leaks, unique):
    mount = f"{unique}-v1"
    team.administrator.mount_kv(mount, 1)
    team.administrator.put(mount, "data/db", {"v": VALUE}, version=1)
    team.allow({f"{mount}/*": ["read"]})

    error = await ask(team.store(path=mount), "db")

    check(error, ProviderError, leaks, "has version v1, and the store says v2")


async def test_missing_mount_is_told_and_never_taken_for_a_missing_secret(team, ask, leaks):
    team.allow({"*": ["read"]})

    error = await ask(team.store(path="nowhere/kv"), "db")

    check(error, ProviderError, leaks, 'no secrets engine at "nowhere/kv"')


async def test_engine_of_another_kind_is_told(team, ask, leaks, unique):
    team.administrator.mount(f"{unique}-transit", "transit")
    team.allow({f"{unique}-transit/*": ["read"]})

    error = await ask(team.store(path=f"{unique}-transit"), "db")

    check(error, ProviderError, leaks, f'"{unique}-transit" in Vault is no KV engine, but transit')


async def test_mount_is_looked_at_once_for_many_failures(team, connect, provider, kit, vault):
    client = await connect(provider, team.store())
    vault.audit.reset()

    errors = [await kit.answer(client, Read(f"none-{number}")) for number in range(5)]

    assert [RemoteSecretNotFound] * 5 == [type(error) for error in errors]
    assert 1 == len(vault.audit.calls("sys/internal/ui/mounts/*"))


async def test_mount_is_not_looked_at_where_nothing_fails(team, connect, provider, kit, vault):
    client = await connect(provider, team.store())

    await kit.answer(client, Read("db"))

    assert [] == vault.audit.calls("sys/*")


# -- namespaces


def at(team, double, **changes):
    from base64 import b64encode

    bundle = b64encode(double.ca_pem.encode()).decode()
    return team.store(server=double.url, caBundle=bundle, path="kv", **changes)


@pytest.fixture
def org(double, cluster):
    """A namespace with a secret and an AppRole."""
    space = double.namespace("org/team")
    space.mount_kv("kv", 2)
    space.put("kv", "db", {"v": VALUE})
    space.policy("app", {"kv/data/*": ["read"]})
    role = space.app_role("app", ["app"])
    cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)
    return space


@pytest.mark.parametrize("namespace", ["org/team", "/org/team/", "org/team/"])
async def test_namespace_is_that_of_login_and_secrets(team, double, org, ask, namespace):
    assert VALUE in await ask(at(team, double, namespace=namespace), "db")


async def test_login_may_be_in_a_namespace_of_its_own(team, double, cluster, ask):
    space = double.namespace("org")
    space.mount_kv("kv", 2)
    double.namespace("org/sub").mount_kv("kv", 2)
    double.namespace("org/sub").put("kv", "db", {"v": VALUE})
    space.policy("app", {"sub/kv/data/*": ["read"]})
    role = space.app_role("app", ["app"])
    cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)
    auth = team.block()["auth"] | {"namespace": "org"}

    assert VALUE in await ask(at(team, double, namespace="org/sub", auth=auth), "db")


async def test_login_in_another_namespace_names_it(team, double, org, ask, leaks):
    error = await ask(at(team, double, namespace="org/other"), "db")

    check(error, AuthFailed, leaks, 'in namespace "org/other"')


async def test_namespace_that_does_not_exist_is_told_by_openbao(team, cluster, ask, make_provider, leaks):
    from keyferry.providers.vault import OpenBaoProvider
    from keyferry.testing.vaultdouble import VaultDouble

    provider = make_provider("127.0.0.1", kind=OpenBaoProvider)
    with VaultDouble(product="openbao") as double:
        error = await ask(at(team, double, namespace="none", provider="openBao"), "db", provider=provider)

    check(error, AuthFailed, leaks, 'OpenBao at 127.0.0.1 has no namespace "none"')


# -- a cluster that is behind


async def test_reads_see_what_was_written_before(*, team, double, cluster, connect, provider, kit):
    role = double.root.app_role("app", ["app"])
    cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)
    behind = await connect(provider, at(team, double))
    forwarding = await connect(provider, at(team, double, readYourWrites=True, forwardInconsistent=True))
    waiting = await connect(provider, at(team, double, readYourWrites=True))
    double.lag()

    stale, fresh, late = [await kit.answer(one, Read("db")) for one in (behind, forwarding, waiting)]

    assert isinstance(stale, KeyferryError)  # the standby does not know the new token yet
    assert canary("vault-double") in fresh
    assert Unavailable is type(late)
    assert "not replicated yet" in late.message
    double.catch_up()
    assert canary("vault-double") in await kit.answer(waiting, Read("db"))


async def test_index_and_forwarding_are_only_sent_where_the_store_says_so(
    *, team, double, cluster, connect, provider, kit
):
    role = double.root.app_role("app", ["app"])
    cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)
    sent = []
    for fields in ({}, {"forwardInconsistent": True}, {"readYourWrites": True}):
        double.reset()
        client = await connect(provider, at(team, double, **fields))
        await kit.answer(client, Read("db"))
        (call,) = double.asked("kv/data/db")
        sent.append({"x-vault-index", "x-vault-inconsistent"} & call.headers)

    assert [set(), set(), {"x-vault-index"}] == sent


async def test_vault_that_does_not_forward_says_so(team, cluster, ask, leaks):
    from keyferry.testing.vaultdouble import VaultDouble

    with VaultDouble(forwarding=False) as double:
        double.root.mount_kv("kv", 2)
        role = double.root.app_role("app", ["app"])
        cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)
        error = await ask(at(team, double, readYourWrites=True, forwardInconsistent=True), "db")

    check(error, AuthFailed, leaks, "does not forward on request", "forwardInconsistent: false")


# -- headers


async def test_headers_of_the_manifest_are_sent_along(proxied, ask, vault_proxy):
    assert VALUE in await ask(proxied.store(headers={"X-Team": "a", "user-agent": "mine"}), "db")

    calls = vault_proxy.asked()
    assert calls
    assert all("x-team" in call.headers for call in calls)


@pytest.mark.parametrize(
    "name", ["X-Vault-Token", "x-vault-token", "Authorization", "Host", "X-Vault-Index", "Transfer-Encoding"]
)
def test_headers_that_decide_who_asks_are_refused(team, provider, name):
    with pytest.raises(SpecError, match="is set by Keyferry alone"):
        provider.check(team.store(headers={name: "x"}))


@pytest.mark.parametrize(
    ("name", "value"), [("X Team", "a"), ("X-Team", "a\r\nX-Vault-Token: b"), ("X-Team", "ü")]
)
def test_headers_that_are_none_are_refused(team, provider, name, value):
    with pytest.raises(SpecError, match="headers"):
        provider.check(team.store(headers={name: value}))


async def test_namespace_of_the_manifest_wins_over_a_header(team, double, org, ask, provider):
    assert VALUE in await ask(at(team, double, headers={"X-Vault-Namespace": "org/team"}), "db")
    with pytest.raises(SpecError, match="contradicts"):
        provider.check(at(team, double, namespace="org/team", headers={"X-Vault-Namespace": "other"}))


# -- a server that cannot answer


async def test_quota_of_a_real_vault_asks_for_a_pause(team, ask, leaks):
    api = team.administrator.api
    api.request("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    api.request(
        "POST", f"sys/quotas/rate-limit/{team.name}", {"path": team.name, "rate": 0.01, "interval": "7s"}
    )
    try:
        errors = [await ask(team.store(), "db") for _ in range(3)]
    finally:
        api.request("DELETE", f"sys/quotas/rate-limit/{team.name}")

    error = next(one for one in errors if isinstance(one, KeyferryError))
    check(error, RateLimited, leaks, "asks for fewer calls")
    assert RetryKind.AFTER is error.retry.kind


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        ({"status": 503, "errors": ("Vault is sealed",)}, Unavailable, "is sealed. Unseal it"),
        ({"status": 503, "errors": ()}, Unavailable, "its seal status"),
        ({"status": 500, "errors": ("local node not active but active cluster node not found",)}, Unavailable, "a standby"),
        ({"status": 500}, Unavailable, "failed at its own side (status 500)"),
        ({"status": 502, "errors": ()}, Unavailable, "(status 502)"),
        ({"status": 307, "headers": {"Location": "https://elsewhere.example.com/"}}, Unavailable, "address of the active node"),
        ({"status": 401}, AccessDenied, "Grant it"),
        ({"status": 405}, ProviderError, "request"),
        ({"kind": "garbage"}, Malformed, "cannot be read"),
        ({"kind": "huge"}, Malformed, "more than 8 MiB"),
        ({"kind": "cut"}, Unavailable, "ended the connection"),
        ({"kind": "cut-body"}, None, ""),
    ],
)  # fmt: skip
async def test_each_trouble_is_told_as_what_it_is(*, client, vault_proxy, kit, leaks, fault, expected, words):
    vault_proxy.fail(**({"kind": "status", "times": 0} | fault))

    error = await kit.answer(client, Read("db"))
    vault_proxy.clear()

    if expected is None:
        assert isinstance(error, Unavailable | Malformed)
    elif expected is ProviderError:
        assert isinstance(error, ProviderError)
        assert words in str(error)
    else:
        check(error, expected, leaks, words)
    assert VALUE in await kit.answer(client, Read("db"))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"default backend - 404", id="text"),
        pytest.param(b"<html>Not found</html>", id="page"),
        pytest.param(b'{"kind":"Status","code":404}', id="document"),
        pytest.param(b'{"errors":"x"}', id="other-errors"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("status", [404, 403, 400])
async def test_refusal_of_somebody_else_tells_nothing_of_secrets(
    *, client, vault_proxy, leaks, kit, status, body
):
    """By "not found" Secrets are deleted: a load balancer whose Vault is gone says it, too."""
    vault_proxy.answer = lambda _: Response(status, body)

    error = await kit.answer(client, Read("db"))

    check(error, Unavailable, leaks, f"is not what answers there (status {status})", "load balancers")
    with pytest.raises(Unavailable):
        await client.find(Find(path="x"))


@pytest.mark.parametrize("body", [b"{}", b"", b'{"data":null}', b'{"data":[]}', b'{"status":"ok"}'])
@pytest.mark.parametrize("of", ["v1", "v2", "metadata"])
async def test_success_of_somebody_else_is_no_empty_secret(
    *, proxied, connect, provider, vault_proxy, kit, leaks, of, body
):
    client = await connect(provider, proxied.store(version="v1" if of == "v1" else "v2"))
    await client.validate()
    vault_proxy.answer = lambda _: Response(200, body)

    error = await kit.answer(client, Read("db", metadata=of == "metadata"))

    check(error, Malformed, leaks, "cannot be read")


async def test_long_answer_does_not_hold_up_the_event_loop(client, vault_proxy, kit):
    many = b'{"data":{"data":{"a":[' + b"1," * 3_000_000 + b"1]}}}"
    vault_proxy.answer = lambda _: Response(200, many)
    longest, begun = 0.0, True

    async def beat():
        nonlocal longest
        while begun:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    beating = asyncio.create_task(beat())
    error = await kit.answer(client, Read("db"))
    await asyncio.sleep(0.01)
    begun = False
    await beating

    assert isinstance(error, Malformed)
    assert longest < 2.0


async def test_wrong_version_is_not_taken_for_a_missing_secret_while_the_mount_cannot_be_looked_at(
    *, proxied, team, unique, connect, provider, vault_proxy, kit, leaks
):
    mount = f"{unique}-v1"
    team.administrator.mount_kv(mount, 1)
    team.administrator.put(mount, "db", {"v": VALUE}, version=1)
    team.allow({f"{mount}/*": ["read"]})
    client = await connect(provider, proxied.store(path=mount))
    vault_proxy.fail("status", "sys/internal/*", status=500)

    error = await kit.answer(client, Read("db"))

    check(error, Unavailable, leaks, "failed at its own side")
    assert "the store says v2" in str(await kit.answer(client, Read("db")))


async def test_redirect_is_not_followed(client, vault_proxy, kit):
    """Neither with the token, nor without."""
    vault_proxy.reset()
    vault_proxy.fail("status", status=307, headers={"Location": f"{vault_proxy.url}/v1/sys/health"})

    await kit.answer(client, Read("db"))

    assert [] == vault_proxy.asked("sys/health")


async def test_server_that_is_silent_is_late(client, vault_proxy, kit, leaks, monkeypatch):
    monkeypatch.setattr(way, "TOTAL_S", 0.3)
    vault_proxy.fail("hold", times=0)

    error = await kit.answer(client, Read("db"))
    vault_proxy.clear()

    check(error, TimedOut, leaks, "did not answer in time")
    monkeypatch.setattr(way, "TOTAL_S", 25.0)
    assert VALUE in await kit.answer(client, Read("db"))


async def test_threads_of_silent_calls_are_free_at_once(client, vault_proxy, kit, monkeypatch):
    """More calls than threads, one after the other: each is ended from outside, and its thread with it."""
    monkeypatch.setattr(way, "TOTAL_S", 0.05)
    vault_proxy.fail("hold", times=0)
    late = [await kit.answer(client, Read("db")) for _ in range(way.THREADS + 2)]
    vault_proxy.clear()
    monkeypatch.setattr(way, "TOTAL_S", 25.0)

    assert {TimedOut} == {type(error) for error in late}
    assert VALUE in await kit.answer(client, Read("db"))


async def test_server_that_is_gone_cannot_be_reached(client, vault_proxy, kit, leaks):
    vault_proxy.refuse()

    error = await kit.answer(client, Read("db"))
    vault_proxy.accept()

    check(error, Unavailable, leaks, "cannot be reached")


async def test_certificate_that_nobody_vouches_for_is_told(team, ask, leaks):
    error = await ask(team.store(caBundle=None), "db")

    check(error, Unavailable, leaks, "no trusted connection", "caBundle or caProvider")


async def test_authority_is_found_where_the_manifest_says(team, ask, cluster):
    cluster.put_config_map("team-a", "ca", {"ca.crt": team.ca_pem})
    provider = {"type": "ConfigMap", "name": "ca", "key": "ca.crt"}

    assert VALUE in await ask(team.store(caBundle=None, caProvider=provider), "db")


async def test_name_that_does_not_resolve_is_told(team, ask, leaks):
    error = await ask(team.store(server="https://vault.invalid:8200"), "db")

    check(error, Unavailable, leaks, "the name of Vault at vault.invalid cannot be resolved")


async def test_address_that_may_not_be_connected_to_gets_nothing(team, ask, vault, monkeypatch):
    """A name that means this machine only when it is connected to."""
    import socket

    resolve = socket.getaddrinfo

    def look_up(host, *rest, **more):
        return resolve("127.0.0.2" if host == "vault.example.com" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    port = vault.url.rpartition(":")[2]
    vault.audit.reset()
    store = team.store(server=f"https://vault.example.com:{port}")

    with pytest.raises(ForbiddenError, match="this machine"):
        raise await ask(store, "db")

    assert [] == vault.audit.calls(by_root=True)


async def test_value_that_is_read_comes_with_its_version(client):
    (answer,) = await client.read([Read("db")])

    assert isinstance(answer, RemoteValue)
    assert "1" == answer.version
