"""Tokens of GitHub Apps: what the App proves, what a token opens, and what GitHub refuses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keyferry.core.addresses import AddressPolicy
from keyferry.errors import AccessDenied, AuthFailed, ForbiddenError, ProviderError, RateLimited, SpecError
from keyferry.providers.github import GithubAccessTokenGenerator
from keyferry.providers.outgoing import Outgoing
from keyferry.testing.clock import MovableClock
from keyferry.testing.leaks import canary

KIND = "GithubAccessToken"


def pem_of(key, form=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


async def test_token_is_the_one_that_github_gave(world, spec_of):
    values = await world.values(KIND, spec_of("github"))

    (token,) = world.github.tokens
    assert {"token": token.value} == values
    assert (frozenset({"web", "api"}), {"contents": "write", "packages": "read"}) == (
        token.repositories,
        token.permissions,
    )


async def test_token_opens_no_more_than_the_spec_asks_for(world, spec_of):
    spec = spec_of("github", repositories=["web"], permissions={"contents": "read"})

    await world.values(KIND, spec)

    (token,) = world.github.tokens
    assert (frozenset({"web"}), {"contents": "read"}) == (token.repositories, token.permissions)


async def test_private_key_may_be_pkcs8(world, spec_of):
    key = serialization.load_pem_private_key(world.app_pem, None)
    world.cluster.put_secret("team-a", "github", pem=pem_of(key))

    assert await world.values(KIND, spec_of("github"))


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        pytest.param(lambda: pem_of(rsa.generate_private_key(65537, 2048)), "appID", id="of-another-app"),
        pytest.param(
            lambda: pem_of(ec.generate_private_key(ec.SECP256R1())), "no RSA private key", id="no-rsa"
        ),
        pytest.param(lambda: canary("no-pem").encode(), "no RSA private key", id="no-pem"),
        pytest.param(
            lambda: rsa.generate_private_key(65537, 2048).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"x"),
            ),
            "no RSA private key",
            id="behind-a-password",
        ),
    ],
)
async def test_key_that_does_not_prove_the_app_is_told(world, spec_of, leaks, pem, says):
    world.cluster.put_secret("team-a", "github", pem=pem())

    with pytest.raises(AuthFailed) as failure:
        await world.values(KIND, spec_of("github"))

    assert says in str(failure.value)
    assert [] == leaks.look_at_error("failure", failure.value)


@pytest.mark.parametrize("ahead_s", [-200, -30, 30, 50], ids="{:+d}s".format)
async def test_clock_may_be_off_a_little(world, spec_of, ahead_s):
    """GitHub refuses a token of its future, and one that lasts more than ten minutes."""
    clock = MovableClock()
    clock.ahead = timedelta(seconds=ahead_s)
    generator = GithubAccessTokenGenerator(Outgoing(AddressPolicy(["127.0.0.1"]), clock), clock)

    made = await generator.generate(world.view(KIND, spec_of("github")), world.cluster)
    await generator.close()

    assert made.data


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        pytest.param({"installID": "999"}, ProviderError, "installID", id="installation-of-nobody"),
        pytest.param({"appID": "1"}, ProviderError, "appID", id="app-that-there-is-not"),
        pytest.param({"repositories": ["secret"]}, ProviderError, "repositories", id="repository-too-many"),
        pytest.param({"permissions": {"contents": "admin"}}, ProviderError, "permissions", id="too-much"),
        pytest.param({"permissions": {"issues": "read"}}, ProviderError, "permissions", id="not-granted"),
    ],
)
async def test_what_github_refuses_is_told_with_advice(world, spec_of, changes, error, says):
    with pytest.raises(error) as failure:
        await world.values(KIND, spec_of("github", **changes))

    assert says in failure.value.hint
    assert [] == world.github.tokens


async def test_installation_that_is_suspended_is_told(world, spec_of):
    world.github.installations["815"].suspended = True

    with pytest.raises(AccessDenied, match="installation 815"):
        await world.values(KIND, spec_of("github"))


async def test_hourly_limit_is_waited_for(world, spec_of):
    """It comes without Retry-After: as a 403 with the moment when it ends."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4102444800"}
    world.github.fail(status=403, headers=headers)

    with pytest.raises(RateLimited) as failure:
        await world.values(KIND, spec_of("github"))

    assert 3600 == failure.value.retry.seconds


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        pytest.param({"appID": ""}, SpecError, "spec.appID", id="no-app"),
        pytest.param({"installID": "../../user"}, SpecError, "spec.installID", id="path-for-an-installation"),
        pytest.param({"url": "ftp://github.com"}, SpecError, "spec.url", id="not-https"),
        pytest.param({"url": "https://user:pw@github.com"}, SpecError, "spec.url", id="credentials"),
        pytest.param({"url": "https://github.com/?a=b"}, SpecError, "spec.url", id="query"),
        pytest.param({"url": "https://"}, SpecError, "spec.url", id="no-host"),
        pytest.param({"url": "http://169.254.169.254"}, ForbiddenError, "metadata", id="metadata-service"),
        pytest.param({"url": "localhost:8080"}, ForbiddenError, "this machine", id="this-machine"),
    ],
)
async def test_spec_that_cannot_be_used_is_told_by_its_field(world, spec_of, changes, error, says):
    with pytest.raises(error) as failure:
        await world.values(KIND, spec_of("github", **changes))

    assert says in failure.value.message
    assert [] == world.github.calls
