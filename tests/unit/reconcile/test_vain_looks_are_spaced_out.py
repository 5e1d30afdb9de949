"""A store that tells again and again of nothing new: the pauses grow, and are forgotten."""

from __future__ import annotations

from keyferry.ports import ObjectKey
from keyferry.reconcile.vain import FIRST_S, FORGOTTEN_S, LONGEST_S, VainLooks

KEY = ObjectKey("ExternalSecret", "team-a", "app")


def test_pauses_grow_to_the_longest() -> None:
    vain, now, pauses = VainLooks(), 0.0, []
    for _ in range(9):
        vain.note(KEY, now, in_vain=True)
        pauses.append(vain.wait_s(KEY, now))
        now += pauses[-1]

    assert [0.0, FIRST_S, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_S, LONGEST_S] == pauses
    assert 0 == vain.wait_s(KEY, now)


def test_something_new_ends_the_series() -> None:
    vain = VainLooks()
    for _ in range(5):
        vain.note(KEY, 0.0, in_vain=True)
    vain.note(KEY, 0.0, in_vain=False)

    assert (0.0, 0) == (vain.wait_s(KEY, 0.0), len(vain))


def test_series_is_forgotten_after_a_while() -> None:
    vain = VainLooks()
    for _ in range(5):
        vain.note(KEY, 0.0, in_vain=True)
    vain.note(KEY, FORGOTTEN_S, in_vain=True)

    assert 0.0 == vain.wait_s(KEY, FORGOTTEN_S)


def test_object_that_is_gone_is_forgotten() -> None:
    vain = VainLooks()
    for _ in range(5):
        vain.note(KEY, 0.0, in_vain=True)
    vain.forget(KEY)

    assert (0.0, 0) == (vain.wait_s(KEY, 0.0), len(vain))


def test_only_those_are_kept_who_looked_lately() -> None:
    vain = VainLooks()
    for number in range(5000):
        vain.note(ObjectKey("ExternalSecret", "team-a", str(number)), number, in_vain=True)

    assert len(vain) <= 1025
