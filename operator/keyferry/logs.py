"""Log lines: one per fact, as text or JSON, with the object they speak of.

Values never reach a log by construction: secret values redact themselves, requests and bodies are not
logged, and of an unexpected exception the type and the places are written, not its text, because the text
of a foreign exception may quote anything.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import sys
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


def _fields(record: logging.LogRecord, times: str) -> dict[str, Any]:
    name = record.levelname
    fields: dict[str, Any] = {
        "ts": _time(record, times),
        "level": _NAMES.get(name, name.lower()),
        "msg": record.getMessage(),
    }
    fields |= _context.get() or {}
    extra = getattr(record, "fields", None)
    if isinstance(extra, Mapping):
        fields |= extra
    if record.exc_info and (error := record.exc_info[1]) is not None:
        fields["error"] = str(error) if isinstance(error, KeyferryError) else type(error).__name__
        fields["trace"] = [
            f"{frame.name} {frame.filename.rpartition('/keyferry/')[2]}:{frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    return fields


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, times: str = "iso8601") -> None:
        super().__init__()
        self._times = times

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        fields = _fields(record, self._times)
        return orjson.dumps({**fields, "logger": record.name}, default=str).decode()


class TextFormatter(logging.Formatter):
    """Time, level, message, then `key=value` pairs."""

    def __init__(self, times: str = "iso8601") -> None:
        super().__init__()
        self._times = times

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        fields = _fields(record, self._times)
        head = f"{fields.pop('ts')} {fields.pop('level').upper():5} {fields.pop('msg')}"
        trace = fields.pop("trace", None)
        pairs = "".join(f" {key}={_quoted(str(value))}" for key, value in fields.items())
        tail = "".join(f"\n    {place}" for place in trace) if trace else ""
        return f"{head}{pairs}{tail}"


def _quoted(text: str) -> str:
    return text if text and " " not in text and '"' not in text else orjson.dumps(text).decode()


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
    # Libraries: their info is our debug, and some of them would log requests or bodies at debug.
    for name in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("boto3", "botocore", "urllib3", "s3transfer"):
        logging.getLogger(name).setLevel(logging.ERROR)
