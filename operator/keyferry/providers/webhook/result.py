"""From an answer's body to the value, or to the members, that a manifest asks for.

The rules are those of the established operator, odd ones included: a list gives its first element, a number is
rounded to an integer where it is a value of its own, and keeps its fraction where it is a member.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

from keyferry.aio import FairDoor
from keyferry.core.gotext import go_number, go_object, go_string
from keyferry.errors import KeyferryError, Malformed, PropertyNotFound, RenderError, Unavailable
from keyferry.providers.webhook import jsonpath
from keyferry.providers.webhook.request import Answer

LIGHT_BYTES: Final = 32 * 1024
"""A body up to this is looked through at once, if the path is a plain one."""
Take = Callable[[bytes, str, str], bytes]
"""`value_of` or `members_of`."""
_MAX_FIRST: Final = 200
"""Lists within each other, of which the first element is taken."""


async def look_through(door: FairDoor, namespace: str, take: Take, answer: Answer, field: str) -> bytes:
    """What is taken out of an answer: at once, or in a thread when the namespace's turn has come.

    Raises:
        Unavailable: its turn has not come for long.
        KeyferryError: as `take`.
    """
    if not is_heavy(answer.body, answer.path):
        return take(answer.body, answer.path, field)
    try:
        return await door.run(namespace, functools.partial(take, answer.body, answer.path, field))
    except TimeoutError:
        raise Unavailable("other long answers of the namespace are looked through first") from None


def value_of(body: bytes, path: str, field: str) -> bytes:
    """The value: the body as it is, or what the path finds in it.

    Args:
        path: as it is after rendering; empty for the whole body.
        field: names the path in errors.

    Raises:
        Malformed: the body is no JSON, which a path needs.
        PropertyNotFound: the path finds nothing.
        RenderError: the path is none, or costs too much.
    """
    if not path:
        return body
    found = _found(_document(body, field), path, field)
    for _ in range(_MAX_FIRST):
        if not isinstance(found, list):
            break
        if not found:
            raise _nothing(field, "finds nothing in the answer")
        found = found[0]
    return _clean(_alone(found)).encode()


def members_of(body: bytes, path: str, field: str) -> bytes:
    """A JSON object of the members: the body's, or those of what the path finds; a text is read as JSON.

    Raises:
        KeyferryError: as `value_of`; Malformed too, where it is no object.
    """
    found = _document(body, field)
    if path:
        found = _found(found, path, field)
    if isinstance(found, str):
        found = _document(_clean(found).encode(), field)
    if not isinstance(found, dict):
        what = f"what {field} finds in the answer" if path else "the answer"
        raise Malformed(
            f"{what} is no JSON object, whose members could become keys",
            hint="Look at what the server answers, and let the path lead to an object",
        )
    return _clean(go_object({key: _member(value) for key, value in found.items()})).encode()


def is_heavy(body: bytes, path: str) -> bool:
    """Whether looking for the path may take so long that others would notice."""
    if len(body) > LIGHT_BYTES:
        return True
    try:
        return bool(path) and not jsonpath.is_cheap(path)
    except jsonpath.PathSyntaxError:
        return False


def _document(body: bytes, field: str) -> Any:
    try:
        return jsonpath.document_of(body)
    except ValueError:
        # The decoder's text may quote the answer.
        failure = Malformed(
            f"the answer is no JSON, in which {field} could look",
            hint="Look at what the server answers, and with which status",
        )
    raise failure


def _found(document: Any, path: str, field: str) -> Any:
    failure: KeyferryError
    try:
        return jsonpath.get(path, document)
    except jsonpath.PathSyntaxError as error:
        failure = RenderError(f"{field} is no JSONPath: {error}")
    except jsonpath.NothingThereError as error:
        failure = _nothing(field, f"finds nothing in the answer: {error}")
    except jsonpath.PathLimitError as error:
        failure = RenderError(f"{field} is too expensive: {error}")
    # Raised here and not above: the frames of the failure hold the answer.
    raise failure


def _nothing(field: str, what: str) -> PropertyNotFound:
    return PropertyNotFound(f"{field} {what}", hint="Compare it with what the server answers")


def _alone(value: Any) -> str:
    """The text of a value that stands alone."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float):
        return _integer(value)
    return _json(value)


def _integer(number: float) -> str:
    """The number without its fraction, rounded half to even; all digits of one that a float does not hold."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    text = _text(number)
    fixed = go_number(text, exponents=False)
    if fixed.lstrip("-").isdigit() and fixed == text:
        return fixed
    return format(float(number), ".0f")


def _text(number: float) -> str:
    return number.text if isinstance(number, jsonpath.Number) else repr(float(number))


def _member(value: Any) -> str:
    """A member as JSON text: what `dataFrom.extract` makes bytes of as it stands."""
    if isinstance(value, float):
        return go_number(_text(value), exponents=False)
    return _json(value)


def _json(value: Any) -> str:
    """The value as Go's package encoding/json writes it."""
    if isinstance(value, str):
        return go_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, dict):
        return go_object({key: _json(inner) for key, inner in value.items()})
    return go_number(_text(value))


def _clean(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON can escape and UTF-8 has not."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text
