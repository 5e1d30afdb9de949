"""The modifiers `@name:argument`, which make a new text of the document. @dig is in `evaluate`.

Each function takes the document, the argument (empty for none) and the work that is left. What is no object
or array where one is needed passes unchanged, or becomes an empty list: each as in gjson.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from keyferry.gjson.limits import Work
from keyferry.gjson.pretty import Style, pretty
from keyferry.gjson.result import STRING_BODY, Result, is_array, is_object, parse, to_bool, to_int
from keyferry.gjson.scan import elements, entries
from keyferry.gjson.text import quote, trim, trim_space
from keyferry.gjson.validate import is_valid

_COST_PER_BYTE: Final = 4
_SIGNIFICANT: Final = re.compile(rb'[^\x00- "]++|"' + STRING_BODY + rb'(?:"|\\?\Z)', re.DOTALL)
_NOT_WHITE: Final = bytes(set(range(256)) - set(b" \t\n\r"))


def modify(name: bytes, json: bytes, argument: bytes, work: Work) -> bytes:
    """The text that the modifier of this name makes of the document.

    Raises:
        GJSONLimitError: it takes more work, or nests deeper, than `work` allows.
    """
    work.spend(_COST_PER_BYTE * len(json))
    return _MODIFIERS[name](json, argument, work)


def _settings(argument: bytes) -> Iterator[tuple[bytes, Result]]:
    """Name and value of each setting in an argument like `{"deep":true}`."""
    value = parse(argument)
    if is_object(value):
        for _, name, setting in entries(value.raw):
            yield name, setting


def _members(value: Result) -> Iterator[Result]:
    """The values in an object or array; any other value is its own member."""
    if is_object(value):
        yield from (member for _, _, member in entries(value.raw))
    elif is_array(value):
        yield from elements(value.raw)
    elif value.exists:
        yield value


def _pretty(json: bytes, argument: bytes, work: Work) -> bytes:
    style = Style()
    for name, setting in _settings(argument):
        if name == b"sortKeys":
            style.sort_keys = to_bool(setting)
        elif name == b"indent":
            style.indent = setting.text().translate(None, _NOT_WHITE)
        elif name == b"prefix":
            style.prefix = setting.text().translate(None, _NOT_WHITE)
        elif name == b"width":
            style.width = to_int(setting)
    return pretty(json, style, work)


def _ugly(json: bytes, _argument: bytes, _work: Work) -> bytes:
    return b"".join(_SIGNIFICANT.findall(json))


def _this(json: bytes, _argument: bytes, _work: Work) -> bytes:
    return json


def _reverse(json: bytes, _argument: bytes, _work: Work) -> bytes:
    value = parse(json)
    if is_array(value):
        return b"[%b]" % b",".join([element.raw for element in elements(value.raw)][::-1])
    if is_object(value):
        members = [b"%b:%b" % (key, member.raw) for key, _, member in entries(value.raw)]
        return b"{%b}" % b",".join(members[::-1])
    return json


def _flatten(json: bytes, argument: bytes, work: Work) -> bytes:
    deep = False
    for name, setting in _settings(argument):
        if name == b"deep":
            deep = to_bool(setting)
    return _flattened(json, work, deep=deep)


def _flattened(json: bytes, work: Work, *, deep: bool) -> bytes:
    value = parse(json)
    if not is_array(value):
        return json
    work.descend()
    work.spend(_COST_PER_BYTE * len(json))
    parts = []
    for element in elements(value.raw):
        raw = element.raw
        if is_array(element):
            raw = _unwrap(_flattened(raw, work, deep=True) if deep else raw)
        raw = trim_space(raw)
        if raw:
            parts.append(raw)
    work.ascend()
    return b"[%b]" % b",".join(parts)


def _unwrap(json: bytes) -> bytes:
    json = trim(json)
    return json[1:-1] if len(json) >= 2 and json[:1] in (b"[", b"{") else json


def _join(json: bytes, argument: bytes, _work: Work) -> bytes:
    value = parse(json)
    if not is_array(value):
        return json
    preserve = False
    for name, setting in _settings(argument):
        if name == b"preserve":
            preserve = to_bool(setting)
    objects = [element.raw for element in elements(value.raw) if is_object(element)]
    if preserve:
        return b"{%b}" % b",".join(_unwrap(raw) for raw in objects)
    names: dict[bytes, bytes] = {}
    values: dict[bytes, bytes] = {}
    for raw in objects:
        for key, name, member in entries(raw):
            names.setdefault(name, key)
            values[name] = member.raw
    return b"{%b}" % b",".join(b"%b:%b" % (key, values[name]) for name, key in names.items())


def _valid(json: bytes, _argument: bytes, _work: Work) -> bytes:
    return json if is_valid(json) else b""


def _keys(json: bytes, _argument: bytes, _work: Work) -> bytes:
    value = parse(json)
    if is_object(value):
        return b"[%b]" % b",".join(key for key, _, _ in entries(value.raw))
    return b"[%b]" % b",".join(b"null" for _ in _members(value))


def _values(json: bytes, _argument: bytes, _work: Work) -> bytes:
    value = parse(json)
    if is_array(value):
        return json
    return b"[%b]" % b",".join(member.raw for member in _members(value))


def _tostr(json: bytes, _argument: bytes, _work: Work) -> bytes:
    return quote(json)


def _fromstr(json: bytes, _argument: bytes, _work: Work) -> bytes:
    return parse(json).text() if is_valid(json) else b""


def _group(json: bytes, _argument: bytes, work: Work) -> bytes:
    value = parse(json)
    if not is_object(value):
        return b""
    groups: list[list[bytes]] = []
    for key, _, member in entries(value.raw):
        if is_array(member):
            for position, element in enumerate(elements(member.raw)):
                work.spend(len(key))
                if position == len(groups):
                    groups.append([])
                groups[position].append(b"%b:%b" % (key, element.raw))
    return b"[%b]" % b",".join(b"{%b}" % b",".join(group) for group in groups)


_MODIFIERS: Final[dict[bytes, Callable[[bytes, bytes, Work], bytes]]] = {
    b"pretty": _pretty,
    b"ugly": _ugly,
    b"reverse": _reverse,
    b"this": _this,
    b"flatten": _flatten,
    b"join": _join,
    b"valid": _valid,
    b"keys": _keys,
    b"values": _values,
    b"tostr": _tostr,
    b"fromstr": _fromstr,
    b"group": _group,
}
