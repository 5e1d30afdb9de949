"""How long tokens serve: one for all reads, renewed before their end, and once after a vault has refused one."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from keyferry.errors import AuthFailed, CredentialsExpired, KeyferryError, RateLimited, Unavailable
from keyferry.planner.cache import Freshness
from keyferry.planner.planner import Planner
from keyferry.ports import Read, RemoteValue


@pytest.fixture
def there(azure_administrator, vault):
    azure_administrator.put_secret(vault, "db", "value")


pytestmark = pytest.mark.usefixtures("there")
DB = Read("db")


async def is_read(client):
    return [b"value"] == [answer.value.reveal() for answer in await client.read([DB])]


def requests(azure):
    return azure.control.token_requests()


async def test_reads_at_the_same_time_wait_for_one_token(account_client_of, azure, cluster):
    client = await account_client_of()

    assert all(await asyncio.gather(*(is_read(client) for _ in range(20))))
    assert (1, 1) == (requests(azure), len(cluster.tokens))


async def test_keys_and_certificates_share_the_token_of_secrets(
    client_of, azure, azure_administrator, vault, app
):
    azure_administrator.grant(vault, app, "Key Vault Crypto User", "Key Vault Certificate User")
    azure_administrator.put_key(vault, "k")
    client = await client_of()

    answers = await client.read([DB, Read("key/k"), Read("cert/absent")])

    assert [RemoteValue, RemoteValue] == [type(answer) for answer in answers[:2]]
    assert 1 == requests(azure)


async def test_token_serves_for_its_lifetime(account_client_of, azure, clock):
    azure.control.token_lifetime(3600)
    client = await account_client_of()
    for minutes in (0, 20, 40, 49):
        clock.ahead = timedelta(minutes=minutes)
        assert await is_read(client)

    assert 1 == requests(azure)


async def test_shortly_before_its_end_it_is_renewed_in_the_background(account_client_of, azure, clock):
    azure.control.token_lifetime(3600)
    client = await account_client_of()
    await is_read(client)
    clock.ahead = timedelta(minutes=51)
    fault = azure.control.fail(service="entra", kind="hold")

    # The reads go on with the old one while the new one is on its way.
    assert [True, True] == [await is_read(client), await is_read(client)]
    await asyncio.to_thread(azure.control.wait_for_calls_in_flight, 1, service="entra")
    azure.control.remove_fault(fault)
    await asyncio.to_thread(azure.control.wait_for_calls, 2, service="entra")

    assert await is_read(client)
    assert 2 == requests(azure)


async def test_renewal_that_fails_is_not_tried_at_each_read(account_client_of, azure, clock):
    azure.control.token_lifetime(3600)
    client = await account_client_of()
    await is_read(client)
    clock.ahead = timedelta(minutes=51)
    azure.control.fail(service="entra", status=503)
    await is_read(client)
    await asyncio.to_thread(azure.control.wait_for_calls, 2, service="entra")

    for _ in range(5):
        assert await is_read(client)
    assert 2 == requests(azure)

    azure.control.clear_faults()
    clock.ahead = timedelta(minutes=52)
    assert await is_read(client)
    await asyncio.to_thread(azure.control.wait_for_calls, 3, service="entra")


async def test_token_that_has_ended_is_not_shown(account_client_of, azure, clock, fail):
    azure.control.token_lifetime(3600)
    client = await account_client_of()
    await is_read(client)
    clock.ahead = timedelta(minutes=60)
    azure.control.fail(service="entra", status=503)
    shown = azure.control.count(service="vault")

    assert isinstance(await fail(client), Unavailable)
    assert shown == azure.control.count(service="vault")


async def test_refused_token_is_told_as_expired_and_renewed(account_client_of, azure, account, fail):
    client = await account_client_of()
    await is_read(client)
    azure.control.token_lifetime(1)
    azure.control.revoke_tokens(account.oid)

    # Continuous access evaluation: the vault says what it wants to see, and the SDK asks for it at once.
    assert await is_read(client)
    assert 2 == requests(azure)


def refuse(azure, app, **how):
    """Let the vault refuse all tokens, with the challenge that it has for everybody."""
    authority = f"https://login.microsoftonline.com/{app.tenant}"
    challenge = f'Bearer authorization="{authority}", resource="https://vault.azure.net"'
    headers = {"WWW-Authenticate": challenge}
    azure.control.fail(
        service="vault", path="/secrets/db*", status=401, code="Unauthorized", headers=headers, **how
    )


async def test_vault_that_accepts_no_token_fails_its_readers_once_renewed(client_of, azure, app, fail):
    """Its word is final then: another token would change nothing, and costs an exchange each."""
    client = await client_of()
    refuse(azure, app)

    error = await fail(client)

    assert CredentialsExpired is type(error)
    assert app.client_id in error.message
    await client.renew()
    assert CredentialsExpired is type(await fail(client))
    assert requests(azure) <= 2


async def test_planner_renews_and_asks_once_more(provider, view_of, cluster, app, azure, azure_administrator):
    planner = Planner({"azurekv": provider}, cluster, lambda _: None)
    binding = await planner.bind(view_of(), "team-a")
    await binding.session.read(DB, Freshness(0, 0))
    refuse(azure, app, times=2)  # the SDK asks once more itself

    answer = await binding.session.read(DB, Freshness(asyncio.get_running_loop().time(), 0))
    await planner.close()

    assert isinstance(answer, RemoteValue)
    assert 2 == requests(azure)


async def test_thousand_readers_of_one_key_are_one_read(provider, view_of, cluster, account, azure):
    from tests.contract.providers.azure.conftest import ACCOUNT

    planner = Planner({"azurekv": provider}, cluster, lambda _: None)
    binding = await planner.bind(view_of(**ACCOUNT), "team-a")

    answers = await asyncio.gather(*(binding.session.read(DB, Freshness(0, 0)) for _ in range(1000)))
    await planner.close()

    assert {b"value"} == {answer.value.reveal() for answer in answers}
    assert (1, 1) == (len(cluster.tokens), requests(azure))
    assert 1 == azure.control.count(service="vault", path="/secrets/db*", status=200)


async def test_failed_exchange_is_asked_once_for_all_who_wait(client_of, azure, cluster, app):
    cluster.put_secret("team-a", "azure", id=app.client_id, secret="wrong")
    client = await client_of()

    failures = await asyncio.gather(*(client.read([DB]) for _ in range(8)), return_exceptions=True)

    assert {AuthFailed} == {type(failure) for failure in failures}
    assert 1 == requests(azure)


async def test_closing_ends_a_renewal_under_way(account_client_of, azure):
    client = await account_client_of()
    azure.control.fail(service="entra", kind="hold")
    reading = asyncio.create_task(client.read([DB]))
    await asyncio.to_thread(azure.control.wait_for_calls_in_flight, 1, service="entra")

    reading.cancel()
    await asyncio.wait([reading], timeout=5)
    closing = asyncio.create_task(client.close())
    done, _ = await asyncio.wait([closing], timeout=10)
    azure.control.clear_faults()

    assert {closing} == done
    await closing
    assert [] == [task for task in asyncio.all_tasks() if task.get_name() == "azure token"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param({"status": 429, "headers": {"Retry-After": "11"}}, RateLimited, id="throttled"),
        pytest.param(
            {"status": 503, "headers": {"Retry-After": "11"}}, RateLimited, id="failing-with-a-pause"
        ),
        pytest.param({"status": 500}, Unavailable, id="failing"),
        pytest.param(
            {"status": 302, "headers": {"Location": "https://example.com"}}, KeyferryError, id="redirect"
        ),
        pytest.param({"kind": "cut-before"}, Unavailable, id="cut"),
        pytest.param({"kind": "cut-body"}, KeyferryError, id="cut-in-the-body"),
        pytest.param({"kind": "garbled"}, KeyferryError, id="garbled"),
        pytest.param({"kind": "empty"}, KeyferryError, id="empty"),
        pytest.param({"kind": "endless"}, KeyferryError, id="endless"),
    ],
)
async def test_authority_in_trouble_is_told_and_asked_again(client_of, azure, fail, leaks, fault, expected):
    fault_id = azure.control.fail(service="entra", body="trace-id-1234", **fault)
    client = await client_of()

    error = await fail(client)
    again = await fail(client)

    assert isinstance(error, expected)
    assert (type(error), str(error)) == (type(again), str(again))
    assert "trace-id" not in str(error)
    assert error.hint
    if "Retry-After" in fault.get("headers", {}):
        assert 11 == error.retry.seconds
    assert [] == leaks.look_at_error("failure", error)
    azure.control.remove_fault(fault_id)
    assert await is_read(client)
