"""What is told of a template that fails: which field, where in it, why, and what to do. Never a value.

The engine's texts hold none (`keyferry.gotemplate.errors`). They may quote the template, which is public but
for one that comes from a Secret: of that only place and reason are told.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from keyferry.errors import ON_CHANGE, RenderError
from keyferry.gotemplate import ExecError, LimitError, TemplateError

MAX_KEYS_TOLD: Final = 20
MAX_KEY_CHARS: Final = 40
_MAX_DETAIL_CHARS: Final = 400

_UNDEFINED: Final = re.compile(r'function "(.*)" not defined')
_DASH: Final = "bad character U+002D '-'"
_ROOT_AS_DICT: Final = "expected map[string]interface {}; got map[string]string"

_REASONS: Final = (
    *("map has no entry for key", "wrong number of args", "wrong type for value", "can't evaluate field"),
    *("error calling", "nil data", "incompatible types for comparison", "range can't iterate over"),
    *("bad character", "bad number syntax", "unrecognized character", "unclosed action", "unclosed comment"),
    *(
        "unclosed left paren",
        "unexpected right paren",
        "unterminated",
        "unexpected EOF",
        "undefined variable",
    ),
    *("multiple definition of template", "missing value for", "non executable command", "unexpected"),
    *("template not defined", "not defined"),
)
"""What may be said of a template that must not be quoted: the first of these that the engine's text holds."""


class TemplateFailedError(RenderError):
    """A template cannot be read or run. It, a source of it or a value has to change."""

    reason = "TemplateFailed"
    default_retry = ON_CHANGE


class OverBudgetError(TemplateFailedError):
    """It asks for more than a render may take."""

    reason = "TemplateTooCostly"


@dataclass(frozen=True, slots=True)
class Place:
    """A template, as errors name it.

    Args:
        field: `spec.target.template.data["url"]`.
        is_secret: whether its text comes from a Secret, so that it is not quoted.
    """

    field: str
    is_secret: bool = False


def told(place: Place, error: TemplateError, keys: Collection[str]) -> TemplateFailedError:
    """The failure of a template.

    Args:
        keys: of the values that it gets.
    """
    where = place.field
    if error.line:
        column = "" if error.column is None else f", column {error.column}"
        where = f"{where}, line {error.line}{column}"
    if isinstance(error, LimitError):
        return OverBudgetError(
            f"{where}: {error.detail}", hint="Do less in the template; flags of the operator set the limits"
        )
    if place.is_secret:
        reason = next((one for one in _REASONS if one in error.detail), "it cannot be rendered")
        return TemplateFailedError(
            f"{where}: {reason} (not quoted: it comes from a Secret)", hint=_keys(error)
        )
    detail = error.detail
    if len(detail) > _MAX_DETAIL_CHARS:
        detail = f"{detail[:_MAX_DETAIL_CHARS]}…"
    return TemplateFailedError(f"{where}: {detail}", hint=_keys(error) or _hint(error.detail, keys))


def _keys(error: TemplateError) -> str:
    """For a key that is missing: those that there are, the likely ones first."""
    if not isinstance(error, ExecError) or error.missing_key is None or error.keys is None:
        return ""
    there = sorted(error.keys)
    if not there:
        return "There are no keys at all"
    near = difflib.get_close_matches(error.missing_key[:MAX_KEY_CHARS], there[:1000], 3)
    ordered = [*near, *(key for key in there if key not in near)]
    return f"The keys are {listed(ordered)}"


def listed(keys: Iterable[str]) -> str:
    """Keys as a text names them; not more than make sense."""
    every = list(keys)
    named = ", ".join(f'"{key[:MAX_KEY_CHARS]}"' for key in every[:MAX_KEYS_TOLD])
    return f"{named} and {len(every) - MAX_KEYS_TOLD} more" if len(every) > MAX_KEYS_TOLD else named


def _hint(detail: str, keys: Collection[str]) -> str:
    if _DASH in detail:
        dashed = next((key for key in sorted(keys) if "-" in key and '"' not in key), "my-key")
        return f'Read a key with a dash by index: {{{{ index . "{dashed[:MAX_KEY_CHARS]}" }}}}'
    if (undefined := _UNDEFINED.search(detail)) is not None:
        name = undefined[1]
        if name in keys:
            return f"Read a value with a dot before its key: {{{{ .{name[:MAX_KEY_CHARS]} }}}}"
        from keyferry.gotemplate.functions.table import FUNCTIONS

        near = difflib.get_close_matches(name[:MAX_KEY_CHARS], FUNCTIONS, 3)
        return f"There is {' and '.join(near)}" if near else "docs/template-functions.md lists the functions"
    if _ROOT_AS_DICT in detail:
        return "All values together are no dict: take single keys by index, or make a dict"
    return ""
