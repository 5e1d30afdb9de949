"""The time left begins as a guess and becomes what the machine's own speed says."""

import pytest

from keyferry.localcluster.estimate import Estimate


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def estimate(clock):
    one = Estimate(clock)
    one.expect("small", 10.0)
    one.expect("large", 100.0)
    return one


def test_before_the_start_it_is_the_sum_of_the_guesses(estimate):
    assert estimate.left_s() == 110.0


def test_without_progress_the_guess_counts_down_and_never_below_zero(estimate, clock):
    estimate.enter("large")
    clock.now += 60
    after_a_minute = estimate.left_s(0.0)
    clock.now += 60

    assert after_a_minute == 40.0
    assert estimate.left_s(0.0) == 0.0


def test_past_a_quarter_only_the_speed_counts(estimate, clock):
    estimate.enter("large")
    clock.now += 150

    assert estimate.left_s(0.5) == 150.0


def test_parts_still_to_come_are_added_and_past_ones_are_not(estimate, clock):
    estimate.enter("small")
    clock.now += 4
    in_the_first = estimate.left_s(0.4)
    estimate.enter("large")

    assert in_the_first == pytest.approx(6.0 + 100.0)
    assert estimate.left_s() == 100.0
    assert estimate.elapsed_s == 4.0
