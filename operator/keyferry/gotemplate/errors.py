"""What can be wrong with a template. No text here ever holds a value: only types, sizes, names and the template's own text.

Who raises what: the lexer and parser `ParseError`, everything that runs a template `ExecError`; functions
raise `FunctionError`, which the caller turns into an `ExecError` with the place. `LimitError` is the one that
asks for less, not for something else.
"""

from __future__ import annotations

from collections.abc import Sequence


class TemplateError(Exception):
    """A template cannot be read or run.

    Args:
        message: one line as Go prints it, with the template's name, line and column; never a value.
        name: the template's name.
        line: from 1; 0 where unknown.
        column: in bytes from 0, as Go counts; None where unknown (parse errors have none).
        detail: the message without the place.
    """

    def __init__(
        self, message: str, *, name: str = "", line: int = 0, column: int | None = None, detail: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.line = line
        self.column = column
        self.detail = detail or message


class ParseError(TemplateError):
    """The text is no template."""


class ExecError(TemplateError):
    """The template failed while it ran.

    Args:
        missing_key: the key that a map has no entry for, where that is the failure.
        keys: the keys that the map has then, sorted; None where they may be values themselves.
    """

    missing_key: str | None = None
    keys: Sequence[str] | None = None


class LimitError(ExecError):
    """The template asks for more than a render may take: work, memory, output, depth or time."""


class FunctionError(Exception):
    """What a function of the table returns as its error: the caller adds `error calling NAME:` and the place.

    The text must not hold a value, nor a piece of one, also where Go's does: name the type or size instead.
    """


class Failed(FunctionError):
    """What the function `fail` raises.

    Args:
        said: the template's message. It may hold values, so that only a caller who knows that it is a literal
            of the template's text may show it.
    """

    def __init__(self, said: bytes) -> None:
        super().__init__("the template has called it, with a message that is not shown")
        self.said = said


class SlowFunction(Exception):
    """Costly work is asked for where none is allowed: render again off the event loop.

    Raised by `Run.spend_crypto` where `Run.allows_slow` is false. Nothing has been changed by then.
    """


class Exhausted(Exception):
    """A budget is used up; the caller adds the place and raises `LimitError`.

    Args:
        what: what there is too much of, and the limit.
    """
