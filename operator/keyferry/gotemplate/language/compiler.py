"""Nodes to closures that run: what text/template's exec does, prepared once per template.

Every closure takes the Run, the frame (the variables of the template that runs) and the dot. Nothing is decided
while running that the template's text decides: which function, how many arguments, which variable. A closure of
a statement returns None, or what ends a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted
from keyferry.gotemplate.functions.table import FUNCTIONS
from keyferry.gotemplate.language.calls import UNSET, Calls, Frame, set_variable
from keyferry.gotemplate.language.nodes import (
    Action,
    Block,
    Branch,
    Break,
    Call,
    Continue,
    Definition,
    Node,
    Pipe,
    Range,
    Text,
    text_of,
)
from keyferry.gotemplate.language.parser import Parser
from keyferry.gotemplate.language.places import Places
from keyferry.gotemplate.language.quoting import quote
from keyferry.gotemplate.signatures import Function
from keyferry.gotemplate.text.fmt import print_value
from keyferry.gotemplate.values import (
    INT_KINDS,
    UINT_KINDS,
    ByteSlice,
    Uint8,
    Value,
    is_true,
    kind_of,
    type_of,
)

Signal = int | None
Statement = Callable[[Run, Frame, Value], Signal]
Steps = Iterable[tuple[Value, Value]]
"""What a range goes through: index or key, and element."""

BREAK: Final = 1
CONTINUE: Final = 2
_PAIR: Final = 2
_NODES_PER_STEP: Final = 4
"""Texts and the like: less than a call, but a template may have thousands of them."""
_CASES_PER_STEP: Final = 2
_SLOTS_PER_STEP: Final = 32
_INTEGERS: Final = INT_KINDS | UINT_KINDS


class Compiled:
    """A definition that can run.

    Args:
        definition: what to compile.
        templates: all of the text, by name; filled by the caller, looked into only while running.
        places: tells where a node is.
        functions: what may be called.
        missing_is_error: whether a map that lacks the key of a field is an error.
    """

    __slots__ = ("_calls", "_frame_steps", "_places", "_templates", "body", "slots")

    def __init__(
        self,
        definition: Definition,
        templates: Mapping[bytes, Compiled],
        places: Places,
        functions: Mapping[str, Function],
        *,
        missing_is_error: bool,
    ) -> None:
        self._templates = templates
        self._places = places
        self._calls = Calls(places, functions, missing_is_error=missing_is_error)
        self.body = self._block(definition.body)
        self.slots = definition.slots
        self._frame_steps = definition.slots // _SLOTS_PER_STEP

    def run(self, run: Run, dot: Value) -> None:
        """Write its output for the dot, with variables of its own."""
        if self._frame_steps:
            run.spend(self._frame_steps)
        frame: Frame = [UNSET] * self.slots
        frame[0] = dot
        self.body(run, frame, dot)

    # -- statements

    def _block(self, block: Block) -> Statement:
        statements = tuple(self._statement(node) for node in block.nodes)
        if len(statements) == 1:
            return statements[0]
        steps = len(statements) // _NODES_PER_STEP

        def sequence(run: Run, frame: Frame, dot: Value) -> Signal:
            if steps:
                run.spend(steps)
            for one in statements:
                if signal := one(run, frame, dot):
                    return signal
            return None

        return sequence

    def _statement(self, node: Node) -> Statement:
        match node:
            case Text():
                return _text(node)
            case Action():
                return self._action(node)
            case Branch():
                return self._branch(node)
            case Range():
                return self._range(node)
            case Call():
                return self._call(node)
            case Break():
                return lambda run, frame, dot: BREAK  # noqa: ARG005 -- a statement's signature
            case Continue():
                return lambda run, frame, dot: CONTINUE  # noqa: ARG005 -- a statement's signature
        raise TypeError(type(node).__name__)

    def _action(self, node: Action) -> Statement:
        evaluate = self._calls.pipe(node.pipe)
        places, place = self._places, self._calls.last(node.pipe)

        def declare(run: Run, frame: Frame, dot: Value) -> Signal:
            run.spend(1)
            evaluate(run, frame, dot)
            return None

        def action(run: Run, frame: Frame, dot: Value) -> Signal:
            run.steps -= 1
            if run.steps < run.until_clock:
                run.spend(0)
            text = evaluate(run, frame, dot)
            if type(text) is not bytes:
                try:
                    text = print_value(run, text)
                except Exception as error:  # noqa: BLE001 -- templates are hostile: it ends here
                    raise places.failure(place, "", error) from None
            run.output -= len(text)
            if run.output < 0:
                run.write(b"")
            run.out.append(text)
            return None

        return declare if node.pipe.variables else action

    def _branch(self, node: Branch) -> Statement:
        cases = tuple((self._calls.pipe(pipe), self._block(body)) for pipe, body in node.cases)
        otherwise = self._block(node.otherwise) if node.otherwise else None
        moves_dot = node.keyword == "with"
        unset = node.slots if len(cases) > 1 or otherwise else ()
        steps = 1 + len(cases) // _CASES_PER_STEP + len(unset) // _SLOTS_PER_STEP

        def branch(run: Run, frame: Frame, dot: Value) -> Signal:
            run.spend(steps)
            for slot in unset:
                frame[slot] = UNSET
            for condition, body in cases:
                value = condition(run, frame, dot)
                if is_true(value):
                    return body(run, frame, value if moves_dot else dot)
            return otherwise(run, frame, dot) if otherwise else None

        return branch

    # -- range

    def _range(self, node: Range) -> Statement:
        evaluate = self._calls.pipe(node.pipe)
        body = self._block(node.body)
        otherwise = self._block(node.otherwise) if node.otherwise else None
        steps = self._steps(node)
        bind = self._bound(node.pipe)
        unset = node.slots
        unset_steps = len(unset) // _SLOTS_PER_STEP
        places, place = self._places, self._calls.last(node.pipe)

        def loop(run: Run, frame: Frame, dot: Value) -> Signal:
            if unset_steps:
                run.spend(unset_steps)
            for slot in unset:
                frame[slot] = UNSET
            ran = False
            try:
                for index, element in steps(run, evaluate(run, frame, dot)):
                    ran = True
                    run.spend(1)
                    if bind:
                        bind(frame, index, element)
                    if body(run, frame, element) == BREAK:
                        break
            except Exhausted as error:
                raise places.failure(place, "", error) from None
            if not ran and otherwise:
                # A break here ends this range, not the one around it that the parser asked for; Go does so.
                signal = otherwise(run, frame, dot)
                return None if signal == BREAK else signal
            return None

        return loop

    def _steps(self, node: Range) -> Callable[[Run, Value], Steps]:
        """What a value is iterated over as; refuses what cannot be."""
        places, place = self._places, self._calls.last(node.pipe)
        pair = len(node.pipe.variables) == _PAIR

        def steps(run: Run, value: Value) -> Steps:
            if value is None:
                return ()
            if isinstance(value, dict):
                return [(key, value[key]) for key in run.sorted_keys(value)]
            if isinstance(value, list):
                return enumerate(value)
            if isinstance(value, ByteSlice):
                return enumerate(map(Uint8, value))
            if kind_of(value) in _INTEGERS:
                if pair:
                    detail = f"can't use {type_of(value)} to iterate over more than one variable"
                    raise places.error(place, detail)
                kind = type(value)
                return ((None, kind(number)) for number in range(value))
            raise places.error(place, f"range can't iterate over {type_of(value)}")

        return steps

    def _bound(self, pipe: Pipe) -> Callable[[Frame, Value, Value], None] | None:
        """Sets the variables of a range; with one it gets the element, with two the index comes first."""
        variables = pipe.variables
        if not variables:
            return None
        element, index = variables[-1].slots, variables[0].slots if len(variables) == _PAIR else None
        if pipe.assigns:
            undefined = self._undefined(pipe)

            def assign(frame: Frame, key: Value, value: Value) -> None:
                if index is not None:
                    set_variable(frame, index, key, undefined)
                set_variable(frame, element, value, undefined)

            return assign

        def bind(frame: Frame, key: Value, value: Value) -> None:
            frame[element[0]] = value
            if index is not None:
                frame[index[0]] = key

        return bind

    def _undefined(self, pipe: Pipe) -> Callable[[], Exception]:
        name = text_of(pipe.variables[0].names[0])
        return lambda: self._places.error(pipe, f"undefined variable: {name}")

    # -- templates

    def _call(self, node: Call) -> Statement:
        evaluate = self._calls.pipe(node.pipe) if node.pipe else None
        templates, places, name = self._templates, self._places, node.name

        def call(run: Run, frame: Frame, dot: Value) -> Signal:
            run.spend(1)
            template = templates.get(name)
            if template is None:
                raise places.error(node, f"template {quote(name)} not defined")
            if run.depth >= run.limits.depth:
                raise places.error(node, f"exceeded maximum template depth ({run.limits.depth})")
            run.depth += 1
            template.run(run, evaluate(run, frame, dot) if evaluate else None)
            run.depth -= 1
            return None

        return call


def compile_text(
    name: str,
    text: bytes,
    *,
    delimiters: tuple[str, str],
    functions: Mapping[str, Function] | None,
    missing_is_error: bool,
    limits: Limits,
) -> tuple[Compiled, int]:
    """The main template of a text, with all others that it defines behind it, and how many tokens it has.

    Args:
        name: of the main template.
        text: the whole text.
        delimiters: what begins and ends an action.
        functions: what may be called; None for all that there are.
        missing_is_error: as in `Compiled`.
        limits: nesting and tokens count here.

    Raises:
        ParseError: the text is no template.
        Exhausted: it has more tokens than it may have.
    """
    known = FUNCTIONS if functions is None else functions
    left, right = (one.encode() for one in delimiters)
    compiled: dict[bytes, Compiled] = {}
    parser = Parser(name, text, delimiters=(left, right), functions=known, limits=limits)
    for key, definition in parser.parse().items():
        places = Places(name, key, text)
        compiled[key] = Compiled(definition, compiled, places, known, missing_is_error=missing_is_error)
    return compiled[name.encode("utf-8", "surrogateescape")], parser.tokens


def _text(node: Text) -> Statement:
    value, size = node.value, len(node.value)

    def text(run: Run, frame: Frame, dot: Value) -> Signal:  # noqa: ARG001 -- a statement's signature
        run.output -= size
        if run.output < 0:
            run.write(b"")
        run.out.append(value)
        return None

    return text
