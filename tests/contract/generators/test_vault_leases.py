"""What Vault lends is kept: renewed under whatever login there is, replaced in time, given back. On a real Vault.

The identity of these tests has just the policy that the documentation names.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from tests.contract.generators.lender import WITHOUT_DEFAULT, Lender, issuer, state, values

from keyferry.core.lease import first_term, next_term
from keyferry.errors import (
    AccessDenied,
    LeaseLost,
    ProviderError,
    Unavailable,
)
from keyferry.lease import AtTheEnd
from keyferry.testing.eventually import eventually_async
from keyferry.testing.leaks import LeakDetector
from keyferry.testing.postgres import PostgresServer
from keyferry.testing.vault.front import Request, Response

# -- credentials of a database


async def test_credentials_log_in_and_their_lease_is_told(lender: Lender, postgres: PostgresServer) -> None:
    lender.database(postgres, ttl="10m")
    before = datetime.now(UTC)
    made = await lender.make()
    user = values(made)

    assert {"username", "password"} == user.keys()
    assert postgres.may_log_in(user=user["username"], password=user["password"])
    assert made.lease is not None
    assert AtTheEnd.RENEW == made.lease.at_the_end
    assert timedelta(minutes=10) == made.lease.ends_at - made.lease.began_at
    assert before <= made.lease.began_at <= datetime.now(UTC)


async def test_state_has_what_keeps_the_lease_and_no_value(
    lender: Lender, postgres: PostgresServer, leaks: LeakDetector
) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    told = state(made)
    (login,) = lender.vault.audit.logins()

    assert {
        "server": lender.proxy.url,
        "path": lender.creds,
        "leaseID": lender.leases()[0],
        "duration": 600,
        "renewable": True,
        "parent": {"accessor": login.accessor},
    } == {key: value for key, value in told.items() if key != "issuedAt"}
    assert [] == [value for value in values(made).values() if value in made.state.decode()]


async def test_renewal_moves_the_end_in_vault(lender: Lender, postgres: PostgresServer) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    (lease,) = lender.leases()
    before = lender.administrator.lease(lease)
    renewed = await lender.renew(made)
    after = lender.administrator.lease(lease)

    assert before["expire_time"] < after["expire_time"]
    assert timedelta(minutes=10) == renewed.ends_at - renewed.began_at
    assert AtTheEnd.RENEW == renewed.at_the_end


async def test_lease_of_a_former_process_is_renewed_by_the_next_with_one_login(
    lender: Lender, postgres: PostgresServer
) -> None:
    """That ended as it should: its token is not revoked, or its leases would be, too."""
    lender.database(postgres, ttl="10m")
    made = [await lender.make() for _ in range(5)]
    await lender.restart()
    lender.vault.audit.reset()
    renewed = await asyncio.gather(*(lender.renew(one) for one in made))

    assert 1 == len(lender.vault.audit.logins())
    assert 5 == len(lender.vault.audit.calls("sys/leases/renew"))
    assert 1 == len(lender.vault.audit.calls("auth/token/renew-accessor"))
    assert [600.0] * 5 == [(one.ends_at - one.began_at).total_seconds() for one in renewed]
    assert 5 == len(lender.leases())
    user = values(made[0])
    assert postgres.may_log_in(user["username"], user["password"])


async def test_lease_outlives_the_first_life_of_the_login_that_made_it(
    lender: Lender, postgres: PostgresServer
) -> None:
    """Vault revokes a token's leases with it: after a restart, the next process keeps the former token alive."""
    lender.database(postgres, ttl="10m")
    lender.log_in_as(token_ttl="4s")
    made = await lender.make()
    assert made.lease is not None
    assert timedelta(seconds=5) > made.lease.ends_at - made.lease.began_at
    accessor = state(made)["parent"]["accessor"]
    await lender.restart()
    for _ in range(2):
        known = lender.administrator.look_up(accessor)["expire_time"]

        async def is_due(known: str = known) -> bool:
            left = datetime.fromisoformat(known) - datetime.now(UTC)
            return left < timedelta(seconds=2)

        await eventually_async(is_due)
        renewed = await lender.renew(made)
        assert timedelta(seconds=5) > renewed.ends_at - renewed.began_at
        assert lender.administrator.look_up(accessor)["expire_time"] > known

    assert 1 == len(lender.leases())


async def test_revoked_lease_is_lost(lender: Lender, postgres: PostgresServer) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    lender.administrator.revoke_lease(lender.leases()[0])

    with pytest.raises(LeaseLost, match="does not renew it any more: it was revoked, or has ended"):
        await lender.renew(made)


async def test_longest_life_is_told_by_a_renewal_that_gives_little(
    lender: Lender, postgres: PostgresServer
) -> None:
    lender.database(postgres, ttl="5s", max_ttl="6s")
    made = await lender.make()

    async def gives_little() -> bool:
        renewed = await lender.renew(made)
        return renewed.ends_at - renewed.began_at < timedelta(seconds=3.4)

    await eventually_async(gives_little)


async def test_credentials_that_are_given_back_log_in_no_more(
    lender: Lender, postgres: PostgresServer
) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    user = values(made)
    await lender.clean(made)

    async def is_refused() -> bool:
        return not postgres.may_log_in(user["username"], user["password"])

    await eventually_async(is_refused)
    assert [] == lender.leases()
    await lender.clean(made)  # what is gone already is fine


# -- the login that leases hang on


async def test_login_is_revoked_at_the_end_where_nothing_hangs_on_it(
    lender: Lender, postgres: PostgresServer
) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    accessor = state(made)["parent"]["accessor"]
    await lender.clean(made)
    await lender.restart()

    assert lender.administrator.look_up(accessor) is None


async def test_login_of_another_process_is_not_taken_for_the_own_one(
    lender: Lender, postgres: PostgresServer
) -> None:
    """What the former process made is given back; what this one made stays good beyond its end."""
    lender.database(postgres, ttl="10m")
    former = await lender.make()
    await lender.restart()
    await lender.make()
    await lender.clean(former)
    await lender.restart()

    assert 1 == len(lender.leases())


async def test_login_near_its_last_end_lends_nothing_more(lender: Lender, postgres: PostgresServer) -> None:
    """What it lent would end with it."""
    lender.database(postgres, ttl="10m")
    lender.log_in_as(token_ttl="8s", token_max_ttl="8s")
    first = await lender.make()

    async def is_old() -> bool:
        return bool(lender.vault.audit.calls("auth/token/renew-self"))  # which gave no more time

    await eventually_async(is_old)
    second = await lender.make()

    assert first.lease is not None
    assert second.lease is not None
    assert timedelta(seconds=6) < second.lease.ends_at - second.lease.began_at
    assert 2 == len(lender.vault.audit.logins())


def _accessor(lender: Lender, number: int) -> str:
    return lender.vault.audit.logins()[number].accessor


async def test_lease_ends_with_a_token_that_cannot_be_renewed(
    lender: Lender, postgres: PostgresServer
) -> None:
    """A batch token: it has no accessor, and its leases no longer life."""
    lender.database(postgres, ttl="10m")
    lender.log_in_as(token_ttl="60s", token_type="batch")
    made = await lender.make()

    assert made.lease is not None
    assert timedelta(seconds=61) > made.lease.ends_at - made.lease.began_at
    assert "accessor" not in state(made)["parent"]


@pytest.mark.parametrize(
    "settings", [{"ttl": "90s"}, {"period": "90s"}], ids=["that-ends", "that-is-renewed"]
)
async def test_lease_ends_with_a_token_from_a_secret(
    lender: Lender, postgres: PostgresServer, settings: dict[str, str]
) -> None:
    """Whoever wrote it renews it: then the lease lives on, too."""
    lender.database(postgres, ttl="10m")
    token = lender.administrator.token(lender.mount, **settings)
    lender.cluster.put_secret("team-a", "token", token=token.value)
    static = {"auth": {"tokenSecretRef": {"name": "token", "key": "token"}}}
    made = await lender.make(provider=static)
    renewed = await lender.renew(made, provider=static)

    assert made.lease is not None
    assert timedelta(seconds=80) < made.lease.ends_at - made.lease.began_at < timedelta(seconds=91)
    assert AtTheEnd.REPLACE == renewed.at_the_end
    assert [] == lender.vault.audit.logins()


async def test_token_without_an_end_limits_nothing(lender: Lender, postgres: PostgresServer) -> None:
    lender.database(postgres, ttl="10m")
    lender.cluster.put_secret("team-a", "token", token=lender.administrator.root_token)
    static = {"auth": {"tokenSecretRef": {"name": "token", "key": "token"}}}
    made = await lender.make(provider=static)
    renewed = await lender.renew(made, provider=static)

    assert AtTheEnd.RENEW == renewed.at_the_end
    assert timedelta(minutes=10) == renewed.ends_at - renewed.began_at
    await lender.clean(made, provider=static)


async def test_lease_that_lives_as_long_as_the_login_is_renewed_and_not_replaced(
    lender: Lender, postgres: PostgresServer
) -> None:
    """Its time comes just before that of the login, which then is renewed with it."""
    lender.database(postgres, ttl="9s")
    lender.log_in_as(token_ttl="9s")
    made = await lender.make()
    assert made.lease is not None
    term = first_term(made.lease, 1.0)

    async def is_due() -> bool:
        return lender.clock.now() >= term.due_at

    await eventually_async(is_due)
    assert [] == lender.vault.audit.calls("auth/token/renew-self")
    renewed = await lender.renew(made)

    assert 9.0 == pytest.approx((renewed.ends_at - renewed.began_at).total_seconds(), abs=0.5)
    assert AtTheEnd.RENEW == next_term(term, renewed, 0.0).lease.at_the_end
    assert 1 == len(lender.vault.audit.calls("auth/token/renew-self"))


async def test_login_that_cannot_be_renewed_now_is_no_reason_to_replace(
    lender: Lender, postgres: PostgresServer
) -> None:
    lender.database(postgres, ttl="3s")
    lender.log_in_as(token_ttl="3s")
    made = await lender.make()
    (login,) = lender.vault.audit.logins()
    lender.proxy.fail("status", "auth/token/renew-self", times=0, status=503, errors=("Vault is sealed",))

    async def is_late() -> bool:
        ends = datetime.fromisoformat(lender.administrator.look_up(login.accessor)["expire_time"])
        return ends - datetime.now(UTC) < timedelta(seconds=1.9)

    await eventually_async(is_late)
    with pytest.raises(Unavailable, match="is sealed"):
        await lender.renew(made)
    lender.proxy.clear()


async def test_login_that_is_used_up_takes_no_lease_with_it(lender: Lender, postgres: PostgresServer) -> None:
    """Vault revokes such a token after its last call: each credential has one of its own, and nobody else asks."""
    lender.database(postgres, ttl="10m")
    lender.log_in_as(token_ttl="1h", token_num_uses=2)
    made = [await lender.make() for _ in range(3)]
    users = [values(one) for one in made]

    assert [True] * 3 == [postgres.may_log_in(user["username"], user["password"]) for user in users]
    assert 3 == len({state(one)["parent"]["accessor"] for one in made})
    renewed = await lender.renew(made[0])
    assert timedelta(minutes=10) == renewed.ends_at - renewed.began_at


async def test_absurd_times_are_cut_to_what_calendars_hold(lender: Lender, postgres: PostgresServer) -> None:
    lender.database(postgres, ttl="10m")
    answer = lender.proxy.answer

    def exaggerated(request: Request) -> Response:
        told = answer(request)
        document = json.loads(told.content or b"{}")
        (document.get("auth") or document)["lease_duration"] = 10**17
        return Response(told.status, document)

    lender.proxy.answer = exaggerated  # type: ignore[method-assign]
    made = await lender.make()
    renewed = await lender.renew(made)

    assert made.lease is not None
    for one in (made.lease, renewed):
        assert timedelta(days=36499) < one.ends_at - one.began_at <= timedelta(days=36500)


async def test_what_was_lent_is_given_back_where_nobody_can_tell_how_long_it_lasts(
    lender: Lender, postgres: PostgresServer
) -> None:
    lender.database(postgres, ttl="10m")
    with pytest.raises(ProviderError, match="answers with no auth"):
        await lender.make(resultType="Auth")

    assert [] == lender.leases()


async def test_login_that_vault_forgot_is_made_again(lender: Lender, postgres: PostgresServer) -> None:
    """Its leases went with it; new credentials come from a new login."""
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    lender.administrator.revoke(state(made)["parent"]["accessor"])
    with pytest.raises(LeaseLost):
        await lender.renew(made)
    again = await lender.make()

    assert 2 == len(lender.vault.audit.logins())
    user = values(again)
    assert postgres.may_log_in(user["username"], user["password"])


# -- the policy


@pytest.mark.parametrize("missing", [*WITHOUT_DEFAULT, "creds"])
async def test_each_right_of_the_policy_is_needed_and_named(
    lender: Lender, postgres: PostgresServer, missing: str, leaks: LeakDetector
) -> None:
    lender.database(postgres, ttl="10m")
    lender.rules |= WITHOUT_DEFAULT
    lender.log_in_as(token_ttl="1h", token_no_default_policy=True)
    path = lender.creds if missing == "creds" else missing
    del lender.rules[path]

    async def use_all() -> None:
        made = await lender.make()
        await lender.restart()
        await lender.renew(made)
        await lender.clean(made)

    lender.allow()
    with pytest.raises(AccessDenied, match=path) as failure:
        await use_all()
    lender.rules[path] = ["read" if missing == "creds" else "update"]
    lender.allow()
    await use_all()

    capability = lender.rules[path][0]
    assert f'path "{path}" {{ capabilities = ["{capability}"] }}' in failure.value.hint
    assert [] == leaks.look_at_error("denied", failure.value)


# -- certificates


async def test_certificate_is_replaced_by_what_it_says_itself(lender: Lender) -> None:
    lender.administrator.pki(lender.mount)
    lender.administrator.pki_role(lender.mount, "web", ttl="2h")
    lender.allow(**{f"{lender.mount}__issue__web": ["update"]})
    made = await lender.make(
        f"{lender.mount}/issue/web", method="POST", parameters={"common_name": "web.example.com"}
    )
    certificate = x509.load_pem_x509_certificate(values(made)["certificate"].encode())

    assert {"certificate", "private_key", "issuing_ca", "serial_number", "expiration"} <= values(made).keys()
    assert made.lease is not None
    assert AtTheEnd.REPLACE == made.lease.at_the_end
    assert certificate.not_valid_after_utc == made.lease.ends_at
    assert str(int(made.lease.ends_at.timestamp())) == values(made)["expiration"]
    assert "leaseID" not in state(made)
    await lender.clean(made, f"{lender.mount}/issue/web")
    assert ["update"] == [call.operation for call in lender.vault.audit.calls(f"{lender.mount}/*")]


async def test_certificate_with_a_lease_is_not_renewed_but_revoked(lender: Lender) -> None:
    lender.administrator.pki(lender.mount)
    lender.administrator.pki_role(lender.mount, "web", ttl="2h", generate_lease=True)
    path = f"{lender.mount}/issue/web"
    lender.allow(**{f"{lender.mount}__issue__web": ["update"]})
    made = await lender.make(path, method="POST", parameters={"common_name": "web.example.com"})

    assert made.lease is not None
    assert AtTheEnd.REPLACE == made.lease.at_the_end
    assert 1 == len(lender.administrator.leases(path))
    await lender.clean(made, path)

    async def is_revoked() -> bool:
        return [] == lender.administrator.leases(path)

    await eventually_async(is_revoked)


# -- passwords that Vault rotates


async def test_password_that_vault_rotates_is_read_again_after_that(
    lender: Lender, postgres: PostgresServer
) -> None:
    lender.administrator.database(lender.mount, postgres)
    postgres.query(f'CREATE ROLE "{lender.mount}" LOGIN')
    wanted = {"db_name": "postgres", "username": lender.mount, "rotation_period": "1h"}
    lender.administrator.api.request("POST", f"{lender.mount}/static-roles/app", wanted)
    lender.allow(**{f"{lender.mount}__static-creds__app": ["read"]})
    made = await lender.make(f"{lender.mount}/static-creds/app")
    user = values(made)

    assert postgres.may_log_in(user["username"], user["password"])
    assert made.lease is not None
    assert AtTheEnd.READ_AGAIN == made.lease.at_the_end
    assert int(user["ttl"]) == (made.lease.ends_at - made.lease.began_at).total_seconds()


# -- tokens


@pytest.mark.parametrize("orphan", [False, True])
async def test_token_is_renewed_and_revoked_by_its_accessor(lender: Lender, *, orphan: bool) -> None:
    path = await issuer(lender, orphan=orphan)
    parameters = {"ttl": "10m", "policies": [lender.mount]}
    made = await lender.make(path, method="POST", resultType="Auth", parameters=parameters)
    token = values(made)
    before = lender.administrator.look_up(token["accessor"])
    renewed = await lender.renew(made, path)

    assert {"client_token", "accessor", "lease_duration", "renewable", "policies"} <= token.keys()
    assert "600" == token["lease_duration"]
    assert "true" == token["renewable"]
    assert ["default", lender.mount] == json.loads(token["policies"])
    assert token["accessor"] == state(made)["accessor"]
    assert ({} if orphan else {"accessor": _accessor(lender, 0)}) == state(made).get("parent", {})
    assert token["client_token"] not in made.state.decode()
    assert lender.administrator.look_up(token["accessor"])["expire_time"] >= before["expire_time"]
    assert timedelta(minutes=10) == renewed.ends_at - renewed.began_at
    await lender.clean(made, path)
    assert lender.administrator.look_up(token["accessor"]) is None
    with pytest.raises(LeaseLost):
        await lender.renew(made, path)
    await lender.clean(made, path)


async def test_token_that_is_asked_for_as_data_is_no_success_and_stays_nowhere(lender: Lender) -> None:
    """The answer holds no data: what Vault has made nevertheless is given back at once."""
    path = await issuer(lender)
    lender.vault.audit.reset()
    with pytest.raises(ProviderError, match="answers with no data") as failure:
        await lender.make(path, method="POST", parameters={"ttl": "10m"})

    assert "resultType" in failure.value.hint
    assert 1 == len(lender.vault.audit.calls("auth/token/revoke-accessor"))
