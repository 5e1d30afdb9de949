"""The demo's timeline is readable: aligned, wrapped, with colours only where they help."""

from __future__ import annotations

import io

import pytest

from keyferry.cli.demo.timeline import Mood, Passing, Timeline, duration, entry, indented, wrapped

MESSAGE = (
    "could not get secret data from provider: error processing spec.data[0] (key: db/prod), err: "
    'SecretStore "team-a/aws": arn:aws:sts::123456789012:assumed-role/app/external-secrets-provider-aws is not '
    "allowed to secretsmanager:GetSecretValue"
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def columns(monkeypatch):
    """How wide the terminal is."""
    return lambda width: monkeypatch.setenv("COLUMNS", str(width))


def plain(tell) -> str:
    stream = io.StringIO()
    tell(Timeline(stream, {}))
    return stream.getvalue()


def coloured(tell, **environment: str) -> str:
    stream = Terminal()
    tell(Timeline(stream, environment))
    return stream.getvalue()


def test_entry_aligns_its_further_lines_with_its_text():
    lines = entry(12.34, "synced", "one two three four five six seven", width=40)

    assert lines == [
        "  12.3 s  synced     one two three four",
        "                     five six seven",
    ]


def test_entries_line_up_over_short_and_long_times_and_labels():
    starts = [entry(at, label, "text")[0].index("text") for at, label in [(0, "aws"), (123.4, "mistake 12")]]

    assert starts == [21, 21]


def test_nothing_is_wider_than_asked_for_but_words_that_cannot_be_broken():
    assert max(len(line) for line in indented(MESSAGE, " " * 6, 100)) <= 100
    assert [line.strip() for line in indented("a " + "x" * 50, "  ", 20)] == ["a", "x" * 50]


def test_wrapping_keeps_every_word_and_breaks_none():
    assert " ".join(wrapped(MESSAGE, 60)) == MESSAGE


def test_times_are_relative_to_the_beginning():
    clock, stream = Clock(), io.StringIO()
    timeline = Timeline(stream, {}, clock)
    clock.now += 50
    timeline.begin()
    clock.now += 1.25
    timeline.event("synced", "now")

    assert stream.getvalue() == "   1.2 s  synced     now\n"
    assert timeline.elapsed_s() == 1.25


def test_pipe_gets_neither_colours_nor_passing_lines():
    def tell(timeline):
        timeline.doing("waiting")
        timeline.event("outage", "the store is unreachable", Mood.BAD)
        timeline.quote("because")

    assert plain(tell).splitlines()[0].endswith("the store is unreachable")
    assert "waiting" not in plain(tell)
    assert "\x1b" not in plain(tell)


def test_terminal_gets_colours_around_the_same_words(columns):
    columns(100)
    shown = coloured(lambda timeline: timeline.event("synced", "there", Mood.GOOD))

    assert "\x1b[1;32msynced" in shown
    assert shown.endswith("there\n")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["no-color", "dumb"])
def test_colours_can_be_refused(environment, columns):
    columns(100)

    def tell(timeline):
        timeline.event("synced", "there", Mood.GOOD)
        timeline.command("kubectl get secrets")
        timeline.block("kind: Secret")

    assert coloured(tell, **environment) == plain(tell)
    assert "\x1b" not in coloured(tell, **environment)


def test_empty_no_color_is_none(columns):
    columns(100)

    assert "\x1b[" in coloured(lambda timeline: timeline.event("synced", "there"), NO_COLOR="")


def test_passing_line_is_taken_away_by_what_follows(columns):
    columns(100)

    def tell(timeline):
        Passing(timeline).update("starting")
        timeline.lines("done")

    assert coloured(tell, NO_COLOR="1").rpartition("\r\x1b[K")[2] == "done\n"


@pytest.mark.parametrize(("terminal", "used"), [(80, 80), (300, 100), (20, 60)])
def test_text_follows_the_terminals_width_within_reason(terminal, used, columns):
    columns(terminal)
    shown = coloured(lambda timeline: timeline.paragraph("word " * 100), NO_COLOR="1")

    assert used - 5 < max(len(line) for line in shown.splitlines()) <= used


def test_commands_and_files_are_never_wrapped():
    command = "kubectl apply -f " + "long/" * 40
    shown = plain(
        lambda timeline: (timeline.command(command), timeline.block("a: b\n  c: " + "d" * 200 + "\n"))
    )

    assert shown == f"\n$ {command}\na: b\n  c: {'d' * 200}\n"


def test_all_that_was_told_is_remembered_without_colours(columns):
    columns(100)
    timeline = Timeline(Terminal(), {})
    timeline.lines("one")
    timeline.quote("two")

    assert "two" in timeline.told[-1]
    assert timeline.told[0] == "one"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0341, "34 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (12.34, "12.3 s")]
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text
