from __future__ import annotations

import pytest

from keyferry.errors import KubeNotFound
from keyferry.testing.eventually import eventually, eventually_async


def test_result_is_returned_once_it_is_true() -> None:
    answers = iter([None, [], "there"])

    actual = eventually(lambda: next(answers), every_s=0)

    assert actual == "there"


def test_failing_asserts_lookups_and_calls_count_as_not_yet() -> None:
    failures = iter([AssertionError("1 == 2"), KeyError("status"), KubeNotFound("no such object"), None])

    def condition() -> bool:
        if failure := next(failures):
            raise failure
        return True

    actual = eventually(condition, every_s=0)

    assert actual


def test_failure_tells_the_last_state() -> None:
    with pytest.raises(AssertionError, match=r"^not true after 0 s; at last: \{\}$"):
        eventually(dict, timeout_s=0)


def test_failure_tells_the_last_refusal() -> None:
    def condition() -> bool:
        raise KubeNotFound('secrets "db" not found')

    with pytest.raises(AssertionError, match=r'at last: KubeNotFound: secrets "db" not found$'):
        eventually(condition, timeout_s=0)


def test_bugs_in_a_condition_are_not_waited_for() -> None:
    def condition() -> bool:
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        eventually(condition)


async def test_asynchronous_condition_is_awaited() -> None:
    answers = iter([0, 7])

    async def condition() -> int:
        return next(answers)

    assert await eventually_async(condition, every_s=0) == 7


async def test_asynchronous_failure_tells_the_last_state() -> None:
    async def condition() -> list[str]:
        return []

    with pytest.raises(AssertionError, match=r"at last: \[\]$"):
        await eventually_async(condition, timeout_s=0)
