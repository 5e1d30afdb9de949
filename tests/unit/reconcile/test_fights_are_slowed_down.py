"""Somebody who changes a target again and again is answered at once a few times, and then rarely."""

from __future__ import annotations

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.finish import forget
from keyferry.reconcile.repairs import AT_ONCE, EVERY_S, Repairs

KEY = ObjectKey("ExternalSecret", "team-0", "app")


def waits(repairs: Repairs, count: int, now: float, key: ObjectKey = KEY) -> list[float]:
    """How long each of so many repairs has to wait; those that need not are made."""
    found = []
    for _ in range(count):
        found.append(repairs.wait_s(key, now))
        if not found[-1]:
            repairs.note(key, now)
    return found


def test_some_repairs_come_at_once_and_then_one_in_half_a_minute() -> None:
    repairs = Repairs()

    assert waits(repairs, AT_ONCE + 2, 100.0) == [0.0] * AT_ONCE + [EVERY_S] * 2
    assert waits(repairs, 1, 110.0) == [pytest.approx(EVERY_S - 10)]
    assert waits(repairs, 2, 100.0 + EVERY_S) == [0.0, EVERY_S]


def test_objects_do_not_use_up_each_others_repairs() -> None:
    repairs = Repairs()
    waits(repairs, AT_ONCE + 1, 0.0)

    assert waits(repairs, 1, 0.0, ObjectKey("ExternalSecret", "team-0", "other")) == [0.0]


def test_after_a_while_of_peace_all_repairs_are_there_again() -> None:
    repairs = Repairs()
    waits(repairs, AT_ONCE, 0.0)

    assert waits(repairs, AT_ONCE + 1, AT_ONCE * EVERY_S + 1000) == [0.0] * AT_ONCE + [EVERY_S]


def test_only_those_that_had_repairs_lately_are_kept() -> None:
    repairs = Repairs()
    for number in range(5000):
        repairs.note(ObjectKey("ExternalSecret", "team-0", f"app-{number}"), float(number))

    assert len(repairs) < 2100


async def test_object_that_is_gone_is_forgotten(bench) -> None:
    bench.engine.repairs.note(bench.key, 0.0)
    forget(bench.engine, bench.key)

    assert len(bench.engine.repairs) == 0
