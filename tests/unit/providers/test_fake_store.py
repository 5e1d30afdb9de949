"""What the fake provider does that other stores do not: entries by key and version, verdicts by order."""

from __future__ import annotations

import pytest

from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.errors import ProviderError, RemoteSecretNotFound, SpecError
from keyferry.ports import ObjectKey, Read, RemoteValue, StoreView, Verdict
from keyferry.providers.fake import FakeProvider


def store(data, **block):
    spec = convert({"provider": {"fake": {"data": data, **block}}}, SecretStoreSpec)
    return StoreView.of(ObjectKey("SecretStore", "team-a", "fake"), spec)


async def client(data, **block):
    provider = FakeProvider()
    return await provider.connect(await provider.identify(store(data, **block), "team-a", None))


async def read(data, key, version=""):
    (answer,) = await (await client(data)).read([Read(key, version)])
    return answer.value.reveal().decode() if isinstance(answer, RemoteValue) else type(answer)


VERSIONS = [{"key": "a", "value": "plain"}, {"key": "a", "value": "first", "version": "v1"}]


@pytest.mark.parametrize(
    ("key", "version", "expected"),
    [
        pytest.param("a", "", "plain", id="without-a-version"),
        pytest.param("a", "v1", "first", id="with-its-version"),
        pytest.param("a", "v2", RemoteSecretNotFound, id="another-version"),
        pytest.param("b", "", RemoteSecretNotFound, id="another-key"),
        pytest.param("av1", "", RemoteSecretNotFound, id="key-and-version-run-together"),
    ],
)
async def test_entry_is_found_by_key_and_exact_version(key, version, expected):
    assert expected == await read(VERSIONS, key, version)


async def test_last_of_equal_entries_wins():
    assert "2" == await read([{"key": "a", "value": "1"}, {"key": "a", "value": "2"}], "a")


async def test_entry_that_runs_together_with_another_wins_as_it_does_in_the_reference():
    """Entries are kept by key and version in one text: the later one takes the earlier one's place."""
    data = [{"key": "av", "value": "1"}, {"key": "a", "value": "2", "version": "v"}]

    assert (RemoteSecretNotFound, "2") == (await read(data, "av"), await read(data, "a", "v"))


@pytest.mark.parametrize(
    ("result", "expected"), [(None, Verdict.READY), (0, Verdict.READY), (1, Verdict.UNKNOWN)]
)
async def test_verdict_is_what_the_store_says(result, expected):
    assert expected is await (await client([], validationResult=result)).validate()


@pytest.mark.parametrize("result", [2, 3, -1])
async def test_verdict_of_another_number_is_a_failure(result):
    with pytest.raises(ProviderError, match="validationResult"):
        await (await client([], validationResult=result)).validate()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        pytest.param([{"key": "a", "value": "x"}, {"key": "", "value": "x"}], "data[1]: key", id="no-key"),
        pytest.param([{"key": "a", "value": ""}], "data[0]: at least one value", id="no-value"),
    ],
)
def test_incomplete_entry_is_named(data, named):
    with pytest.raises(SpecError) as failure:
        FakeProvider().check(store(data))

    assert named in failure.value.message
