"""What a provider says when it fails: one line, the same each time, no value, no request id, and what to do."""

from __future__ import annotations

import re

import pytest
from tests.contract.providers.backends.base import trait

from keyferry.errors import KeyferryError, one_line
from keyferry.ports import Read
from keyferry.testing.leaks import canary

REQUEST_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


async def fail(client, read):
    try:
        (answer,) = await client.read([read])
    except KeyferryError as error:
        return error
    assert isinstance(answer, KeyferryError), answer
    return answer


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(Read("absent"), id="absent"),
        pytest.param(Read("there", "NOSTAGE"), id="absent-version"),
        pytest.param(Read("there" * 30), id="long-key"),
        pytest.param(Read("a\nkey\x1b[31m"), id="key-that-steers-terminals"),
    ],
)
async def test_failure_is_one_stable_line_with_advice(backend, connect, unique, leaks, read):
    if read.version and not trait(backend, "versions"):
        pytest.skip("this store has no versions")
    backend.put("there", canary("contract-failure"))
    client = await connect(backend.provider, backend.view())

    first, second = await fail(client, read), await fail(client, read)

    assert (type(first), str(first)) == (type(second), str(second))
    assert one_line(str(first)) == str(first)
    assert first.hint
    assert REQUEST_ID.search(str(first)) is None
    assert [] == leaks.look_at_error("failure", first)


async def test_store_of_another_provider_is_refused_by_name(backend, toolbox):
    other = "gitlab"  # which no backend is
    view = toolbox.view(other, {"auth": {"SecretRef": {}}})

    with pytest.raises(KeyferryError, match="team-a/main"):
        backend.provider.check(view)


async def test_check_of_a_good_store_says_nothing(backend, unique):
    backend.put(unique, "value")

    assert backend.provider.check(backend.view()) is None
