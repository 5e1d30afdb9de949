"""GitHub, GitLab and Quay that do not answer as they should: told by kind, and never with their own words."""

from __future__ import annotations

import pytest

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    Malformed,
    ProviderError,
    RateLimited,
    Unavailable,
    after,
    one_line,
)
from keyferry.testing.leaks import canary

SERVERS = {"github": "github", "gitlab-project": "gitlab", "quay": "quay"}
FAULTS = [
    pytest.param({"status": 500}, Unavailable, id="failure-of-its-own"),
    pytest.param({"status": 503}, Unavailable, id="not-there-at-the-moment"),
    pytest.param({"status": 401}, AuthFailed, id="does-not-know-us"),
    pytest.param({"status": 403}, AccessDenied, id="refuses-us"),
    pytest.param({"status": 404}, ProviderError, id="knows-no-such-thing"),
    pytest.param({"status": 422}, ProviderError, id="finds-it-wrong"),
    pytest.param({"status": 302, "headers": {"Location": "/other"}}, ProviderError, id="sends-us-elsewhere"),
    pytest.param({"kind": "garbage"}, Malformed, id="no-json"),
    pytest.param({"kind": "huge"}, Malformed, id="endless"),
    pytest.param({"kind": "cut"}, Unavailable, id="hangs-up"),
]


@pytest.fixture(params=SERVERS)
def server(request, world, toolbox):
    """A double, and a kind and spec that ask it."""
    return getattr(world, SERVERS[request.param]), *toolbox.specs(world)[request.param]


async def failure_of(world, kind, spec):
    with pytest.raises(ProviderError) as failure:
        await world.generate(kind, spec)
    return failure.value


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
async def test_failure_is_told_by_its_kind_alone(world, server, leaks, fault, expected):
    double, kind, spec = server
    # Four, because the library asks once more where nothing can have been done yet.
    double.fail(times=4, body=canary("server-text"), **fault)

    first, second = [await failure_of(world, kind, spec) for _ in range(2)]

    assert (expected, expected) == (type(first), type(second))
    assert str(first) == str(second) == one_line(str(first))
    assert first.hint
    assert [] == leaks.look_at_error("failure", first)


async def test_next_try_after_a_failure_succeeds(world, server):
    double, kind, spec = server
    double.fail(status=500)
    await failure_of(world, kind, spec)

    assert (await world.generate(kind, spec)).data


@pytest.mark.parametrize("status", [429, 403, 503])
async def test_server_that_asks_for_a_pause_gets_it(world, server, status):
    double, kind, spec = server
    double.throttle("120", status=status)

    failure = await failure_of(world, kind, spec)

    assert (RateLimited, after(120)) == (type(failure), failure.retry)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        pytest.param("Fri, 31 Dec 2100 23:59:59 GMT", 3600, 3600, id="far-away"),
        pytest.param("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0, id="long-ago"),
    ],
)
async def test_pause_may_be_told_as_a_moment(world, server, said, least, most):
    double, kind, spec = server
    double.throttle(said)

    failure = await failure_of(world, kind, spec)

    assert least <= failure.retry.seconds <= most


async def test_pause_that_cannot_be_read_is_none(world, server):
    double, kind, spec = server
    double.throttle("soon")

    failure = await failure_of(world, kind, spec)

    assert (RateLimited, RateLimited.default_retry) == (type(failure), failure.retry)


async def test_server_that_is_not_there_is_told(world, server):
    double, kind, spec = server
    double.close()

    failure = await failure_of(world, kind, spec)

    assert Unavailable is type(failure)
    assert "127.0.0.1" in failure.message
