"""One-time passwords are those of RFC 6238, and seeds are read as providers write them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from keyferry.api.generators.local import MFASpec
from keyferry.api.model import convert
from keyferry.errors import AuthFailed, SpecError
from keyferry.generators.mfa import MFAGenerator, totp
from keyferry.ports import GeneratorView, ObjectKey
from keyferry.testing.clock import FakeClock
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.leaks import LeakDetector, canary

SEEDS = {
    "sha1": b"12345678901234567890",
    "sha256": b"12345678901234567890123456789012",
    "sha512": b"1234567890123456789012345678901234567890123456789012345678901234",
}
RFC_6238 = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]
"""Appendix B: seconds, and the token of each algorithm."""


@pytest.mark.parametrize(("seconds", "sha1", "sha256", "sha512"), RFC_6238)
def test_tokens_are_those_of_the_standard(seconds, sha1, sha256, sha512):
    made = {name: totp(seed, seconds, digits=8, period=30, algorithm=name)[0] for name, seed in SEEDS.items()}

    assert {"sha1": sha1, "sha256": sha256, "sha512": sha512} == made


@pytest.mark.parametrize(("seconds", "left"), [(0, 30), (1, 29), (29, 1), (30, 30), (59, 1)])
def test_time_left_is_to_the_end_of_the_step(seconds, left):
    assert left == totp(b"x", seconds, digits=6, period=30, algorithm="sha1")[1]


def text(seed=SEEDS["sha1"]):
    return base64.b32encode(seed).decode()


async def make(seed, clock=None, **spec):
    cluster = Cluster()
    cluster.put_secret("team-a", "mfa", seed=seed)
    typed = convert({"secret": {"name": "mfa", "key": "seed"}, **spec}, MFASpec)
    view = GeneratorView(ObjectKey("MFA", "team-a", "m"), "MFA", "team-a", typed)
    generator = MFAGenerator(clock or FakeClock(datetime.fromtimestamp(59, UTC)))
    generator.check(view)
    made = await generator.generate(view, cluster)
    return tuple(made.data[key].reveal().decode() for key in ("token", "timeLeft"))


async def test_token_is_that_of_the_clocks_moment():
    clock = FakeClock(datetime.fromtimestamp(59, UTC))

    first = await make(text(), clock)
    clock.advance(0.9)
    same = await make(text(), clock)
    clock.advance(0.1)
    second = await make(text(), clock)

    assert (("287082", "1"), ("287082", "1")) == (first, same)
    assert "287082" != second[0]
    assert "30" == second[1]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"length": 8}, ("94287082", "1"), id="eight-digits"),
        pytest.param({"length": 0, "timePeriod": 0}, ("287082", "1"), id="zero-for-the-default"),
        pytest.param({"timePeriod": 60}, ("755224", "1"), id="another-period"),
        pytest.param({"algorithm": "SHA-1"}, ("287082", "1"), id="algorithm-in-another-spelling"),
        pytest.param({"when": "2005-03-18T01:58:31Z", "length": 8}, ("14050471", "29"), id="pinned"),
        pytest.param({"when": "2005-03-18T03:58:31+02:00"}, ("050471", "29"), id="pinned-elsewhere"),
        pytest.param({"when": "2005-03-18T01:58:31.9Z"}, ("050471", "29"), id="pinned-within-a-second"),
    ],
)
async def test_token_is_as_the_spec_says(spec, expected):
    assert expected == await make(text(), **spec)


async def test_algorithm_of_the_spec_counts():
    assert ("119246", "1") == await make(text(SEEDS["sha256"]), algorithm="sha256")


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(text().lower(), id="lower-case"),
        pytest.param(" ".join(text()[i : i + 4] for i in range(0, 32, 4)), id="in-groups"),
        pytest.param(f"{text()}\n", id="with-a-line-break"),
    ],
)
async def test_seed_is_read_as_providers_write_it(written):
    assert ("287082", "1") == await make(written)


async def test_padding_of_a_seed_may_be_there_or_not():
    seed = text(b"1234567890123")

    assert seed.endswith("=")
    assert await make(seed) == await make(seed.rstrip("="))


@pytest.mark.parametrize(
    "written",
    ["1890!", "=", "A", b"\xff\xfe\x00", canary("seed")],
    ids=["digits", "empty", "short", "bytes", "text"],
)
async def test_seed_that_is_none_is_told_without_it(written):
    with pytest.raises(AuthFailed, match='key "seed" of Secret "team-a/mfa" is no base32') as failure:
        await make(written)

    assert [] == LeakDetector().look_at_error("error", failure.value)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param({"length": 11}, "spec.length", id="too-many-digits"),
        pytest.param({"algorithm": "md5"}, "spec.algorithm", id="no-algorithm"),
        pytest.param({"when": "noon"}, "spec.when", id="no-moment"),
    ],
)
async def test_spec_that_cannot_be_used_is_told_by_its_field(spec, says):
    with pytest.raises(SpecError) as failure:
        await make(text(), **spec)

    assert failure.value.message.startswith(says)
