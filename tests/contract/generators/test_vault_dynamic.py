"""VaultDynamicSecret on a real Vault: any path and method, what becomes of the answer, and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from tests.contract.generators.lender import Lender, state, values

from keyferry.errors import (
    ForbiddenError,
    KeyferryError,
    LeaseLost,
    ProviderError,
    RemoteSecretNotFound,
    SpecError,
    TimedOut,
    Unavailable,
)
from keyferry.lease import AtTheEnd
from keyferry.ports import LeasingGenerator
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.postgres import PostgresServer

# -- any path


async def test_values_are_as_vault_answers_them(lender: Lender) -> None:
    lender.administrator.mount_kv(lender.mount, version=1)
    document = {
        "text": canary("kv text"),
        "number": 12345678901234567890,
        "float": 1.50,
        "yes": True,
        "none": None,
        "list": [1, "<a>"],
        "map": {"b": 1, "a": "ü"},
        "empty": "",
    }
    lender.administrator.put(lender.mount, "any", document, version=1)
    lender.allow(**{f"{lender.mount}__any": ["read"]})
    made = await lender.make(f"/{lender.mount}/any/")

    assert {
        "text": canary("kv text"),
        "number": "12345678901234567890",
        "float": "1.5",
        "yes": "true",
        "none": "",
        "list": '[1,"\\u003ca\\u003e"]',
        "map": '{"a":"ü","b":1}',
        "empty": "",
    } == values(made)
    assert made.lease is None
    assert ["issuedAt", "path", "server"] == sorted(state(made))
    await lender.clean(made, f"{lender.mount}/any")


@pytest.mark.parametrize("method", ["GET", "get", ""])
async def test_parameters_of_a_query_choose_the_version(lender: Lender, method: str) -> None:
    lender.administrator.mount_kv(lender.mount)
    for number in (1, 2):
        lender.administrator.put(lender.mount, "any", {"v": str(number)})
    lender.allow(**{f"{lender.mount}__data__any": ["read"]})
    spec = {"method": method} if method else {}
    made = await lender.make(f"{lender.mount}/data/any", getParameters={"version": ["1"]}, **spec)

    assert {"v": "1"} == json.loads(values(made)["data"])
    assert {"metadata", "data"} == values(made).keys()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_other_methods_write(lender: Lender, method: str) -> None:
    lender.allow(sys__tools__hash=["update"])
    made = await lender.make(
        "sys/tools/hash", method=method, parameters={"input": base64.b64encode(b"x").decode()}
    )

    assert "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" == values(made)["sum"]


async def test_names_are_listed(lender: Lender) -> None:
    lender.administrator.mount_kv(lender.mount, version=1)
    for key in ("a", "b"):
        lender.administrator.put(lender.mount, key, {"v": "1"}, version=1)
    lender.allow(**{f"{lender.mount}__": ["list"], lender.mount: ["list"]})
    made = await lender.make(lender.mount, method="LIST")

    assert {"keys": '["a","b"]'} == values(made)


async def test_raw_result_is_the_whole_answer(lender: Lender, postgres: PostgresServer) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make(resultType="Raw")
    got = values(made)

    assert {
        "request_id",
        "lease_id",
        "lease_duration",
        "renewable",
        "data",
        "warnings",
        "mount_type",
    } == got.keys()
    assert lender.leases() == [got["lease_id"]]
    assert ("600", "true", "") == (got["lease_duration"], got["renewable"], got["warnings"])
    user = json.loads(got["data"])
    assert postgres.may_log_in(user["username"], user["password"])
    assert made.lease is not None


@pytest.mark.parametrize(
    ("method", "path", "part"),
    [("DELETE", "any", "no data"), ("GET", "absent", "does not exist"), ("POST", "any", "no data")],
)
async def test_answer_without_data_is_a_failure_unless_it_is_allowed(
    lender: Lender, method: str, path: str, part: str
) -> None:
    """And never "the remote secret is absent", which would delete Secrets."""
    lender.administrator.mount_kv(lender.mount, version=1)
    lender.allow(**{f"{lender.mount}__*": ["read", "update", "create", "delete"]})
    wanted: dict[str, Any] = {"method": method, "parameters": {"v": "1"}}
    with pytest.raises(ProviderError, match=part) as failure:
        await lender.make(f"{lender.mount}/{path}", **wanted)
    made = await lender.make(f"{lender.mount}/{path}", allowEmptyResponse=True, **wanted)

    assert not isinstance(failure.value, RemoteSecretNotFound)
    assert {} == values(made)


# -- failures


async def test_call_is_repeated_as_the_spec_says_but_never_one_whose_answer_is_late(
    lender: Lender, postgres: PostgresServer
) -> None:
    """A late answer may have made a user that nobody would know of."""
    lender.database(postgres, ttl="10m")
    await lender.make()
    lender.proxy.fail("status", lender.creds, times=2)
    settings = {"maxRetries": 2, "retryInterval": "10ms"}
    made = await lender.make(retrySettings=settings)
    lender.proxy.fail("status", lender.creds, times=3)
    with pytest.raises(Unavailable):
        await lender.make(retrySettings=settings)
    lender.proxy.clear()
    lender.proxy.fail("status", lender.creds, times=1)
    with pytest.raises(Unavailable):
        await lender.make()
    lender.proxy.clear()

    assert made.data
    assert 2 == len(lender.leases())


async def test_vault_that_does_not_answer_at_renewal_is_unavailable(
    lender: Lender, postgres: PostgresServer, leaks: LeakDetector
) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    lender.proxy.fail("status", "sys/leases/renew", status=503, times=1)
    with pytest.raises(Unavailable) as failure:
        await lender.renew(made)
    renewed = await lender.renew(made)

    assert not isinstance(failure.value, LeaseLost | TimedOut)
    assert AtTheEnd.RENEW == renewed.at_the_end
    assert [] == leaks.look_at_error("sealed", failure.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"path": "/"}, "spec.path must be set", id="no-path"),
        pytest.param({"path": "db/../sys/raw"}, 'spec.path: "db/../sys/raw" is not a path', id="dots"),
        pytest.param(
            {"retrySettings": {"retryInterval": "soon"}}, "spec.retrySettings.retryInterval is", id="interval"
        ),
        pytest.param({"provider": {"server": ""}}, "spec.provider.server must be set", id="no-server"),
    ],
)
def test_wrong_field_is_named(lender: Lender, spec: dict[str, Any], words: str) -> None:
    view = lender.view(**({"path": "db/creds/app"} | spec))
    with pytest.raises(SpecError) as failure:
        lender.generator.check(view)

    assert failure.value.message.startswith(words)


def test_reference_of_a_namespaced_generator_stays_at_home(lender: Lender) -> None:
    auth = {"tokenSecretRef": {"name": "token", "key": "token", "namespace": "team-b"}}
    with pytest.raises(ForbiddenError, match=r"spec\.provider\.auth\.tokenSecretRef\.namespace"):
        lender.generator.check(lender.view("db/creds/app", provider={"auth": auth}))


@pytest.mark.parametrize("call", ["renew", "cleanup"])
@pytest.mark.parametrize(
    ("forged", "words"),
    [
        pytest.param({"server": "https://vault.example.com"}, "by another Vault or namespace", id="server"),
        pytest.param({"namespace": "other"}, "by another Vault or namespace", id="namespace"),
        pytest.param({"path": "other/creds/app"}, "which is not the path", id="path"),
        pytest.param({"leaseID": "other/creds/app/abc"}, "which is not the path", id="lease"),
    ],
)
async def test_state_that_names_anothers_lease_is_refused(
    lender: Lender, postgres: PostgresServer, call: str, forged: dict[str, str], words: str
) -> None:
    """Whoever may write GeneratorStates must not end leases that the generator could not have made."""
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    lender.vault.audit.reset()
    state_ = json.dumps(state(made) | forged).encode()

    with pytest.raises(ForbiddenError, match=words):
        await getattr(lender.generator, call)(lender.view(lender.creds), state_, lender.cluster)
    assert [] == lender.vault.audit.calls()


@pytest.mark.parametrize("call", ["renew", "cleanup"])
async def test_state_of_another_generator_is_told(lender: Lender, call: str) -> None:
    with pytest.raises(SpecError, match="is none of a VaultDynamicSecret"):
        await getattr(lender.generator, call)(lender.view("db/creds/app"), b'{"tokenID": 1}', lender.cluster)


async def test_nothing_that_was_lent_cannot_be_renewed(lender: Lender) -> None:
    with pytest.raises(LeaseLost):
        await lender.generator.renew(lender.view("db/creds/app"), b"{}", lender.cluster)


def test_generator_is_one_that_renews(lender: Lender) -> None:
    assert isinstance(lender.generator, LeasingGenerator)


async def test_cancelled_call_leaves_nothing_pinned(lender: Lender, postgres: PostgresServer) -> None:
    lender.database(postgres, ttl="10m")
    made = await lender.make()
    accessor = state(made)["parent"]["accessor"]
    await lender.clean(made)
    lender.proxy.fail("hold", lender.creds)
    task = asyncio.create_task(lender.make())
    await asyncio.to_thread(lender.proxy.wait_held)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    lender.proxy.clear()
    await lender.restart()

    assert lender.administrator.look_up(accessor) is None


async def test_failures_hold_no_value(lender: Lender, postgres: PostgresServer, leaks: LeakDetector) -> None:
    lender.database(postgres, ttl="10m")
    found: list[KeyferryError] = []
    for fault in ("garbage", "cut-body", "cut"):
        lender.proxy.fail(fault, lender.creds, times=1)
        with pytest.raises(KeyferryError) as failure:
            await lender.make()
        found.append(failure.value)

    assert [[], [], []] == [leaks.look_at_error("failure", one) for one in found]
