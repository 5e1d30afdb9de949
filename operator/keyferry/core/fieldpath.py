"""Places inside an object that is no Secret: the paths of templates, what is set there, and what is pruned.

A path is keys parted by dots, each with indexes of lists behind it: `spec.rules[0].hosts`. What a template sets
are leaves: text, numbers, whole lists. Everything beside them in the object is somebody else's and stays.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from keyferry.core.hashing import hash_text
from keyferry.errors import RenderError

Path = tuple[str | int, ...]
"""Keys, and indexes of lists."""
Fields = tuple[tuple[Path, Any], ...]
"""What to set where, one after the other; values as JSON has them."""

MAX_INDEX: Final = 10_000
"""Highest index: a list is filled up to it."""
MAX_DEPTH: Final = 100
"""Most steps of a path, and maps within each other below it."""
NOT_CONTENT: Final = frozenset({"apiVersion", "kind", "metadata", "status"})
"""Of an object what no template writes: the first three say whose and which object it is."""

_SEGMENT: Final = re.compile(r"([^\[\].]*)((?:\[[0-9]+\])*)")
_INDEX: Final = re.compile(r"[0-9]+")


def parse_path(text: str) -> Path:
    """The path that a text says.

    Raises:
        ValueError: it says none, or one that is not to be written; the text says why.
    """
    path: list[str | int] = []
    for segment in text.split("."):
        match = _SEGMENT.fullmatch(segment)
        if match is None:
            raise ValueError("an index is a number in square brackets behind a key")
        key, indexes = match.groups()
        if not segment or (not key and not path):
            raise ValueError("a key is missing")
        path += [key] if key else []
        # By length before by value: a number of a million digits takes long to read.
        for index in _INDEX.findall(indexes):
            if len(index) > len(str(MAX_INDEX)) or int(index) > MAX_INDEX:
                raise ValueError(f"an index is more than {MAX_INDEX}")
            path.append(int(index))
    if len(path) > MAX_DEPTH:
        raise ValueError(f"it has more than {MAX_DEPTH} steps")
    if path[0] in NOT_CONTENT:
        raise ValueError(f"{path[0]} is not for templates")
    return tuple(path)


def leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """What setting a value at a path sets: of a map each of its members, so that what is beside them stays.

    Raises:
        RenderError: it is nested too deep.
    """
    if len(path) > 2 * MAX_DEPTH:
        raise RenderError(f"{shown(path[:1])} is nested deeper than {2 * MAX_DEPTH} levels")
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            yield from leaves((*path, key), member)
    else:
        yield path, value


def with_fields(document: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """A copy of an object with all fields set, one after the other.

    Raises:
        RenderError: on the way to one is something that is neither a map nor a list as the path wants it.
    """
    made: dict[str, Any] = {key: copy.deepcopy(value) for key, value in document.items()}
    for path, value in fields:
        _set(made, path, copy.deepcopy(value))
    return made


def _set(root: dict[str, Any], path: Path, value: Any) -> None:
    node: Any = root
    for at, step in enumerate(path):
        last = at == len(path) - 1
        if isinstance(step, int):
            if not isinstance(node, list):
                raise RenderError(f"{shown(path[:at])} is no list")
            node.extend([None] * (step + 1 - len(node)))
        elif not isinstance(node, dict):
            raise RenderError(f"{shown(path[:at])} is no map")
        before = node[step] if isinstance(step, int) else node.get(step)
        if last:
            # An empty map asks for a map, not for an empty one: its members are set one by one.
            node[step] = before if value == {} and isinstance(before, dict) else value
        elif before is None:
            node[step] = [] if isinstance(path[at + 1], int) else {}
        node = node[step]


def without_former(
    document: Mapping[str, Any], managed_fields: Iterable[Any], manager: str, fields: Fields
) -> dict[str, Any]:
    """A copy of an object without what the manager set before and the fields do not set now.

    What lies in lists is left alone: who owns which element cannot always be told.

    Args:
        managed_fields: of the object's metadata.
    """
    made: dict[str, Any] = {key: copy.deepcopy(value) for key, value in document.items()}
    ways = {path[:length] for path, _ in fields for length in range(1, len(path))}
    ends = {path for path, _ in fields}
    for owned in _owned(managed_fields, manager):
        # What fields go into stays, but for a text or number in the place of a map.
        stays = _is_container(made, owned) if owned in ways else owned in ends
        if not stays:
            _remove(made, owned)
    return made


def _is_container(root: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    node: Any = root
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return isinstance(node, Mapping | list)


def _owned(managed_fields: Iterable[Any], manager: str) -> list[tuple[str, ...]]:
    """The places of all leaves that the manager owns; no list is looked into."""
    found: list[tuple[str, ...]] = []
    for entry in managed_fields:
        if not isinstance(entry, Mapping) or entry.get("manager") != manager:
            continue
        open_: list[tuple[tuple[str, ...], Any]] = [((), entry.get("fieldsV1"))]
        while open_:
            path, node = open_.pop()
            if not isinstance(node, Mapping) or len(path) > MAX_DEPTH:
                continue
            members = {name[2:]: below for name, below in node.items() if name.startswith("f:")}
            if not members and path and not node.keys() - {"."}:
                found.append(path)
            open_ += [
                ((*path, name), below) for name, below in members.items() if path or name not in NOT_CONTENT
            ]
    return found


def _remove(root: dict[str, Any], path: tuple[str, ...]) -> None:
    """Remove a member, and the maps that are empty without it, but for those at the top."""
    parents: list[dict[str, Any]] = [root]
    for key in path[:-1]:
        node = parents[-1].get(key)
        if not isinstance(node, dict):
            return
        parents.append(node)
    parents[-1].pop(path[-1], None)
    for at in range(len(path) - 2, 0, -1):
        if parents[at].get(path[at]):
            return
        parents[at].pop(path[at], None)


def content(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object templates may write."""
    return {key: value for key, value in document.items() if key not in NOT_CONTENT}


def fingerprint(fields: Fields) -> str:
    """A hash by which the same fields are known again. Only for this process."""
    return hash_text(json.dumps([[list(path), value] for path, value in fields], sort_keys=True))


def shown(path: Path) -> str:
    """The path as a text."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
