"""The life of a token: one login for all who are the same, renewed, made anew, revoked at the end."""

from __future__ import annotations

import asyncio
import base64

import pytest

from keyferry.errors import AccessDenied, AuthFailed, CredentialsExpired, KeyferryError
from keyferry.planner.cache import Freshness
from keyferry.planner.planner import Planner
from keyferry.ports import Read, RemoteValue, Verdict
from keyferry.providers.vault import connection as connection_module
from keyferry.testing.eventually import eventually_async
from keyferry.testing.leaks import canary
from keyferry.testing.vault.front import Response

VALUE = canary("vault-token-value")


@pytest.fixture
def logins(vault, team):
    """The logins with the team's role that Vault has answered with a token."""

    def of():
        return [call for call in vault.audit.logins("approle") if call.accessor and not call.error]

    return of


async def reads(client, key="db"):
    try:
        (answer,) = await client.read([Read(key)])
    except KeyferryError as error:
        return error
    return answer


async def test_all_that_are_the_same_share_one_login(team, connect, provider, logins):
    """Stores of other names, mounts and versions too."""
    team.put("db", v=VALUE)
    clients = [await connect(provider, team.store(path=path)) for path in (team.name, None, "other")]

    await asyncio.gather(*(reads(client, f"{team.name}/db") for client in clients for _ in range(5)))
    await clients[0].validate()

    assert 1 == len(logins())


async def test_last_to_go_revokes_the_token(team, connect, provider, logins):
    team.put("db", v=VALUE)
    one, other = [await connect(provider, team.store(path=path)) for path in (team.name, None)]
    await reads(one)
    (login,) = logins()

    await one.close()
    assert team.administrator.look_up(login.accessor)
    await other.close()

    assert team.administrator.look_up(login.accessor) is None


async def test_end_of_the_provider_revokes_what_is_left(team, connect, make_provider, logins):
    provider = make_provider("127.0.0.1")
    client = await connect(provider, team.store())
    await client.validate()
    (login,) = logins()

    await provider.close()

    assert team.administrator.look_up(login.accessor) is None


async def test_token_on_which_a_lease_hangs_is_not_revoked(team, connect, provider, logins):
    client = await connect(provider, team.store())
    await client.validate()
    (connection,) = provider.vaults.connections.values()
    connection.pin()
    (login,) = logins()

    await client.close()

    assert team.administrator.look_up(login.accessor)
    team.administrator.revoke(login.accessor)


async def test_token_is_renewed_while_it_is_in_use(team, connect, provider, logins, vault):
    team.role(token_ttl="2s", token_max_ttl="1h")
    team.put("db", v=VALUE)
    client = await connect(provider, team.store())

    async def renewed():
        await reads(client)
        return len(vault.audit.calls("auth/token/renew-self", operation="update")) >= 2

    await eventually_async(renewed, timeout_s=20, every_s=0.2)

    assert 1 == len(logins())


async def test_token_that_nobody_uses_is_not_renewed(team, connect, provider, vault, logins):
    team.role(token_ttl="2s", token_max_ttl="1h")
    team.put("db", v=VALUE)
    client = await connect(provider, team.store())
    await reads(client)
    await eventually_async(_renewals(vault, 1), timeout_s=10)  # it was in use in its first two thirds
    (login,) = logins()

    async def gone():
        return team.administrator.look_up(login.accessor) is None

    await eventually_async(gone, timeout_s=15, every_s=0.2)

    assert 1 == len(vault.audit.calls("auth/token/renew-self", operation="update"))
    assert isinstance(await reads(client), RemoteValue)
    assert 2 == len(logins())


def _renewals(vault, number):
    async def are_there():
        return len(vault.audit.calls("auth/token/renew-self", operation="update")) >= number

    return are_there


async def test_pinned_token_is_renewed_though_nobody_asks(team, connect, provider, vault, logins):
    team.role(token_ttl="2s", token_max_ttl="1h")
    client = await connect(provider, team.store())
    await client.validate()
    (connection,) = provider.vaults.connections.values()
    connection.pin()

    await eventually_async(_renewals(vault, 3), timeout_s=20, every_s=0.2)
    connection.unpin()

    (login,) = logins()
    assert team.administrator.look_up(login.accessor)


async def test_token_at_its_longest_life_is_followed_by_another_login(team, connect, provider, logins):
    team.role(token_ttl="2s", token_max_ttl="3s")
    team.put("db", v=VALUE)
    client = await connect(provider, team.store())

    async def logged_in_again():
        assert isinstance(await reads(client), RemoteValue)
        return len(logins()) >= 2

    await eventually_async(logged_in_again, timeout_s=20, every_s=0.1)


async def test_batch_token_is_neither_renewed_nor_revoked(team, connect, provider, vault, logins):
    team.role(token_ttl="2s", token_type="batch")
    team.put("db", v=VALUE)
    client = await connect(provider, team.store())

    async def logged_in_again():
        assert isinstance(await reads(client), RemoteValue)
        return vault.audit.logins("approle")[1:]

    await eventually_async(logged_in_again, timeout_s=20, every_s=0.2)
    await client.close()

    assert [] == vault.audit.calls("auth/token/re*-self")


async def test_revoked_token_is_told_once_and_replaced_by_a_login(team, connect, provider, logins):
    """As the planner does it: told, renewed, asked once more."""
    team.put("db", v=VALUE)
    client = await connect(provider, team.store())
    await reads(client)
    team.administrator.revoke(logins()[0].accessor)

    error = await reads(client)
    await client.renew()

    assert isinstance(error, CredentialsExpired)
    assert isinstance(await reads(client), RemoteValue)
    assert 2 == len(logins())


async def test_many_who_are_told_at_once_log_in_once(team, connect, provider, logins):
    team.put("db", v=VALUE)
    clients = [await connect(provider, team.store(path=path)) for path in (team.name, None)]
    await reads(clients[0])
    team.administrator.revoke(logins()[0].accessor)

    errors = await asyncio.gather(*(reads(client, f"{team.name}/db") for client in clients for _ in range(4)))
    await asyncio.gather(*(client.renew() for client in clients for _ in range(4)))

    assert any(isinstance(error, CredentialsExpired) for error in errors)
    assert 2 == len(logins())


async def test_token_that_is_used_up_is_followed_by_another_login(team, connect, provider, logins):
    team.role(token_num_uses=2)
    team.put("db", v=VALUE)
    client = await connect(provider, team.store())
    answers = [await reads(client) for _ in range(3)]

    assert [RemoteValue, RemoteValue] == [type(answer) for answer in answers[:2]]
    assert isinstance(answers[2], CredentialsExpired)
    await client.renew()
    assert isinstance(await reads(client), RemoteValue)


# -- a token from a Secret


@pytest.fixture
def by_token(team, cluster):
    """A store whose token is from a Secret, and the token."""
    team.put("db", v=VALUE)
    token = team.administrator.token(team.allow(), ttl="1h")
    cluster.put_secret("team-a", "token", token=f"{token.value}\n")
    return team.store(auth={"tokenSecretRef": {"name": "token", "key": "token"}}), token


async def test_token_of_a_secret_is_used_as_it_is(by_token, team, connect, provider, vault):
    store, token = by_token
    client = await connect(provider, store)

    assert isinstance(await reads(client), RemoteValue)
    await client.close()

    assert team.administrator.look_up(token.accessor)
    assert [] == vault.audit.logins()
    assert [] == vault.audit.calls("auth/token/re*-self")


async def test_token_of_a_secret_that_has_ended_must_be_replaced(by_token, team, connect, provider):
    store, token = by_token
    client = await connect(provider, store)
    team.administrator.revoke(token.accessor)

    error = await reads(client)

    assert isinstance(error, CredentialsExpired)
    assert "does not know the token in the store's Secret" in error.message
    with pytest.raises(CredentialsExpired):
        await client.renew()
    with pytest.raises(CredentialsExpired):
        await client.validate()


# -- validation


async def test_validation_proves_the_login_and_reads_nothing(team, connect, provider, vault):
    client = await connect(provider, team.store())

    assert Verdict.READY is await client.validate()

    assert {"auth/approle/login", "auth/token/lookup-self"} == {call.path for call in vault.audit.calls()}


async def test_identity_that_may_not_look_itself_up_is_proven_all_the_same(team, connect, provider):
    team.role(token_no_default_policy=True)
    client = await connect(provider, team.store())

    assert Verdict.READY is await client.validate()


async def test_token_that_was_revoked_meanwhile_is_no_failure_of_the_store(team, connect, provider, logins):
    client = await connect(provider, team.store())
    await client.validate()
    team.administrator.revoke(logins()[0].accessor)

    assert Verdict.READY is await client.validate()
    assert 2 == len(logins())


async def test_policy_that_is_missing_is_not_taken_for_a_bad_token(team, connect, provider, logins):
    client = await connect(provider, team.store(path=None))

    answers = [await reads(client, "elsewhere/db") for _ in range(3)]

    assert [AccessDenied] * 3 == [type(answer) for answer in answers]
    assert 1 == len(logins())


async def test_policy_that_is_missing_costs_no_login_each_time(team, connect, provider, logins, monkeypatch):
    """Where Vault does not let the token be looked up either: one new login tells that it is not the token."""
    monkeypatch.setattr(connection_module, "CONFIRMED_S", 0.05)
    team.role(token_no_default_policy=True)
    client = await connect(provider, team.store(path=None))
    denied = []
    for _ in range(5):
        await asyncio.sleep(0.1)
        error = await reads(client, "elsewhere/db")
        if isinstance(error, CredentialsExpired):
            await client.renew()
            error = await reads(client, "elsewhere/db")
        denied.append(type(error))

    assert [AccessDenied] * 5 == denied
    assert 2 == len(logins())


async def test_token_is_looked_up_in_the_namespace_that_it_is_of(team, double, connect, provider, cluster):
    space, below = double.namespace("org"), double.namespace("org/sub")
    below.mount_kv("kv", 2)
    role = space.app_role("app", ["default"])
    cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)
    auth = team.block()["auth"] | {"namespace": "org"}
    bundle = base64.b64encode(double.ca_pem.encode()).decode()
    store = team.store(server=double.url, caBundle=bundle, path="kv", namespace="org/sub", auth=auth)
    client = await connect(provider, store)

    assert Verdict.READY is await client.validate()

    (call,) = double.asked("auth/token/lookup-self")
    assert ("org", 200) == (call.marks["x-vault-namespace"].strip("/"), call.status)


async def test_server_that_does_not_tell_a_bad_token_from_a_missing_policy_is_asked(
    *, proxied, team, connect, provider, vault_proxy, monkeypatch
):
    """Older ones say "permission denied" to both; what the token's own lookup says decides."""
    monkeypatch.setattr(connection_module, "CONFIRMED_S", 0.0)
    team.put("db", v=VALUE)
    client = await connect(provider, proxied.store())
    assert isinstance(await reads(client), RemoteValue)
    denied = {"status": 403, "errors": ("1 error occurred:\n\t* permission denied\n\n",)}

    vault_proxy.fail("status", f"{team.name}/data/db", **denied)
    policy = await reads(client)
    vault_proxy.fail("status", f"{team.name}/data/db", **denied)
    vault_proxy.fail("status", "auth/token/lookup-self", **denied)
    token = await reads(client)

    assert AccessDenied is type(policy)
    assert isinstance(token, CredentialsExpired)
    await client.renew()
    assert isinstance(await reads(client), RemoteValue)


async def test_login_that_wants_a_second_factor_says_so(proxied, connect, provider, vault_proxy):
    asked = {"auth": {"client_token": "", "mfa_requirement": {"mfa_request_id": "x"}}}
    answer = vault_proxy.answer
    vault_proxy.answer = lambda request: (
        Response(200, asked) if request.path.startswith("auth/approle/login") else answer(request)
    )
    client = await connect(provider, proxied.store())

    error = await reads(client)

    assert "wants a second factor" in error.message


# -- how much is asked


async def test_login_that_fails_is_not_tried_by_each_who_waits_for_it(
    team, connect, provider, vault, cluster
):
    cluster.put_secret("team-a", "approle", role="wrong", secret="wrong")
    clients = [await connect(provider, team.store(path=path)) for path in (team.name, "b", "c")]

    errors = [await reads(client) for _ in range(10) for client in clients]

    assert {AuthFailed} == {type(error) for error in errors}
    assert len(vault.audit.logins("approle")) <= 4
    assert all(error.__traceback__ is not errors[0].__traceback__ for error in errors[1:])


async def test_login_is_tried_again_after_a_while(team, connect, provider):
    team.put("db", v=VALUE)
    client = await connect(provider, team.store())
    api, role = team.administrator.api, f"auth/approle/role/{team.name}/secret-id-bound-cidrs"
    api.request("POST", role, {"secret_id_bound_cidrs": ["192.0.2.1/32"]})
    errors = [await reads(client) for _ in range(3)]
    api.request("DELETE", role)

    async def reads_again():
        return isinstance(await reads(client), RemoteValue)

    assert {AuthFailed} == {type(error) for error in errors}
    await eventually_async(reads_again, timeout_s=10, every_s=0.1)


async def test_thousand_entries_of_one_store_are_one_login_and_one_read_of_each_path(
    team, provider, cluster, vault, logins
):
    """What the page says, counted at Vault."""
    paths, entries = 40, 1000
    for number in range(paths):
        team.put(f"app-{number}", v=VALUE)
    vault.audit.reset()
    planner = Planner({"vault": provider}, cluster, lambda key: None)
    binding = await planner.bind(team.store(), "team-a")

    answers = await asyncio.gather(
        *(binding.session.read(Read(f"app-{number % paths}"), Freshness(0, 0)) for number in range(entries))
    )
    asked = [call for call in vault.audit.calls() if call.operation == "read"]
    await planner.close()

    assert {RemoteValue} == {type(answer) for answer in answers}
    assert 1 == len(logins())
    assert paths == len(asked)
