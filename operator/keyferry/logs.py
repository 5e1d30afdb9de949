"""Log lines: one per fact, as text or JSON, with the object they speak of.

Values never reach a log by construction: secret values redact themselves, requests and bodies are not
logged, and of an unexpected exception the type and the places are written, not its text, because the text
of a foreign exception may quote anything. That holds for what libraries log too. A message is one line
whatever it quotes, so that nobody can forge another.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from keyferry.errors import KeyferryError

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    # Levels of the reference operator's logger that Python does not have.
    "dpanic": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
TIME_FORMATS: Final = ("epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano")
_NAMES: Final = {"WARNING": "warn", "CRITICAL": "fatal"}
_MAX_PLACES: Final = 30
"""Most places of a trace: the last ones. An endless recursion has thousands."""
_BARE: Final = re.compile(r'[^\s"=]+')

_context: contextvars.ContextVar[Mapping[str, str] | None] = contextvars.ContextVar(
    "log_context", default=None
)


@contextlib.contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields to every line logged inside the block, in this task and those it starts."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def _time(record: logging.LogRecord, style: str) -> str | float | int:
    if style == "epoch":
        return round(record.created, 6)
    if style == "millis":
        return round(record.created * 1_000, 3)
    if style == "nano":
        return int(record.created * 1_000_000_000)
    precision = (
        "seconds" if style == "rfc3339" else "microseconds" if style == "rfc3339nano" else "milliseconds"
    )
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _told(value: object) -> object:
    """The value as a log may show it: a foreign exception by its type alone."""
    if isinstance(value, BaseException):
        return str(value) if isinstance(value, KeyferryError) else type(value).__name__
    return value


def _text(value: object) -> str:
    return str(_told(value))


def _message(record: logging.LogRecord, error: BaseException | None) -> str:
    """The message, without the text of foreign exceptions, whether given as an argument or quoted already."""
    message, args = str(_told(record.msg)), record.args
    if args:
        safe = (
            {key: _told(value) for key, value in args.items()}
            if isinstance(args, Mapping)
            else tuple(map(_told, args))
        )
        try:
            message = message % safe
        except (TypeError, ValueError, KeyError):
            message = f"{message} (its arguments do not fit)"
    if error is not None and not isinstance(error, KeyferryError):
        for quoted in (repr(error), str(error)):
            message = message.replace(quoted, type(error).__name__) if quoted else message
    return message


def _fields(record: logging.LogRecord, times: str) -> dict[str, Any]:
    name = record.levelname
    error = record.exc_info[1] if record.exc_info else None
    fields: dict[str, Any] = {
        "ts": _time(record, times),
        "level": _NAMES.get(name, name.lower()),
        "msg": _message(record, error),
    }
    extra = getattr(record, "fields", None)
    bound_and_own = {**(_context.get() or {}), **(extra if isinstance(extra, Mapping) else {})}
    fields |= {key: value for key, value in bound_and_own.items() if key not in fields}
    if error is not None:
        fields["error"] = _text(error)
        fields["trace"] = [
            f"{frame.f_code.co_name} {frame.f_code.co_filename.rpartition('/keyferry/')[2]}:{line}"
            for frame, line in traceback.walk_tb(error.__traceback__)
        ][-_MAX_PLACES:]
    return fields


def _printable(text: str) -> str:
    """The text on one line, without characters that steer a terminal: they are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, times: str = "iso8601") -> None:
        super().__init__()
        self._times = times

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        fields = {**_fields(record, self._times), "logger": record.name}
        try:
            return orjson.dumps(fields, default=_text).decode()
        except TypeError:
            # Half a surrogate pair, an integer of more than 64 bits: a line must not be lost for that.
            return json.dumps(fields, default=_text, skipkeys=True)


class TextFormatter(logging.Formatter):
    """Time, level, message, then `key=value` pairs."""

    def __init__(self, times: str = "iso8601") -> None:
        super().__init__()
        self._times = times

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        fields = _fields(record, self._times)
        head = f"{fields.pop('ts')} {fields.pop('level').upper():5} {_printable(fields.pop('msg'))}"
        trace = fields.pop("trace", None)
        pairs = "".join(f" {key}={_quoted(_text(value))}" for key, value in fields.items())
        tail = "".join(f"\n    {place}" for place in trace) if trace else ""
        return f"{head}{pairs}{tail}"


def _quoted(text: str) -> str:
    if text.isprintable() and _BARE.fullmatch(text) is not None:
        return text
    return _printable(json.dumps(text, ensure_ascii=False))


def configure(level: str = "info", style: str = "text", times: str = "iso8601") -> None:
    """Send all logs to standard error.

    Args:
        level: one of `LEVELS`.
        style: "text" or "json".
        times: one of `TIME_FORMATS`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter(times) if style == "json" else TextFormatter(times))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    # A line that cannot be formatted must not be shown with its raw arguments instead.
    logging.raiseExceptions = False
    # What nobody caught is a log line like any other, its text left out as everywhere.
    sys.excepthook = lambda kind, error, _: _log_uncaught(error, kind)
    threading.excepthook = lambda told: _log_uncaught(told.exc_value, told.exc_type)
    # Libraries: their info is our debug, and some of them would log requests or bodies at debug.
    for name in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("boto3", "botocore", "urllib3", "s3transfer", "azure", "msal"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _log_uncaught(error: BaseException | None, kind: type[BaseException]) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("keyferry").critical(
            "the process ends by an error that nobody caught", exc_info=error
        )
