"""Walks a JSON text along a compiled path, as gjson's Get does.

A walk goes once over the text and stops at the first hit. What it may cost is counted in `Work`; nothing
here recurses over the document but @dig, only over the path, and both count as depth. Who calls it: the
package's `get`.
"""

from __future__ import annotations

import re
from typing import Final

from keyferry.gjson.limits import EVALUATION_COST, Work
from keyferry.gjson.modifiers import modify
from keyferry.gjson.path import ArrayStep, Modifier, Multipath, Path, Query, Static, Walk
from keyferry.gjson.query import holds
from keyferry.gjson.result import NOTHING, Kind, Result, is_array, is_object, parse
from keyferry.gjson.scan import (
    FIRST_BRACKET,
    MEMBER,
    VALUE,
    elements,
    end_of,
    end_of_object,
    entries,
    next_element,
    skip,
    value_of,
)
from keyferry.gjson.text import unescape
from keyferry.gjson.wildcard import matches

_ELEMENT_COST: Final = 16
_NOT_SPACE: Final = re.compile(rb"[^ \t\r\n]")


def evaluate(json: bytes, path: Path, work: Work) -> Result:
    """What the path selects from the text.

    Raises:
        GJSONLimitError: it takes more work, or nests deeper, than `work` allows.
    """
    work.descend()
    rest: Path | None = path
    while rest is not None:
        work.spend(EVALUATION_COST + len(json) + len(rest.text))
        start = rest.start
        if isinstance(start, Walk):
            search = _Search(json, work)
            search.run(start)
            result = search.found
            json, rest = result.raw, search.pipe
        else:
            json, rest = _act(json, start.action, work), start.rest
            if rest is None:
                result = Result(Kind.JSON, json) if isinstance(start.action, Multipath) else parse(json)
    work.ascend()
    return result


def _act(json: bytes, action: Modifier | Static | Multipath, work: Work) -> bytes:
    """The text that a modifier, literal or multipath makes of the document."""
    if isinstance(action, Static):
        return action.text
    if isinstance(action, Multipath):
        return _collect(json, action, work)
    if action.name == b"dig":
        found: list[bytes] = []
        _dig(parse(json), Path(action.argument), found, work)
        return b"[%b]" % b",".join(found)
    return modify(action.name, json, action.argument, work)


def _collect(json: bytes, multipath: Multipath, work: Work) -> bytes:
    """A new object or array of what the parts select; a part that selects nothing is left out."""
    members = []
    named = multipath.brackets == b"{}"
    for name, path in multipath.parts:
        value = evaluate(json, path, work)
        if value.exists:
            members.append(b"%b:%b" % (name, value.raw) if named else value.raw)
    return multipath.brackets[:1] + b",".join(members) + multipath.brackets[1:]


def _dig(value: Result, path: Path, found: list[bytes], work: Work) -> None:
    """Collect what the path selects from the value and from everything inside it."""
    work.descend()
    result = evaluate(value.raw, path, work)
    if result.exists:
        found.append(result.raw)
    if is_array(value):
        for element in elements(value.raw):
            _dig(element, path, found, work)
    elif is_object(value):
        for _, _, member in entries(value.raw):
            _dig(member, path, found, work)
    work.ascend()


class _Search:
    """One walk over one text.

    `found` and `pipe` outlive a branch that turned out to be no hit, for gjson keeps them: a query for all
    elements, say, leaves its list behind and lets the walk go on.
    """

    __slots__ = ("found", "json", "pipe", "work")

    def __init__(self, json: bytes, work: Work) -> None:
        self.json = json
        self.work = work
        self.found = NOTHING
        self.pipe: Path | None = None

    def run(self, start: Walk) -> None:
        """Look for the path from the first object or array on, wherever it is."""
        if start.lines:
            self._array(0, start.path)
            return
        bracket = FIRST_BRACKET.search(self.json)
        if bracket is not None:
            self._inside(bracket[0], bracket.end(), start.path)

    def _inside(self, opener: bytes, at: int, path: Path) -> tuple[int, bool]:
        """Go on inside the object or array that opens just before this position: where it ends, if it hit."""
        self.work.descend()
        end = self._object(at, path) if opener == b"{" else self._array(at, path)
        self.work.ascend()
        return end

    def _object(self, at: int, path: Path) -> tuple[int, bool]:
        json, step = self.json, path.in_object
        wanted, wild, deeper = step.key, step.wild, step.deeper
        if step.pipe is not None:
            self.pipe = step.pipe
        while (member := MEMBER.match(json, at)) is not None:
            key = member["key"]
            if b"\\" in key:
                key = unescape(key)
            if not (matches(key, wanted, self.work) if wild else key == wanted):
                at = skip(json, member.end()) if member.lastgroup == "open" else member.end()
            elif deeper is None:
                return self._hit(member)
            elif member.lastgroup == "open":
                at, hit = self._inside(member["open"], member.end(), deeper)
                if hit:
                    return at, True
            else:
                at = member.end()
        return end_of_object(json, at), False

    def _array(self, at: int, path: Path) -> tuple[int, bool]:
        json, step = self.json, path.in_array
        if step.pipe is not None:
            self.pipe = step.pipe
        if step.query is not None:
            return self._query(at, step, step.query)
        if step.count:
            return self._count(at, step)
        deeper = step.deeper
        position = 0
        while (element := next_element(json, at)) is not None:
            if element.lastgroup == "close":
                return element.start("close") + 1, False
            if position != step.index:
                at = end_of(element)
            elif deeper is None:
                return self._hit(element)
            elif element.lastgroup == "open":
                at, hit = self._inside(element["open"], element.end(), deeper)
                if hit:
                    return at, True
            else:
                at = element.end()
            position += 1
        return max(at, len(json)), False

    def _count(self, at: int, step: ArrayStep) -> tuple[int, bool]:
        """`#`: how many elements there are; `#.path`: the path in each of them."""
        starts = [at]
        while (element := next_element(self.json, at)) is not None:
            if element.lastgroup == "close":
                break
            at = end_of(element)
            starts.append(at)
        else:
            return max(at, len(self.json)), False
        if step.each is None:
            self.found = Result(Kind.NUMBER, b"%d" % (len(starts) - 1))
        else:
            self.found = Result(Kind.JSON, b"[%b]" % b",".join(self._each(starts, step.each)))
            self.pipe = step.inner_pipe or self.pipe
        return element.start("close") + 1, True

    def _each(self, starts: list[int], path: Path) -> list[bytes]:
        """What the path selects from the value after each of these positions, where it is not the array's end.

        Like gjson, this finds a value beyond the array after a comma that nothing follows.
        """
        json = self.json
        found = []
        for start in starts:
            first = _NOT_SPACE.search(json, start)
            if first is None or first[0] == b"]":
                continue
            value = VALUE.match(json, first.start())
            if value is not None:
                result = evaluate(value_of(value)[0].raw, path, self.work)
                if result.exists:
                    found.append(result.raw)
        return found

    def _query(self, at: int, step: ArrayStep, query: Query) -> tuple[int, bool]:
        """`#(…)`: the first element that the query selects; `#(…)#`: all of them. A list of all is no hit."""
        selected = []
        while (element := next_element(self.json, at)) is not None:
            if element.lastgroup == "close":
                break
            self.work.spend(_ELEMENT_COST)
            value, at = value_of(element)
            if not self._selects(query, value):
                continue
            if step.deeper is not None:
                value = evaluate(value.raw, step.deeper, self.work)
                self.pipe = step.inner_pipe or self.pipe
            if not query.every:
                self.found = value
                return at, True
            if value.exists:
                selected.append(value.raw)
        else:
            return max(at, len(self.json)), False
        if query.every and not self.found.exists:
            self.found = Result(Kind.JSON, b"[%b]" % b",".join(selected))
        return element.start("close") + 1, False

    def _selects(self, query: Query, value: Result) -> bool:
        if value.kind is Kind.JSON:
            value = evaluate(value.raw, query.path, self.work)
        elif query.path.text:
            return False
        return holds(query, value, self.work)

    def _hit(self, match: re.Match[bytes]) -> tuple[int, bool]:
        """Take the value that is found here: where it ends, and that it is a hit."""
        value, end = value_of(match)
        if value.kind is Kind.NULL:
            # gjson leaves the type of what an earlier branch left behind.
            value = Result(self.found.kind, value.raw)
        self.found = value
        return end, True
