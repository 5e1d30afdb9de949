"""A template: parsed once, rendered often."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import ExecError, Exhausted, LimitError, ParseError
from keyferry.gotemplate.signatures import Function
from keyferry.gotemplate.values import Value, copied

MAX_TEXT_BYTES: Final = 1 << 20
"""As long as an object of the API may be, about."""
DEFAULT_LIMITS: Final = Limits()
LEFT: Final = "{{"
RIGHT: Final = "}}"
_CACHED_BYTES: Final = 32 << 20
_CACHED_AT_MOST: Final = 64 << 10
_ENTRY_BYTES: Final = 1 << 10
_BYTES_PER_TOKEN: Final = 600
"""A token of a parsed template: nodes and closures, many times as long as its text."""


class Template:
    """A parsed template. It may be rendered by several threads at once.

    Args:
        name: for error texts.
        text: the template.
        delimiters: what begins and ends an action.
        functions: what it may call, by name; if left out, all that there are.
        missing_key_error: whether a field that a map lacks is an error (Go's missingkey=error); otherwise
            it is no value.
        limits: its nesting and tokens count here; all others count when it is rendered.

    Attributes:
        bytes: what it takes of memory, about.

    Raises:
        ParseError: the text is no template.
        LimitError: it is too long, or nests too deeply for the stack that is left.
    """

    __slots__ = ("_main", "bytes", "name")

    def __init__(
        self,
        name: str,
        text: bytes,
        *,
        delimiters: tuple[str, str] = (LEFT, RIGHT),
        functions: Mapping[str, Function] | None = None,
        missing_key_error: bool = True,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        # With the first template: a process that has none need not load what reads and runs them.
        from keyferry.gotemplate.language.compiler import compile_text

        self.name = name
        if len(text) > MAX_TEXT_BYTES:
            detail = f"the template has more than {MAX_TEXT_BYTES} bytes"
            raise ParseError(f"template: {name}: {detail}", name=name, detail=detail)
        try:
            self._main, tokens = compile_text(
                name,
                text,
                delimiters=delimiters,
                functions=functions,
                missing_is_error=missing_key_error,
                limits=limits,
            )
        except Exhausted as error:
            raise self._limit(str(error)) from None
        except RecursionError:
            raise self._limit("it nests too deeply") from None
        self.bytes = len(text) + _BYTES_PER_TOKEN * tokens

    def render(self, data: Value, run: Run) -> bytes:
        """The output for the data.

        Args:
            data: the dot: a value as `values` describes it; use `to_go` for other Python data. It stays as it
                is: functions such as merge and sortAlpha change maps and lists, but those of this render only.
            run: the budget; a new one for each render, or shared by those that belong together.

        Raises:
            ExecError: it failed.
            LimitError: it asks for more than the budget has.
            SlowFunction: it asks for costly work, and the Run does not allow it.
        """
        run.out = []
        run.depth = 0
        try:
            self._main.run(run, copied(data))
        except ExecError as error:
            # Not with what was raised before it, nor with the frames it came through: they hold values.
            error.__context__ = None
            raise error.with_traceback(None) from None
        except Exhausted as error:
            raise self._limit(str(error)) from None
        except RecursionError:
            raise self._limit("it nests too deeply") from None
        except MemoryError:
            raise self._limit("it takes too much memory") from None
        return b"".join(run.out)

    def _limit(self, detail: str) -> LimitError:
        return LimitError(f"template: {self.name}: {detail}", name=self.name, detail=detail)


def parse(
    name: str,
    text: str | bytes,
    *,
    left: str = LEFT,
    right: str = RIGHT,
    missing_key_error: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> Template:
    """Read a template.

    Args:
        name: for error texts.
        text: the template.
        left: what begins an action; {{ if empty.
        right: what ends it; }} if empty.
        missing_key_error: whether a field that a map lacks is an error.
        limits: what a render may take.

    Raises:
        ParseError: the text is no template.
    """
    return Template(
        name,
        _bytes(text),
        delimiters=(left or LEFT, right or RIGHT),
        missing_key_error=missing_key_error,
        limits=limits,
    )


class Cache:
    """Parsed templates, the last used first, bounded by the memory that they take. For one thread.

    Args:
        max_bytes: of all together, about.
    """

    def __init__(self, max_bytes: int = _CACHED_BYTES) -> None:
        self._entries: OrderedDict[tuple[str, bytes, str, str, bool, Limits], Template] = OrderedDict()
        self._max_bytes = max_bytes
        self._size = 0

    def parse(
        self,
        name: str,
        text: str | bytes,
        *,
        left: str = LEFT,
        right: str = RIGHT,
        missing_key_error: bool = True,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Template:
        """As `parse`; texts that are no templates are not kept."""
        data = _bytes(text)
        key = (name, data, left, right, missing_key_error, limits)
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
            return found
        template = parse(
            name, data, left=left, right=right, missing_key_error=missing_key_error, limits=limits
        )
        if len(data) <= _CACHED_AT_MOST:
            self._entries[key] = template
            self._size += template.bytes + _ENTRY_BYTES
            while self._size > self._max_bytes:
                _, old = self._entries.popitem(last=False)
                self._size -= old.bytes + _ENTRY_BYTES
        return template


_CACHE: Final = Cache()
parse_cached = _CACHE.parse


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
