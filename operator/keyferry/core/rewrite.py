"""Rewrites of a dataFrom entry: other names for its keys, or one set of keys out of its JSON values.

Rules: the ExternalSecret API (`rewrite`: regexp, merge, transform; steps in order, each on what the one before
left). Nothing here depends on the order of the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.api.external_secret import Rewrite, RewriteMerge, RewriteRegexp, RewriteTransform
from keyferry.core.gotext import go_json, go_number, go_object, unquoted
from keyferry.core.patterns import MAX_WORK, Pattern, Work
from keyferry.core.select import select_members
from keyferry.core.template import Renderer
from keyferry.core.template_error import Place
from keyferry.errors import KeyferryError, RenderError, SpecError
from keyferry.secretdata import SecretBytes

_MAX_SHOWN: Final = 80
_WORK_TO_TELL: Final = MAX_WORK // 10
"""Less than rewriting may take: it is done on the event loop, and generators have few keys."""
_MAX_CONFLICTS_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What the steps made.

    Args:
        collisions: one line for each value that was lost because its key became another's; no values.
    """

    values: dict[str, SecretBytes]
    collisions: tuple[str, ...] = ()


def rewrite(
    values: Mapping[str, SecretBytes], steps: Sequence[Rewrite], renderer: Renderer | None = None
) -> Rewritten:
    """The values under the keys that the steps give them.

    Args:
        renderer: for steps that are templates.

    Raises:
        SpecError: a step is wrong whatever the values are.
        RenderError: the values cannot be merged, a template fails, or renaming takes too much work.
        SlowFunction: a template asks for costly work where there is no time for it.
    """
    work = Work()
    result = dict(values)
    collisions: list[str] = []
    for index, step in enumerate(steps):
        try:
            if step.merge is not None:
                result = _merged(result, step.merge)
            else:
                names = _new_names(result, step, work, renderer)
                collisions += _collisions(names)
                result = {new: result[old] for old, new in names.items()}
        except KeyferryError as error:
            raise error.within(f"rewrite[{index}]") from None
    return Rewritten(result, tuple(collisions))


def renamed_keys(keys: Sequence[str], steps: Sequence[Rewrite]) -> tuple[str, ...] | None:
    """The keys that the steps make of these and that a Secret gets, sorted; without those that become empty.

    None where that depends on values, or takes too much work to tell.

    Raises:
        SpecError: a pattern is none.
    """
    work = Work(_WORK_TO_TELL)
    current: Iterable[str] = keys
    for index, step in enumerate(steps):
        if step.merge is not None:
            return None
        if step.regexp is not None:
            try:
                current = _renamed(current, step.regexp, work).values()
            except RenderError:
                return None
            except KeyferryError as error:
                raise error.within(f"rewrite[{index}]") from None
        elif step.transform is not None:
            return None
    return tuple(sorted(set(current) - {""}))


def _new_names(keys: Iterable[str], step: Rewrite, work: Work, renderer: Renderer | None) -> dict[str, str]:
    """The new name of each key, by a regular expression or a template."""
    if step.regexp is not None:
        return _renamed(keys, step.regexp, work)
    if step.transform is None:
        return {key: key for key in keys}
    if renderer is None:
        raise ValueError("a template needs a renderer")
    return _transformed(keys, step.transform, renderer)


# -- regexp and transform


def _renamed(keys: Iterable[str], step: RewriteRegexp, work: Work) -> dict[str, str]:
    """The new name of each key. Sorted, so that of two that become one always the same one wins: the last."""
    pattern = Pattern(step.source)
    return {key: pattern.replace(key, step.target, work) for key in sorted(keys)}


def _transformed(keys: Iterable[str], step: RewriteTransform, renderer: Renderer) -> dict[str, str]:
    """The same, sorted as well."""
    place = Place("transform.template")
    return {key: renderer.new_key(place, step.template, key) for key in sorted(keys)}


def _collisions(names: Mapping[str, str]) -> list[str]:
    lines = []
    winners: dict[str, str] = {}
    for old, new in names.items():
        if new in winners:
            lines.append(
                f"{_shown(winners[new])} and {_shown(old)} both become {_shown(new)}; the latter is kept"
            )
        winners[new] = old
    return lines


# -- merge


def _merged(values: Mapping[str, SecretBytes], step: RewriteMerge) -> dict[str, SecretBytes]:
    if step.strategy == "JSON" and not step.into:
        raise SpecError("merge.into is empty, and strategy JSON needs it")
    members: dict[str, bytes] = {}
    origin: dict[str, str] = {}
    conflicts: dict[str, str] = {}
    for key in _in_order(values, step):
        for member, raw in _members(values[key], key).items():
            if member in members:
                between = f"{_shown(origin[member])} and {_shown(key)}"
                conflicts.setdefault(member, f"{_shown(member)} is in the values of {between}")
            members[member], origin[member] = raw, key
    if conflicts and step.conflict_policy == "Error":
        raise _conflict([conflicts[member] for member in sorted(conflicts)])
    if step.strategy == "JSON":
        text = go_object({member: _as(_json, members, origin, member) for member in members}, html=False)
        return {**values, step.into: SecretBytes(text)}
    return {member: SecretBytes(_as(_value, members, origin, member)) for member in members}


def _in_order(values: Mapping[str, SecretBytes], step: RewriteMerge) -> list[str]:
    """The keys in the order in which they are merged: a later one wins."""
    # A key that priority names twice has the place of the last time.
    last = [key for at, key in enumerate(step.priority) if key not in step.priority[at + 1 :]]
    missing = [key for key in last if key not in values]
    if missing and step.priority_policy == "Strict":
        raise RenderError(
            f"merge.priority names the key {_shown(missing[0])}, which is not there",
            hint="Set priorityPolicy to IgnoreNotFound if it may be missing",
        )
    return sorted(values.keys() - set(last)) + [key for key in last if key in values]


def _members(value: SecretBytes, key: str) -> Mapping[str, bytes]:
    members = select_members(value)
    if members is None:
        raise RenderError(f"the value of {_shown(key)} is not a JSON object, which merge needs")
    return members


def _conflict(lines: list[str]) -> RenderError:
    more = len(lines) - _MAX_CONFLICTS_TOLD
    told = "; ".join(lines[:_MAX_CONFLICTS_TOLD]) + (f"; and {more} more" if more > 0 else "")
    return RenderError(
        f"merge: {told}",
        hint="Set conflictPolicy to Ignore, so that keys of priority win over others, and later ones over earlier ones",
    )


def _as(
    write: Callable[[bytes], str], members: Mapping[str, bytes], origin: Mapping[str, str], member: str
) -> str:
    """A member's value as text; a failure names the member and the key that it is from."""
    try:
        return write(members[member])
    except RenderError as error:
        raise error.within(f"merge: {_shown(member)} of {_shown(origin[member])}") from None


def _json(raw: bytes) -> str:
    return go_json(raw, html=False)


def _value(raw: bytes) -> str:
    """What the value of a member becomes: a string's text, null empty, all else as Go writes it."""
    if raw == b"null":
        return ""
    if raw.startswith(b'"'):
        return unquoted(raw)
    if raw.startswith((b"{", b"[", b"t", b"f")):
        return go_json(raw)
    return go_number(raw.decode(), exponents=False)


def _shown(name: str) -> str:
    return repr(name[:_MAX_SHOWN])
