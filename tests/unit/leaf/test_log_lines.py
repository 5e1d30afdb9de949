"""Log lines: one per fact, that nobody can forge, and in which no foreign exception's text stands."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry import logs
from keyferry.errors import AccessDenied
from keyferry.logs import TIME_FORMATS, JSONFormatter, TextFormatter, bound, configure
from keyferry.secretdata import SecretBytes

CANARY = "hunter2"
MOMENT = 1_750_000_000.123456
FORGED = "2025-06-15T15:06:40.123Z INFO  all is well"
FORMATTERS = pytest.mark.parametrize("formatter", [TextFormatter(), JSONFormatter()], ids=["text", "json"])


def _record(message="hello", *args, level=logging.INFO, error=None, fields=None, name="keyferry.x"):
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord(name, level, "/x.py", 1, message, args, exc_info)
    record.created = MOMENT
    if fields is not None:
        record.fields = fields
    return record


def _text(*args, **fields):
    return TextFormatter().format(_record(*args, **fields))


def _json(*args, **fields):
    return json.loads(JSONFormatter().format(_record(*args, **fields)))


def _raised(error):
    with contextlib.suppress(BaseException):
        raise error
    return error


# -- form


def test_text_is_time_level_message_and_pairs():
    with bound(kind="ExternalSecret", name="db prod"):
        line = _text(
            "synced %s in %d s", "it", 3, fields={"store": "aws", "empty": "", "quoted": 'a"b', "eq": "a=b"}
        )

    assert line == (
        '2025-06-15T15:06:40.123Z INFO  synced it in 3 s kind=ExternalSecret name="db prod" store=aws empty="" '
        'quoted="a\\"b" eq="a=b"'
    )


def test_json_is_one_object_with_the_loggers_name():
    with bound(name="db"):
        fields = _json("synced %s", "it", fields={"count": 3, "store": None})

    assert fields == {
        "ts": "2025-06-15T15:06:40.123Z", "level": "info", "msg": "synced it", "name": "db", "count": 3, "store": None,
        "logger": "keyferry.x",
    }  # fmt: skip
    assert list(fields)[:3] == ["ts", "level", "msg"]


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "fatal"),
        (15, "level 15"),
    ],
)
def test_levels_have_the_contracts_names(level, name):
    assert _json(level=level)["level"] == name
    assert f" {name.upper()}" in _text(level=level)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("epoch", MOMENT),
        ("millis", 1_750_000_000_123.456),
        ("nano", 1_750_000_000_123_456_000),
        ("iso8601", "2025-06-15T15:06:40.123Z"),
        ("rfc3339", "2025-06-15T15:06:40Z"),
        ("rfc3339nano", "2025-06-15T15:06:40.123456Z"),
    ],
)
def test_time_is_told_in_the_style_asked_for(style, expected):
    actual = json.loads(JSONFormatter(style).format(_record()))["ts"]

    assert actual == (pytest.approx(expected, rel=1e-15) if style == "nano" else expected)
    assert (
        TextFormatter(style)
        .format(_record())
        .startswith(str(actual) if style != "nano" else "175000000012345")
    )


def test_every_style_of_time_is_tested():
    assert set(TIME_FORMATS) == {"epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano"}


# -- context


def test_context_nests_and_ends():
    with bound(a="1", b="1"):
        with bound(b="2", c="2"):
            assert {k: v for k, v in _json().items() if k in "abc"} == {"a": "1", "b": "2", "c": "2"}
        assert {k: v for k, v in _json().items() if k in "abc"} == {"a": "1", "b": "1"}
    assert set(_json()) == {"ts", "level", "msg", "logger"}


def test_context_ends_with_a_failure_too():
    with contextlib.suppress(ValueError), bound(a="1"):
        raise ValueError

    assert "a" not in _json()


async def test_context_belongs_to_its_task():
    async def speak(name):
        with bound(name=name):
            await asyncio.sleep(0)
            return _json()["name"]

    assert await asyncio.gather(speak("a"), speak("b")) == ["a", "b"]


def test_fields_of_the_line_go_before_the_context():
    with bound(a="context"):
        assert _json(fields={"a": "line"})["a"] == "line"


@pytest.mark.parametrize("key", ["ts", "level", "msg", "logger"])
def test_no_field_replaces_what_the_line_is_about(key):
    with bound(**{key: "forged"}):
        assert _json()[key] == _json(fields={key: "forged"})[key] != "forged"
        assert _text().startswith("2025-06-15T15:06:40.123Z INFO  hello")


def test_fields_that_are_no_mapping_are_left_out():
    assert set(_json(fields=["x"])) == {"ts", "level", "msg", "logger"}


# -- no forging


@FORMATTERS
@pytest.mark.parametrize("breaker", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_nobody_can_forge_a_second_line(formatter, breaker):
    """Not by a message, an argument, a field, a context field or an error of ours."""
    evil = f"x{breaker}{FORGED}"
    error = _raised(AccessDenied("x"))
    error.message = evil
    with bound(name=evil, bare=f"x{breaker}y"):
        line = formatter.format(_record(f"{evil} %s", evil, fields={"store": evil}, error=error))

    lines = line.split("\n") if isinstance(formatter, JSONFormatter) else line.splitlines()
    assert [part for part in lines[1:] if not part.startswith("    ")] == []
    assert FORGED in lines[0]


@pytest.mark.parametrize("char", ["\x1b", "\x00", "\x07", "\x7f", "\x9b", "\u202e", "\u2066"])
def test_text_steers_no_terminal(char):
    with bound(name=f"a{char}b"):
        line = _text(f"x{char}[31m", fields={"y": char})

    assert line.isprintable()


def test_control_characters_are_shown_as_escapes():
    assert _text("a\nb\x1bc").endswith(r" INFO  a\nb\x1bc")


def test_text_of_all_scripts_is_left_as_it_is():
    with bound(name="日本 é 😀"):
        assert _text("über 日本").endswith(' über 日本 name="日本 é 😀"')


@FORMATTERS
@given(st.text(), st.text(), st.text())
def test_any_text_makes_one_line(formatter, message, argument, field):
    with bound(name=field):
        line = formatter.format(_record(message.replace("%", "%%") + "%s", argument))

    assert len(line.splitlines() if isinstance(formatter, TextFormatter) else line.split("\n")) == 1
    line.encode()


# -- foreign exceptions


@FORMATTERS
def test_foreign_exception_is_told_by_type_and_place(formatter):
    line = formatter.format(_record("failed", error=_raised(ValueError(CANARY))))

    assert CANARY not in line
    assert "ValueError" in line
    assert "_raised " in line
    assert re.search(r"test_log_lines\.py:\d+", line)


@FORMATTERS
@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("failed: %s", lambda e: (e,)),
        ("failed: %r", lambda e: (e,)),
        ("failed: %(e)s", lambda e: ({"e": e},)),
        (ValueError(CANARY), lambda _: ()),
        (f"failed: {CANARY}", lambda _: ()),
        (
            f"Task exception was never retrieved\nfuture: <Task exception={ValueError(CANARY)!r}>",
            lambda _: (),
        ),
        ("failed: %s", lambda e: (str(e),)),
        ("failed: %s", lambda e: (repr(e),)),
    ],
)
def test_foreign_exceptions_text_is_not_in_the_message_either(formatter, message, args):
    """Libraries put it there: asyncio and kopf among them."""
    error = _raised(ValueError(CANARY))

    line = formatter.format(_record(message, *args(error), error=error))

    assert CANARY not in line
    assert "ValueError" in line


@FORMATTERS
def test_foreign_exception_as_argument_is_told_by_type_without_a_trace_too(formatter):
    assert CANARY not in formatter.format(_record("failed: %s, %s", ValueError(CANARY), 1))
    with bound(name="x"):
        assert CANARY not in formatter.format(_record(fields={"cause": ValueError(CANARY)}))


@FORMATTERS
def test_our_own_error_is_told_in_full(formatter):
    error = _raised(AccessDenied("denied", hint="Ask the owner"))

    line = formatter.format(_record("failed: %s", error, error=error))

    assert line.count("denied. Ask the owner") == 2


@FORMATTERS
def test_cause_of_our_own_error_stays_out(formatter):
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            raise AccessDenied("denied") from cause
    except AccessDenied as error:
        line = formatter.format(_record("failed", error=error))

    assert CANARY not in line


def test_exception_without_a_text_changes_no_message():
    assert _json("hello", error=_raised(ValueError()))["msg"] == "hello"


@FORMATTERS
def test_record_without_an_exception_under_way_is_fine(formatter):
    record = _record()
    record.exc_info = (None, None, None)

    assert "trace" not in formatter.format(record)


def test_trace_stands_below_the_text_and_in_a_list_of_the_json():
    error = _raised(ValueError("x"))

    assert re.fullmatch(r"[^\n]* error=ValueError\n    _raised [^\n]*:\d+", _text("failed", error=error))
    assert len(_json("failed", error=error)["trace"]) == 1


def test_trace_of_an_endless_recursion_is_cut():
    def endless():
        endless()

    with pytest.raises(RecursionError) as caught:
        endless()

    assert len(_json("failed", error=caught.value)["trace"]) == 30


def test_exception_that_was_never_raised_has_an_empty_trace():
    assert _json("failed", error=ValueError("x"))["trace"] == []
    assert "\n" not in _text("failed", error=ValueError("x"))


# -- odd records


@FORMATTERS
@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("%d", (CANARY,)),
        ("%s %s", ("only one",)),
        ("%", ("x",)),
        ("%(a)s", ({"b": 1},)),
        ("%z", ("x",)),
        ("plain", ("one too many",)),
    ],
)
def test_arguments_that_do_not_fit_are_left_out(formatter, message, args):
    """The standard library would print them, raw, to standard error."""
    line = formatter.format(_record(message, *args))

    assert "its arguments do not fit" in line
    assert CANARY not in line


@FORMATTERS
@pytest.mark.parametrize(
    "value", ["half \ud800", 2**70, {1: "x"}, {("a",): "b"}, b"bytes", SecretBytes(CANARY), object()]
)
def test_any_field_can_be_told(formatter, value):
    line = formatter.format(_record("hello %s", value, fields={"value": value}))

    assert "hello" in line
    assert CANARY not in line
    line.encode()


def test_json_of_half_a_surrogate_pair_is_still_json():
    assert _json("half \ud800", fields={"a": 1})["a"] == 1


# -- configuration


@pytest.fixture
def root():
    """The root logger and what configure changes, put back afterwards."""
    root = logging.getLogger()
    names = ["kopf", "aiohttp", "asyncio", "boto3", "botocore", "urllib3", "s3transfer"]
    before = root.level, root.handlers[:], logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in names}
    yield root
    root.handlers[:] = before[1]
    root.setLevel(before[0])
    logging.raiseExceptions = before[2]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(("style", "formatter"), [("text", TextFormatter), ("json", JSONFormatter)])
def test_all_logs_go_to_standard_error_in_one_style(root, style, formatter):
    root.handlers[:] = [logging.NullHandler(), logging.NullHandler()]

    configure("warn", style, "epoch")

    (handler,) = root.handlers
    assert type(handler.formatter) is formatter
    assert handler.stream is sys.stderr
    assert root.level == logging.WARNING


@pytest.mark.parametrize("name", logs.LEVELS)
def test_every_level_of_the_reference_operator_is_known(root, name):
    configure(name)

    assert root.level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


def test_libraries_log_no_requests_even_at_debug(root):
    configure("debug")

    assert not any(
        logging.getLogger(name).isEnabledFor(logging.INFO) for name in ("kopf.x", "aiohttp.access", "asyncio")
    )
    assert not any(
        logging.getLogger(name).isEnabledFor(logging.WARNING)
        for name in ("boto3", "botocore.parsers", "urllib3.connectionpool")
    )
    assert logging.getLogger("keyferry.x").isEnabledFor(logging.DEBUG)


def test_line_that_cannot_be_formatted_is_not_shown_raw(root, monkeypatch):
    class Bad:
        def __str__(self):
            raise RuntimeError(CANARY)

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    configure("info")

    logging.getLogger("keyferry.x").info("value %s", Bad())

    assert CANARY not in sys.stderr.getvalue()


def test_bug_is_logged_through_the_whole_way_without_its_text(root, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    configure("info", "json")

    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("keyferry.x").exception("a bug in Keyferry")

    told = json.loads(sys.stderr.getvalue())
    assert (told["msg"], told["error"], told["level"]) == ("a bug in Keyferry", "ValueError", "error")
    assert CANARY not in sys.stderr.getvalue()
