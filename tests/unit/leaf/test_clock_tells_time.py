from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from keyferry.clock import SystemClock


def test_time_of_day_is_utc():
    before = datetime.now(UTC)
    now = SystemClock().now()

    assert now.utcoffset() == timedelta(0)
    assert before <= now <= datetime.now(UTC)


async def test_monotonic_time_is_that_of_the_loops_timers():
    loop = asyncio.get_running_loop()
    before = loop.time()
    now = SystemClock().monotonic()

    assert before <= now <= loop.time()
