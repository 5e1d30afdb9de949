"""Logins of Quay's robots: for the ServiceAccount that a robot trusts, and for no other."""

from __future__ import annotations

import base64
import time

import pytest

from keyferry.errors import AuthFailed, SpecError
from keyferry.testing.quay import Federation

KIND = "QuayAccessToken"
ROBOT = "org+puller"
SUBJECT = "system:serviceaccount:team-a:puller"


async def test_login_is_the_robots(world, spec_of):
    values = await world.values(KIND, spec_of("quay"))

    robot, _, token = base64.b64decode(values["auth"]).decode().partition(":")
    assert (ROBOT, True) == (robot, world.quay.is_own(token, ROBOT))
    assert world.quay.url.removeprefix("http://") == values["registry"]
    assert abs(int(values["expiry"]) - time.time() - 3600) < 60


async def test_token_of_the_service_account_is_short_and_for_quay_alone(world, spec_of):
    await world.values(KIND, spec_of("quay"))

    assert [("team-a", "puller", ("127.0.0.1",), 600)] == world.cluster.tokens


async def test_audience_may_be_named(world, spec_of):
    world.quay.federate(ROBOT, Federation(world.issuer.url, SUBJECT, "https://quay.example.com"))
    account = {"name": "puller", "audiences": ["https://quay.example.com"]}

    assert await world.values(KIND, spec_of("quay", serviceAccountRef=account))
    assert ("https://quay.example.com",) == world.cluster.tokens[0][2]


@pytest.mark.parametrize(
    "federation",
    [
        pytest.param(
            lambda i: Federation(i.url, "system:serviceaccount:team-b:puller"), id="another-account"
        ),
        pytest.param(lambda i: Federation("https://other.example.com", SUBJECT), id="another-cluster"),
        pytest.param(lambda i: Federation(i.url, SUBJECT, "somebody-else"), id="another-audience"),
    ],
)
async def test_robot_that_trusts_somebody_else_gives_nothing(world, spec_of, leaks, federation):
    world.quay.federate(ROBOT, federation(world.issuer))

    with pytest.raises(AuthFailed) as failure:
        await world.values(KIND, spec_of("quay"))

    assert ROBOT in failure.value.message
    assert "team-a/puller" in failure.value.message
    assert "federation" in failure.value.hint
    assert [] == leaks.look_at_error("failure", failure.value)


async def test_robot_that_there_is_not_is_told(world, spec_of):
    with pytest.raises(AuthFailed, match="org\\+nobody"):
        await world.values(KIND, spec_of("quay", robotAccount="org+nobody"))


@pytest.mark.parametrize("robot", ["", "a:b", "a b", "a\nb", "a+b+c"])
async def test_name_that_no_robot_has_is_refused(world, spec_of, robot):
    with pytest.raises(SpecError, match=r"spec\.robotAccount"):
        await world.values(KIND, spec_of("quay", robotAccount=robot))

    assert ([], []) == (world.quay.calls, world.cluster.tokens)
