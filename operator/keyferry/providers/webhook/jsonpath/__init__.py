"""JSONPath as PaesslerAG/jsonpath has it: the rules of `result.jsonPath`, with bounded work.

`$` is the document and `@` the element at hand; `.name`, `["name"]`, `[0]` and `(expression)` give one value, which
must be there; `.*`, `..`, `[a, b]`, `[first:last:step]` and `[?condition]` give a list of all that is found. Of
operators there are == and !=. A path without `$` is a name: what the document has there, or nothing.

What differs from the library: elements of an object come in the order of their keys, where Go's order is
random; texts may be in single quotes; limits of length, nesting and work.
"""

from __future__ import annotations

from typing import Any

from keyferry.providers.webhook.jsonpath.evaluate import (
    NothingThereError,
    PathLimitError,
    Work,
    evaluate,
)
from keyferry.providers.webhook.jsonpath.parse import PathSyntaxError, parse
from keyferry.providers.webhook.jsonpath.syntax import Const, Direct, Path
from keyferry.providers.webhook.jsonpath.values import Number, document_of

__all__ = [
    "NothingThereError",
    "Number",
    "PathLimitError",
    "PathSyntaxError",
    "document_of",
    "get",
    "is_cheap",
    "parse",
]


def get(path: str, document: Any) -> Any:
    """What the path finds.

    Args:
        document: as `document_of` gives it.

    Raises:
        PathSyntaxError: it is no path.
        NothingThereError: there is nothing.
        PathLimitError: it asks for too much work.
    """
    return evaluate(parse(path), document, Work())


def is_cheap(path: str) -> bool:
    """Whether the path does no more than to follow names and numbers.

    Raises:
        PathSyntaxError: it is no path.
    """
    expression = parse(path)
    return isinstance(expression, Path) and all(
        isinstance(step, Direct) and isinstance(step.key, Const) for step in expression.steps
    )
