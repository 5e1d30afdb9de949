"""One changing line on a terminal, a plain line now and then elsewhere."""

import io

import pytest

from keyferry.localcluster.progress import StreamProgress, minutes


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_terminal_shows_one_line_that_changes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream, clock = Terminal(), Clock()
    progress = StreamProgress(stream, clock)

    progress.update("compiled 1")
    clock.now += 0.05
    progress.update("too soon")
    clock.now += 0.06
    progress.update("compiled a package with a long name")
    progress.say("done")

    assert stream.getvalue() == "\r\x1b[Kcompiled 1\r\x1b[Kcompiled a package…\r\x1b[Kdone\n"


def test_log_gets_a_plain_line_now_and_then():
    stream, clock = io.StringIO(), Clock()
    progress = StreamProgress(stream, clock)

    for second in range(31):
        clock.now = float(second)
        progress.update(f"at {second}")
    progress.say("done")

    assert stream.getvalue() == "at 15\nat 30\ndone\n"


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0:00"), (59.6, "1:00"), (75, "1:15"), (-1, "0:00")])
def test_times_are_minutes_and_seconds(seconds, expected):
    assert minutes(seconds) == expected
