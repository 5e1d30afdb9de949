from __future__ import annotations

import itertools

import aiohttp
import kopf
import pytest

from keyferry.handlers.session import WatchSigns, kopf_session
from keyferry.handlers.settings import EndlessBackoff, watch_only_settings
from keyferry.kube.config import ClusterConfig, TokenSource

PATH = "{}/apis/external-secrets.io/v1/externalsecrets"


def test_backoff_never_ends_and_stays_within_bounds() -> None:
    pauses = list(itertools.islice(EndlessBackoff(), 100_000))

    assert 100_000 == len(pauses)
    assert 0.16 <= pauses[0] <= 0.24
    assert 24.0 <= min(pauses[20:])
    assert max(pauses) <= 36.0


def test_backoff_begins_anew_for_every_request() -> None:
    backoff = EndlessBackoff()
    next(iter(backoff))

    assert next(iter(backoff)) <= 0.24


def test_settings_write_nothing_and_keep_nothing() -> None:
    settings = watch_only_settings()
    body = kopf.Body({"metadata": {"annotations": {"a": "b"}}, "spec": {"x": 1}})
    patch = kopf.Patch()
    storage, progress = settings.persistence.diffbase_storage, settings.persistence.progress_storage

    storage.store(body=body, patch=patch, essence=storage.build(body=body))
    progress.store(key="k", record={"retries": 1}, body=body, patch=patch)
    progress.touch(body=body, patch=patch, value="now")
    progress.purge(key="k", body=body, patch=patch)

    assert {} == dict(patch)
    assert {} == storage.build(body=body)
    assert (None, None) == (storage.fetch(body=body), progress.fetch(key="k", body=body))
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.peering.standalone


def test_settings_that_memory_and_liveness_depend_on() -> None:
    settings = watch_only_settings()

    assert (0.05, None) == (settings.queueing.idle_timeout, settings.queueing.worker_limit)
    assert (500, False) == (settings.watching.chunk_size, settings.watching.initial_streaming)
    assert isinstance(settings.networking.error_backoffs, EndlessBackoff)


@pytest.fixture
async def session(kube):
    """Makes kopf's session for a token source."""
    made = []

    def make(tokens=None, signs=None, **config):
        configured = ClusterConfig(kube.url, tokens=tokens, **config)
        made.append(kopf_session(configured, signs or WatchSigns(["externalsecrets"])).aiohttp_session)
        return made[-1]

    yield make
    for one in made:
        await one.close()


def rotating(*tokens: str) -> TokenSource:
    left = list(tokens)
    return TokenSource(lambda: (left.pop(0), 0.0))


async def test_every_request_carries_the_token_of_its_time(kube, session) -> None:
    opened = session(rotating("one", "two", "three"))
    for _ in range(3):
        await opened.get(f"{kube.url}/apis")

    assert ["Bearer one", "Bearer two", "Bearer three"] == [authorization for *_, authorization in kube.seen]


async def test_refused_token_is_read_again_for_the_next_request(kube, session) -> None:
    reads = []

    def read() -> tuple[str, float]:
        reads.append(f"token {len(reads)}")
        return reads[-1], float("inf")

    opened = session(TokenSource(read))
    kube.refusals["externalsecrets"].append(401)

    response = await opened.get(PATH.format(kube.url))

    assert 200 == response.status
    assert ["Bearer token 0", "Bearer token 1"] == [authorization for *_, authorization in kube.seen]


async def test_identity_that_stays_refused_is_tried_on_with_pauses(kube, session) -> None:
    """kopf would throw the session away, and all watches with it."""
    opened = session(TokenSource(lambda: ("token", 60.0)))
    kube.refusals["externalsecrets"].extend([401] * 3)

    response = await opened.get(PATH.format(kube.url))

    assert (200, 4) == (response.status, len(kube.seen))


async def test_token_that_cannot_be_read_for_a_while_ends_nothing(kube, session) -> None:
    tries = []

    def read() -> tuple[str, float]:
        tries.append(1)
        if len(tries) < 3:
            raise FileNotFoundError
        return "token", 60.0

    response = await session(TokenSource(read)).get(PATH.format(kube.url))

    assert (200, ["Bearer token"]) == (response.status, [authorization for *_, authorization in kube.seen])


async def test_refusals_and_bodies_are_signs_and_requests_are_none(kube, session) -> None:
    signs = WatchSigns(["externalsecrets", "secretstores"])
    opened = session(signs=signs)
    nothing = signs.figure("externalsecrets")
    kube.refusals["externalsecrets"].append(503)
    await opened.get(PATH.format(kube.url))
    refused = signs.figure("externalsecrets")
    response = await opened.get(PATH.format(kube.url))
    await response.read()
    heard = signs.figure("externalsecrets")

    assert 3 == len({nothing, refused, heard})
    assert nothing == signs.figure("secretstores")


async def test_server_that_is_not_there_is_a_sign_too(session) -> None:
    signs = WatchSigns(["externalsecrets"])
    nothing = signs.figure("externalsecrets")
    with pytest.raises(aiohttp.ClientError):
        await session(signs=signs).get(PATH.format("http://127.0.0.1:9"))

    assert nothing != signs.figure("externalsecrets")


async def test_session_says_who_it_is(kube, session) -> None:
    opened = session(basic=("me", "secret"))

    await opened.get(f"{kube.url}/apis")

    assert "Basic bWU6c2VjcmV0" == kube.seen[0][3]
    assert "keyferry" in opened.headers["User-Agent"]


async def test_list_with_an_object_that_is_nested_too_deep_is_read(kube, session) -> None:
    kube.list_body = f'{{"items":[{"[" * 5_000}{"]" * 5_000},2]}}'
    response = await session(TokenSource(lambda: ("token", 60.0))).get(PATH.format(kube.url))

    assert (await response.json())["items"][1] == 2
