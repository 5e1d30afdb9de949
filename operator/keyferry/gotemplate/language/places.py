"""Where in the text a node is, and the errors that say so in Go's words.

Rule: text/template prints `template: NAME:LINE:COLUMN: executing "TEMPLATE" at <NODE>: …`, the column in bytes
from 0.
"""

from __future__ import annotations

from typing import TypeVar

from keyferry.gotemplate.errors import (
    ExecError,
    Exhausted,
    FunctionError,
    LimitError,
    SlowFunction,
    TemplateError,
)
from keyferry.gotemplate.language.nodes import Node, text_of
from keyferry.gotemplate.language.quoting import quote

ExecErrorT = TypeVar("ExecErrorT", bound=ExecError)


class Places:
    """Makes the errors of one definition.

    Args:
        name: of the whole text.
        definition: of the template in it that runs.
        text: the whole text.
    """

    __slots__ = ("_definition", "_name", "_text")

    def __init__(self, name: str, definition: bytes, text: bytes) -> None:
        self._name = name
        self._definition = definition
        self._text = text

    def error(self, node: Node, detail: str) -> ExecError:
        """That running failed at the node."""
        return self._made(ExecError, node, detail)

    def missing_key(self, node: Node, key: bytes, keys: list[bytes] | None) -> ExecError:
        """That a map has no entry for a key."""
        error = self._made(ExecError, node, f"map has no entry for key {quote(key)}")
        error.missing_key = text_of(key)
        error.keys = None if keys is None else [text_of(one) for one in keys]
        return error

    def failure(self, node: Node, prefix: str, error: Exception) -> Exception:
        """What to raise for what a function or printing has raised; never with the text of a foreign exception."""
        if isinstance(error, TemplateError | SlowFunction):
            return error
        if isinstance(error, FunctionError):
            return self._made(ExecError, node, f"{prefix}{error}")
        if isinstance(error, Exhausted):
            return self._made(LimitError, node, str(error))
        if isinstance(error, RecursionError):
            return self._made(LimitError, node, "it nests too deeply")
        if isinstance(error, MemoryError):
            return self._made(LimitError, node, "it takes too much memory")
        return self._made(ExecError, node, f"{prefix}the template engine failed ({type(error).__name__})")

    def _made(self, kind: type[ExecErrorT], node: Node, detail: str) -> ExecErrorT:
        before = self._text[: node.position]
        line = 1 + before.count(b"\n")
        column = node.position - (before.rfind(b"\n") + 1)
        return kind(
            f"template: {self._name}:{line}:{column}: executing {quote(self._definition)} at <{node}>: {detail}",
            name=self._name,
            line=line,
            column=column,
            detail=detail,
        )
