"""Reads the nodes of a YAML document.

The syntax is PyYAML's: libyaml, from which Go's parser is made, or Python's own where that is missing. What the
scalars mean, merge keys, anchors and keys that are no strings are done here, in one pass over the events.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.serial.gojson import TOO_DEEP
from keyferry.gotemplate.serial.gonumbers import general_float32
from keyferry.gotemplate.serial.goyaml_scalars import MERGE, NotOfTag, Scalar, YAMLError, resolve_tagged
from keyferry.gotemplate.values import MAX_INT64, Value, from_runes

CONVERTING: Final = "error converting YAML to JSON: "
_READ_PER_STEP: Final = 64
_DIRECTIVES_PER_STEP: Final = 64
"""Comparisons of two of them."""
_STEPS_PER_EVENT: Final = 4
_STEPS_PER_EVENT_IN_PYTHON: Final = 40
_BYTES_PER_EVENT: Final = 64
_MANY_ALIASES: Final = 100
_MANY_NODES: Final = 1000
_ALIAS_RATIO: Final = 0.99
_DIRECTIVE: Final = (1, 1)
_BARE_TAG: Final = re.compile(rb"!\s")
_BARE_TAG_AT: Final = re.compile(r"(?:&\S+\s+)?!\s")
_ESCAPED_SLASH: Final = re.compile(r"(?<!\\)(?:\\\\)*\\/")


class _Parser(Protocol):
    def get_event(self) -> Any: ...


def _new_parser(text: bytes, *, native: bool) -> _Parser:
    if native:
        from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs do not have it

        parser: _Parser = CParser(text)
        return parser
    return _PythonParser(text)


class _PythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's reader, scanner and parser without its resolver and constructors."""

    def __init__(self, text: bytes) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}: column {mark.column + 1}: " if mark is not None else ""


@dataclass(frozen=True, slots=True)
class _UnfitKey:
    """A key that JSON cannot have; an error if it is still there in the end."""

    kind: str
    place: str


class _Anchor:
    """What an alias stands for.

    Args:
        is_map: whether it can be merged.
    """

    def __init__(self, *, is_map: bool) -> None:
        self.is_map = is_map
        self.value: Value = None
        self.key: Scalar = None
        self.is_complete = False
        self.nodes = 0


class Loader:
    """Reads one document, node by node.

    Args:
        keeps_numbers: whether integers stay such, as the Go map of strings sees them.
    """

    def __init__(
        self, run: Run, text: bytes, *, native: bool | None = None, keeps_numbers: bool = False
    ) -> None:
        self._run = run
        self._keeps_numbers = keeps_numbers
        self._anchors: dict[str, _Anchor] = {}
        self._nodes = 0
        self._from_aliases = 0
        self._flow = 0
        self._has_unfit = False
        # What libyaml has learnt since Go's copy of it was made is looked for in the source.
        run.charge(4 * len(text))
        # libyaml compares each directive with all before it.
        run.spend(len(text) // _READ_PER_STEP + text.count(b"%TAG") ** 2 // _DIRECTIVES_PER_STEP)
        self._asks = b"?" in text
        peculiar = b"\\/" in text or _BARE_TAG.search(text)
        self._source = text.decode("utf-8", "replace").removeprefix("\ufeff") if peculiar else ""
        self._is_native = yaml.__with_libyaml__ if native is None else native
        self._steps = _STEPS_PER_EVENT if self._is_native else _STEPS_PER_EVENT_IN_PYTHON
        if not self._is_native:
            run.spend(len(text) // 2)
        try:
            self._parser = _new_parser(text or b"\n", native=self._is_native)
        except (yaml.YAMLError, UnicodeError) as error:
            raise self._syntax_error(error) from None

    def document(self) -> Value:
        """The first document's value, nil where there is none.

        Raises:
            YAMLError: it cannot be read.
            FunctionError: it nests too deeply.
        """
        self._next()
        start = self._next()
        if not isinstance(start, DocumentStartEvent):
            return None
        if start.version not in {None, _DIRECTIVE}:
            raise self._failure("found incompatible YAML document", start)
        value = self._value(self._next(), 0)
        self._next()
        if self._has_unfit:
            self._check_fit(value)
        return value

    def _check_fit(self, value: Value) -> None:
        """JSON has no infinite numbers and few types of keys; those that a later key has replaced do not count."""
        if isinstance(value, float) and not math.isfinite(value) and not self._keeps_numbers:
            raise YAMLError(f"{CONVERTING}json: unsupported value: a float64 that is infinite or no number")
        if isinstance(value, dict):
            for key, one in value.items():
                if isinstance(key, _UnfitKey):
                    raise YAMLError(f"{CONVERTING}{key.place}unsupported map key of type: {key.kind}")
                self._check_fit(one)
        elif isinstance(value, list):
            for one in value:
                self._check_fit(one)

    # -- events

    def _next(self) -> Any:
        self._run.spend(self._steps)
        self._run.memory -= _BYTES_PER_EVENT
        try:
            return self._parser.get_event()
        except (yaml.YAMLError, UnicodeError) as error:
            raise self._syntax_error(error) from None

    def _syntax_error(self, error: Exception) -> YAMLError:
        problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "")
        if not self._is_native:
            # Python's parser quotes what it found; libyaml's texts are fixed.
            problem = problem.partition("'")[0].partition('"')[0].strip(" ,")
        if problem in {"", "expected"}:
            problem = "found something else than expected"
        return YAMLError(f"{CONVERTING}yaml: {_place(getattr(error, 'problem_mark', None))}{problem}")

    @staticmethod
    def _failure(text: str, event: Any) -> YAMLError:
        return YAMLError(f"{CONVERTING}yaml: {_place(event.start_mark)}{text}")

    # -- nodes

    def _value(self, event: Any, depth: int) -> Value:
        """The node that begins with the event."""
        self._count(1)
        if isinstance(event, ScalarEvent):
            scalar = self._scalar(event)
            value = self._json_scalar(scalar)
            if event.anchor is not None:
                self._finished(self._anchor(event.anchor, is_map=False), value, nodes=1, key=scalar)
            return value
        if isinstance(event, AliasEvent):
            return self._alias(event, depth)
        if depth >= self._run.limits.value_depth:
            raise FunctionError(TOO_DEEP)
        before = self._nodes
        is_map = isinstance(event, MappingStartEvent)
        anchor = self._anchor(event.anchor, is_map=is_map) if event.anchor is not None else None
        self._flow += bool(event.flow_style)
        value = self._mapping(depth + 1) if is_map else self._sequence(depth + 1)
        self._flow -= bool(event.flow_style)
        if anchor is not None:
            self._finished(anchor, value, nodes=self._nodes - before + 1)
        return value

    def _anchor(self, name: str, *, is_map: bool) -> _Anchor:
        anchor = self._anchors[name] = _Anchor(is_map=is_map)
        return anchor

    @staticmethod
    def _finished(anchor: _Anchor, value: Value, *, nodes: int, key: Scalar = None) -> None:
        """From now on aliases can refer to it."""
        anchor.value, anchor.key, anchor.nodes, anchor.is_complete = value, key, nodes, True

    def _count(self, nodes: int) -> None:
        self._nodes += nodes

    def _referred(self, event: Any) -> _Anchor:
        anchor = self._anchors.get(event.anchor or "")
        if anchor is None:
            raise self._failure("unknown anchor referenced", event)
        if not anchor.is_complete:
            raise self._failure("anchor value contains itself", event)
        self._count(anchor.nodes)
        self._from_aliases += anchor.nodes
        if (
            self._from_aliases > _MANY_ALIASES
            and self._nodes > _MANY_NODES
            and self._from_aliases / self._nodes > _ALIAS_RATIO
        ):
            raise self._failure("document contains excessive aliasing", event)
        return anchor

    def _alias(self, event: Any, depth: int) -> Value:
        return self._copied(self._referred(event).value, depth)

    def _copied(self, value: Value, depth: int) -> Value:
        """A value of its own for each alias: templates can change maps."""
        if not isinstance(value, list | dict):
            if isinstance(value, bytes):
                self._run.charge(len(value))
            return value
        if depth >= self._run.limits.value_depth:
            raise FunctionError(TOO_DEEP)
        self._run.charge_elements(4 + len(value))
        self._run.spend(1 + len(value))
        if isinstance(value, dict):
            return {key: self._copied(one, depth + 1) for key, one in value.items()}
        return [self._copied(one, depth + 1) for one in value]

    def _sequence(self, depth: int) -> list[Value]:
        values = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            values.append(self._value(event, depth))
        return values

    def _mapping(self, depth: int) -> dict[Any, Value]:
        values: dict[Any, Value] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            if not _is_merge(event):
                key = self._key(event)
                values[key] = self._value(self._next(), depth)
                continue
            if event.anchor is not None:
                self._finished(self._anchor(event.anchor, is_map=False), b"<<", nodes=1, key="<<")
            self._merge(values, self._next(), depth)
        return values

    def _merge(self, values: dict[Any, Value], event: Any, depth: int) -> None:
        """Put the entries of a map, or of several of which the first counts most, over those so far."""
        if isinstance(event, SequenceStartEvent):
            anchor = self._anchor(event.anchor, is_map=False) if event.anchor is not None else None
            before = self._nodes
            maps: list[Value] = []
            while not isinstance(one := self._next(), SequenceEndEvent):
                maps.append(self._merged(one, depth + 1))
            if anchor is not None:
                self._finished(anchor, maps, nodes=self._nodes - before + 1)
            for one_map in reversed(maps):
                values.update(self._copied(one_map, depth) if anchor is not None else one_map)
        else:
            values.update(self._merged(event, depth))

    def _merged(self, event: Any, depth: int) -> dict[Any, Value]:
        if isinstance(event, AliasEvent):
            known = self._anchors.get(event.anchor or "")
            is_map = known is None or known.is_map
        else:
            is_map = isinstance(event, MappingStartEvent)
        if not is_map:
            raise self._failure("map merge requires map or sequence of maps as the value", event)
        found = self._value(event, depth)
        return found if isinstance(found, dict) else {}

    # -- scalars

    def _scalar(self, event: Any) -> Scalar:
        tag: str | None = event.tag
        text: str = event.value
        self._check_dialect(event)
        if tag is None and not event.implicit[0]:
            return text
        if tag == "!" or (self._source and _BARE_TAG_AT.match(self._source, event.start_mark.index)):
            return text
        if tag is None and text and text[0].isalpha() and len(text) > len("false"):
            return text
        try:
            return resolve_tagged(tag, text)
        except NotOfTag as error:
            raise self._failure(str(error), event) from None

    def _check_dialect(self, event: Any) -> None:
        """Refuse what libyaml takes and Go's copy of it does not."""
        if self._asks and self._flow and not event.style and "?" in event.value:
            raise self._failure("did not find expected ',' or the end of the collection", event)
        if event.style == '"' and self._source:
            written = self._source[event.start_mark.index : event.end_mark.index]
            if _ESCAPED_SLASH.search(written):
                raise self._failure("found unknown escape character", event)

    def _json_scalar(self, scalar: Scalar) -> Value:
        if isinstance(scalar, str):
            return from_runes(scalar)
        if isinstance(scalar, bytes):
            return from_runes(scalar.decode("utf-8", "surrogateescape"))
        if isinstance(scalar, float) and not math.isfinite(scalar):
            self._has_unfit = True
        if isinstance(scalar, int) and not isinstance(scalar, bool) and not self._keeps_numbers:
            return float(scalar)
        return scalar

    def _key(self, event: Any) -> bytes | _UnfitKey:
        if isinstance(event, AliasEvent):
            anchor = self._referred(event)
            self._count(1)
            if not isinstance(anchor.value, list | dict):
                return self._key_text(anchor.key, event)
        elif isinstance(event, ScalarEvent):
            self._value(event, 0) if event.anchor is not None else self._count(1)
            return self._key_text(self._scalar(event), event)
        raise self._failure("invalid map key", event)

    def _key_text(self, key: Scalar, event: Any) -> bytes | _UnfitKey:
        if isinstance(key, str):
            return from_runes(key)
        if isinstance(key, bytes):
            return from_runes(key.decode("utf-8", "surrogateescape"))
        if isinstance(key, bool):
            return b"true" if key else b"false"
        if isinstance(key, int) and key <= MAX_INT64:
            return b"%d" % key
        if isinstance(key, float):
            short = general_float32(key)
            return {"+Inf": b".inf", "-Inf": b"-.inf", "NaN": b".nan"}.get(short) or short.encode()
        self._has_unfit = True
        return _UnfitKey("<nil>" if key is None else "uint64", _place(event.start_mark))


def _is_merge(event: Any) -> bool:
    return (
        isinstance(event, ScalarEvent)
        and event.value == "<<"
        and (event.tag in {MERGE, "!"} or (event.tag is None and event.implicit[0]))
    )
