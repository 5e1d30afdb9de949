"""Schedules are read, and come up, as robfig/cron has it: on thousands of generated ones."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyferry.core.cron import Cron, Schedule, last_activation, next_activation, parse_schedule

HERE = Path(__file__).parent
SCHEDULES = 4000
MOMENTS = 4
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIELDS = [
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, ("jan", "JUN", "Dec")),
    (0, 6, ("sun", "Wed", "SAT")),
]
FIXED = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
    "@Daily",
    "@reboot",
    "@every 1x",
    "0 0 29 2 *",
    "0 0 30 2 *",
    "0 0 31 4,6,9,11 *",
    "0 0 13 * 5",
    "*/1 * 1 * 1",
    "* * 1 * *",
    "* * ? * 1",
    "0 0 1 1 7",
    "0 0 1 1 0-7",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "5-1 * * * *",
    "1-2-3 * * * *",
    "1/2/3 * * * *",
    "*/0 * * * *",
    "*-7 * * * *",
    "*-7/20 * * * *",
    "+5 * * * *",
    "-5 * * * *",
    "5- * * * *",
    "/5 * * * *",
    "5/ * * * *",
    "*/mon * * * *",
    "* * * * mon/2",
    "* * * jan-mar fri-sat",
    "1,,2 * * * *",
    "* * * *",
    "* * * * * *",
    "  0 0\t* * *  ",
    "",
    "99999999999999999999 * * * *",
    "0x5 * * * *",
    "1_0 * * * *",
    "٣ * * * *",
]


def field(source: random.Random, least: int, most: int, names: tuple[str, ...]) -> str:
    """One field: mostly right, sometimes a little beyond."""

    def number() -> str:
        if names and source.random() < 0.2:
            return source.choice(names)
        return str(source.randint(least - (source.random() < 0.02), most + (source.random() < 0.02)))

    def span() -> str:
        ends = sorted(source.randint(least, most) for _ in range(2))
        return (
            f"{ends[source.random() < 0.02]}-{ends[1]}" if source.random() < 0.9 else f"{number()}-{number()}"
        )

    def part() -> str:
        kind = source.random()
        text = "*" if kind < 0.35 else "?" if kind < 0.4 else number() if kind < 0.75 else span()
        if source.random() < 0.75:
            return text
        return f"{text}/{source.randint(0 if source.random() < 0.05 else 1, most + 3)}"

    return ",".join(part() for _ in range(source.choice([1, 1, 1, 2, 3])))


def schedules() -> list[str]:
    source = random.Random(20250601)
    made = [" ".join(field(source, *about) for about in FIELDS) for _ in range(SCHEDULES)]
    return FIXED + made


def moments(source: random.Random) -> list[datetime]:
    """Some moments, and edges: a leap day, the last minute of a year, a whole minute."""
    edges = [
        datetime(2024, 2, 29, tzinfo=UTC),
        datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2097, 3, 1, 12, tzinfo=UTC),
    ]
    some = [EPOCH + timedelta(seconds=source.uniform(0, 4e9)) for _ in range(MOMENTS)]
    return [*edges, some[0].replace(second=0, microsecond=0), *some]


def ours(text: str) -> Schedule | None:
    try:
        return parse_schedule(text)
    except ValueError:
        return None


@pytest.mark.timeout(180)
def test_schedules_come_up_when_they_do_in_go(build_go: Callable[[Path], Path]) -> None:
    source = random.Random(7)
    asked = [(text, moments(source)) for text in schedules()]
    lines = [
        json.dumps({"schedule": text, "after": [(moment - EPOCH) // MICROSECOND for moment in at]})
        for text, at in asked
    ]
    done = subprocess.run(
        [build_go(HERE)], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=120
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]

    assert len(answers) == len(asked)
    wrong = []
    for (text, at), answer in zip(asked, answers, strict=True):
        schedule = ours(text)
        if schedule is None or not answer["valid"]:
            if (schedule is not None) != answer["valid"]:
                wrong.append((text, answer["valid"]))
            continue
        for moment, micros in zip(at, answer["next"], strict=True):
            theirs = EPOCH + micros * MICROSECOND if micros else None
            if next_activation(schedule, moment) != theirs:
                wrong.append((text, moment, theirs))
            elif theirs is not None and last_activation(schedule, theirs, EPOCH) != theirs:
                wrong.append((text, moment, "backwards"))
    assert wrong == []
    assert sum(answer["valid"] for answer in answers) > SCHEDULES / 2
    assert sum(isinstance(ours(text), Cron) for text, _ in asked) > SCHEDULES / 2
