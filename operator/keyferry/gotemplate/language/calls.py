"""Expressions: pipelines, commands, arguments, fields and calls as closures.

Rules: text/template's exec (evalPipeline, evalCommand, evalArg, validateType, evalField, evalCall), whose error
texts these are, with one difference: they name the type that a value has, where Go sometimes names the interface
that it is kept in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.language.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Variable,
    text_of,
)
from keyferry.gotemplate.language.places import Places
from keyferry.gotemplate.objects import FIELDS, METHODS, STRUCT_FIELDS
from keyferry.gotemplate.signatures import ANY, NAMED_STRINGS, REFLECTED, Function
from keyferry.gotemplate.values import NILS, StringMap, Uint32, Value, class_of, is_true, type_of

Frame = list[Any]
Operand = Callable[[Run, Frame, Value], Value]
Stage = Callable[[Run, Frame, Value, Value], Value]
"""An operand that gets the value of the pipeline's stage before it, too."""


class Unset:
    """What a variable holds that has not been declared on the way here."""


UNSET: Final = Unset()
_ANYTHING: Final = frozenset({ANY, REFLECTED})
_NILLABLE: Final = ("[]", "map[", "*", "interface", "func", "reflect.Value", "error")
_METHOD_STEPS: Final = 10
_BIG_TEXT: Final = 64
"""Shorter results are covered by the step of the call."""
_LONG_ARGUMENT: Final = 1024
_READ_PER_STEP: Final = 1024
"""Every function may look at all of its texts; those that do more than that charge more themselves."""
_FEW_ARGUMENTS: Final = 4
"""So many are covered by the step of the call; each more costs one."""
_FIELDS_PER_STEP: Final = 4


class Calls:
    """Makes operands of one definition's nodes.

    Args:
        places: tells where a node is.
        functions: what may be called.
        missing_is_error: whether a map that lacks the key of a field is an error.
    """

    def __init__(self, places: Places, functions: Mapping[str, Function], *, missing_is_error: bool) -> None:
        self._places = places
        self._functions = functions
        self._missing_is_error = missing_is_error

    # -- pipelines

    def pipe(self, pipe: Pipe) -> Operand:
        """The value of a pipeline; it sets the variables that it declares or assigns."""
        first, *others = pipe.commands
        value = self._command(first, pipe)
        if others:
            stages = [self._stage(before, after) for before, after in pairwise(pipe.commands)]
            value = self._stages(value, stages)
        return self._assigned(value, pipe) if pipe.variables else value

    @staticmethod
    def _stages(first: Operand, stages: list[Stage]) -> Operand:
        if len(stages) == 1:
            (second,) = stages
            return lambda run, frame, dot: second(run, frame, dot, first(run, frame, dot))
        rest = tuple(stages)

        def pipeline(run: Run, frame: Frame, dot: Value) -> Value:
            value = first(run, frame, dot)
            for stage in rest:
                value = stage(run, frame, dot, value)
            return value

        return pipeline

    def _assigned(self, evaluate: Operand, pipe: Pipe) -> Operand:
        last = _last(pipe)
        setters = [(one.slots, self._undefined(one, last)) for one in pipe.variables]

        def assign(run: Run, frame: Frame, dot: Value) -> Value:
            value = evaluate(run, frame, dot)
            for slots, undefined in setters:
                set_variable(frame, slots, value, undefined)
            return value

        def declare(run: Run, frame: Frame, dot: Value) -> Value:
            value = evaluate(run, frame, dot)
            for slots, _ in setters:
                frame[slots[0]] = value
            return value

        return assign if pipe.assigns else declare

    def _undefined(self, variable: Variable, place: Node) -> Callable[[], Exception]:
        name = text_of(variable.names[0])
        return lambda: self._places.error(place, f"undefined variable: {name}")

    # -- commands

    def _command(self, command: Command, pipe: Pipe) -> Operand:
        """The first command of the pipeline."""
        first, arguments = command.args[0], command.args[1:]
        if isinstance(first, Identifier):
            return self._function(first, arguments, command)
        if isinstance(first, Field | Chain | Variable) and _has_fields(first):
            return self._fields(first, arguments)
        if arguments:
            place = pipe if isinstance(first, Pipe) else first
            return self._failing(place, f"can't give argument to non-function {first}")
        if isinstance(first, Nil):
            return self._failing(first, "nil is not a command")
        return self._operand(first)

    def _stage(self, before: Command, command: Command) -> Stage:
        """A later command, which gets the value before it as its last argument."""
        first, arguments = command.args[0], command.args[1:]
        if isinstance(first, Identifier):
            return self._function_stage(first, arguments, command)
        if isinstance(first, Field | Chain | Variable) and _has_fields(first):
            return self._fields_stage(first, arguments)
        place = _last(before.args[-1]) if isinstance(first, Pipe) else first
        failing = self._failing(place, f"can't give argument to non-function {first}")
        return lambda run, frame, dot, _: failing(run, frame, dot)

    def _failing(self, node: Node, detail: str) -> Operand:
        def failing(run: Run, frame: Frame, dot: Value) -> Value:  # noqa: ARG001 -- an operand's signature
            raise self._places.error(node, detail)

        return failing

    # -- operands

    def _operand(self, node: Node) -> Operand:
        """The value of a node that stands alone, whatever type is wanted."""
        match node:
            case Field() | Chain():
                return self._fields(node, [])
            case Variable():
                return self._fields(node, []) if _has_fields(node) else self._variable(node)
            case Identifier():
                return self._function(node, [], node)
            case Pipe():
                return self.pipe(node)
            case Dot():
                return lambda run, frame, dot: dot  # noqa: ARG005 -- an operand's signature
        return self._constant(node)

    def _constant(self, node: Node) -> Operand:
        value: Value
        if isinstance(node, Bool | String):
            value = node.value
        elif isinstance(node, Number):
            if node.integer is None and node.real is not None and _is_whole(node.text):
                return self._failing(node, f"{node.text} overflows int")
            value = node.real if not _is_whole(node.text) else node.integer
        else:
            return self._failing(node, f"can't handle assignment of {node} to empty interface argument")
        return lambda run, frame, dot: value  # noqa: ARG005 -- an operand's signature

    def _variable(self, node: Variable) -> Operand:
        slots = node.slots
        if slots == (0,):
            return lambda run, frame, dot: frame[0]  # noqa: ARG005 -- an operand's signature
        undefined = self._undefined(node, node)

        def variable(run: Run, frame: Frame, dot: Value) -> Value:  # noqa: ARG001 -- an operand's signature
            for slot in slots:
                value = frame[slot]
                if value is not UNSET:
                    return value
            raise undefined()

        return variable

    # -- fields and methods

    def _fields(self, node: Field | Chain | Variable, arguments: list[Node]) -> Operand:
        """`.a.b` and its like; the last one may be a method with arguments."""
        names = _names(node)
        if isinstance(node, Field) and len(names) == 1 and not arguments:
            return self._field_of_dot(node, names[0])
        receiver = self._receiver(node)
        last = self._last_field(node, names[-1], arguments)
        before = names[:-1]
        steps = len(before) // _FIELDS_PER_STEP

        def fields(run: Run, frame: Frame, dot: Value) -> Value:
            if steps:
                run.spend(steps)
            value = receiver(run, frame, dot)
            for name in before:
                value = self._member(run, node, name, value)
            return last(run, frame, dot, value)

        return fields

    def _fields_stage(self, node: Field | Chain | Variable, arguments: list[Node]) -> Stage:
        *before, last = _names(node)
        receiver = self._receiver(node)
        call = self._methods_call(node, last, arguments, piped=True)
        steps = len(before) // _FIELDS_PER_STEP

        def fields(run: Run, frame: Frame, dot: Value, final: Value) -> Value:
            if steps:
                run.spend(steps)
            value = receiver(run, frame, dot)
            for name in before:
                value = self._member(run, node, name, value)
            return call(run, frame, dot, value, final)

        return fields

    def _receiver(self, node: Field | Chain | Variable) -> Operand:
        if isinstance(node, Field):
            return lambda run, frame, dot: dot  # noqa: ARG005 -- an operand's signature
        if isinstance(node, Variable):
            return self._variable(Variable(node.position, node.names[:1], node.slots))
        if isinstance(node.node, Nil):
            return self._failing(node, f"indirection through explicit nil in {node}")
        return self._operand(node.node)

    def _field_of_dot(self, node: Field, name: bytes) -> Operand:
        member = self._member

        def field(run: Run, frame: Frame, dot: Value) -> Value:  # noqa: ARG001 -- an operand's signature
            if type(dot) is StringMap or type(dot) is dict:
                try:
                    return dot[name]
                except KeyError:
                    pass
            return member(run, node, name, dot)

        return field

    def _last_field(self, node: Field | Chain | Variable, name: bytes, arguments: list[Node]) -> Stage:
        """The field, or the method's result; its receiver comes as the last argument."""
        if not arguments:
            return lambda run, frame, dot, value: self._member(run, node, name, value)  # noqa: ARG005

        call = self._methods_call(node, name, arguments, piped=False)
        return lambda run, frame, dot, value: call(run, frame, dot, value, None)

    def _methods_call(
        self, node: Field | Chain | Variable, name: bytes, arguments: list[Node], *, piped: bool
    ) -> Callable[[Run, Frame, Value, Value, Value], Value]:
        """A call of the method that the value has by this name, compiled once for each type that is met."""
        known: dict[type, Callable[[Run, Frame, Value, Value, Value], Value]] = {}

        def call(run: Run, frame: Frame, dot: Value, value: Value, final: Value) -> Value:
            compiled = known.get(type(value))
            if compiled is None:
                method = self._method(value, name)
                if method is None:
                    raise self._no_method(node, name, value)
                compiled = known[type(value)] = self._method_call(method, node, arguments, piped=piped)
            return compiled(run, frame, dot, value, final)

        return call

    @staticmethod
    def _method(value: Value, name: bytes) -> Function | None:
        methods = METHODS.get(type(value))
        return methods.get(text_of(name)) if methods else None

    def _member(self, run: Run, node: Node, name: bytes, value: Value) -> Value:
        """A field, a method without arguments, or an entry of a map."""
        if value is None:
            if self._missing_is_error:
                raise self._places.error(self._met(node), f'nil data; no entry for key "{text_of(name)}"')
            return None
        if (method := self._method(value, name)) is not None:
            return self._method_call(method, node, [], piped=False)(run, [], None, value, None)
        if isinstance(value, dict):
            if name in value:
                return value[name]
            if not self._missing_is_error:
                return None
            # Of a map that the template has made or read, the keys may be values.
            keys = sorted(value) if type(value) is StringMap else None
            raise self._places.missing_key(self._met(node), name, keys)
        fields = FIELDS.get(type(value))
        if fields and (read := fields.get(text_of(name))):
            return read(value)
        if text_of(name) in STRUCT_FIELDS.get(type(value), {}):
            detail = f"{text_of(name)} is an unexported field of struct type {type_of(value)}"
            raise self._places.error(self._met(node), detail)
        detail = f"can't evaluate field {text_of(name)} in type {type_of(value)}"
        raise self._places.error(self._met(node), detail)

    @staticmethod
    def _met(node: Node) -> Node:
        """What was looked at last when a field is missed: of a chain, what its fields are those of."""
        return _last(node.node) if isinstance(node, Chain) else node

    def _no_method(self, node: Node, name: bytes, value: Value) -> Exception:
        """Why something cannot be called with arguments."""
        shown, place = text_of(name), self._met(node)
        if value is None:
            return self._places.error(place, f'nil data; no entry for key "{shown}"')
        if isinstance(value, dict):
            return self._places.error(place, f"{shown} is not a method but has arguments")
        if shown in FIELDS.get(type(value), {}):
            return self._places.error(place, f"{shown} has arguments but cannot be invoked as function")
        return self._places.error(place, f"can't evaluate field {shown} in type {type_of(value)}")

    def _method_call(
        self, method: Function, node: Node, arguments: list[Node], *, piped: bool
    ) -> Callable[[Run, Frame, Value, Value, Value], Value]:
        """A call of a method, compiled when it is met: which one it is depends on the value."""
        evaluate = self._arguments(method, self._met(node), arguments, piped=piped)
        finish = self._finish(method, node)

        def call(run: Run, frame: Frame, dot: Value, receiver: Value, final: Value) -> Value:
            run.spend(_METHOD_STEPS)
            return finish(run, [receiver, *evaluate(run, frame, dot, final)])

        return call

    # -- functions

    def _function(self, node: Identifier, arguments: list[Node], place: Node) -> Operand:
        if node.name in ("and", "or"):
            return self._short_circuit(node, arguments)
        if node.name == "fail" and len(arguments) == 1 and isinstance(arguments[0], String):
            # Of a literal it is known that it is no value.
            return self._failing(place, f"error calling fail: {text_of(arguments[0].value)}")
        function = self._functions[node.name]
        evaluate = self._arguments(function, node, arguments, piped=False)
        finish = self._finish(function, place)
        return lambda run, frame, dot: finish(run, evaluate(run, frame, dot, None))

    def _function_stage(self, node: Identifier, arguments: list[Node], place: Node) -> Stage:
        if node.name in ("and", "or"):
            return self._short_circuit_stage(node, arguments)
        function = self._functions[node.name]
        evaluate = self._arguments(function, node, arguments, piped=True)
        finish = self._finish(function, place)
        return lambda run, frame, dot, final: finish(run, evaluate(run, frame, dot, final))

    def _short_circuit(self, node: Identifier, arguments: list[Node]) -> Operand:
        if not arguments:
            return self._failing(node, f"wrong number of args for {node.name}: want at least 1 got 0")
        operands = [self._any(argument) for argument in arguments]
        stops_at = node.name == "or"

        def short_circuit(run: Run, frame: Frame, dot: Value) -> Value:
            value = None
            for operand in operands:
                run.spend(1)
                value = operand(run, frame, dot)
                if is_true(value) is stops_at:
                    break
            return value

        return short_circuit

    def _short_circuit_stage(self, node: Identifier, arguments: list[Node]) -> Stage:
        operands = [self._any(argument) for argument in arguments]
        stops_at = node.name == "or"

        def short_circuit(run: Run, frame: Frame, dot: Value, final: Value) -> Value:
            for operand in operands:
                run.spend(1)
                value = operand(run, frame, dot)
                if is_true(value) is stops_at:
                    return value
            return final

        return short_circuit

    def _finish(self, function: Function, node: Node) -> Callable[[Run, list[Value]], Value]:
        """The call itself: what its errors become, its result's type and its charge."""
        call, result_class = function.call, function.signature.result_class
        prefix = f"error calling {function.name}: "
        places = self._places

        def finish(run: Run, values: list[Value]) -> Value:
            try:
                run.steps -= 1
                if run.steps < run.until_clock:
                    run.spend(0)
                for value in values:
                    if type(value) is bytes and len(value) > _LONG_ARGUMENT:
                        run.spend(len(value) // _READ_PER_STEP)
                result = call(run, *values)
                kind = type(result)
                if kind is bytes:
                    if len(result) > _BIG_TEXT:
                        run.charge(len(result))
                    return result
                if result_class is not None and kind is not result_class and result is not None:
                    result = result if isinstance(result, NILS) else result_class(result)
                if kind is not int and kind is not bool:
                    run.charge_result(result)
            except Exception as error:  # noqa: BLE001 -- templates are hostile: whatever it is, it ends here
                raise places.failure(node, prefix, error) from None
            return result

        return finish

    # -- arguments

    def _arguments(
        self, function: Function, node: Node, arguments: list[Node], *, piped: bool
    ) -> Callable[[Run, Frame, Value, Value], list[Value]]:
        signature, name = function.signature, function.name
        params = signature.params
        count = len(arguments) + piped
        if signature.variadic and count < len(params) - 1:
            detail = f"wrong number of args for {name}: want at least {len(params) - 1} got {len(arguments)}"
            return _failing_arguments(self._failing(node, detail))
        if not signature.variadic and count != len(params):
            detail = f"wrong number of args for {name}: want {len(params)} got {count}"
            return _failing_arguments(self._failing(node, detail))
        if refusal := signature.refusal(name):
            return _failing_arguments(self._failing(node, refusal))
        wanted = [params[min(index, len(params) - 1)] for index in range(count)]
        operands = [self._argument(one, kind) for one, kind in zip(arguments, wanted, strict=False)]
        check = self._checked(wanted[-1], _last(arguments[-1]) if arguments else node) if piped else None
        return _evaluation(operands, check, piped=piped)

    def _any(self, node: Node) -> Operand:
        return self._argument(node, ANY)

    def _argument(self, node: Node, wanted: str) -> Operand:
        """The value of an argument, as the type that is wanted."""
        if isinstance(node, Nil):
            if wanted.startswith(_NILLABLE):
                return lambda run, frame, dot: None  # noqa: ARG005 -- an operand's signature
            return self._failing(node, f"cannot assign nil to {wanted}")
        if isinstance(node, Bool | String | Number):
            return self._literal(node, wanted)
        operand = self._operand(node)
        in_map = isinstance(node, Field | Chain | Variable) and _has_fields(node)
        check = self._checked(wanted, _last(node), in_map=in_map)
        if check is None:
            return operand
        return lambda run, frame, dot: check(operand(run, frame, dot))

    def _checked(self, wanted: str, node: Node, *, in_map: bool = False) -> Callable[[Value], Value] | None:
        """Refuses values of other types; None where any will do.

        Args:
            wanted: the type.
            node: where it is checked.
            in_map: the value is an entry of a map. A nil there has a type for Go: that of the entries.
        """
        if wanted in _ANYTHING:
            return None
        accepted = class_of(wanted)
        allows_nil = wanted.startswith(_NILLABLE)
        places = self._places

        def check(value: Value) -> Value:
            if type(value) is accepted:
                return value
            if value is None:
                if in_map:
                    raise places.error(node, f"wrong type for value; expected {wanted}; got {ANY}")
                if allows_nil:
                    return None
                raise places.error(node, f"invalid value; expected {wanted}")
            raise places.error(node, f"wrong type for value; expected {wanted}; got {type_of(value)}")

        return check

    def _literal(self, node: Bool | String | Number, wanted: str) -> Operand:
        """A constant, which takes the type that is wanted if it can."""
        if wanted in _ANYTHING:
            return self._constant(node)
        value: Value = None
        expected = wanted
        if wanted == "string":
            value = node.value if isinstance(node, String) else None
        elif wanted in NAMED_STRINGS:
            expected = "string"
            value = NAMED_STRINGS[wanted](node.value) if isinstance(node, String) else None
        elif wanted == "bool":
            value = node.value if isinstance(node, Bool) else None
        elif wanted in ("int", "int64", "time.Duration", "time.Month", "time.Weekday"):
            expected = "integer"
            whole = node.integer if isinstance(node, Number) else None
            value = None if whole is None else class_of(wanted)(whole)
        elif wanted == "uint32":
            expected = "unsigned integer"
            unsigned = node.unsigned if isinstance(node, Number) else None
            value = None if unsigned is None else Uint32(unsigned % (1 << 32))
        elif wanted == "float64":
            expected = "float"
            value = node.real if isinstance(node, Number) else None
        else:
            return self._failing(node, f"can't handle {node} for arg of type {wanted}")
        if value is None:
            return self._failing(node, f"expected {expected}; found {node}")
        return lambda run, frame, dot: value  # noqa: ARG005 -- an operand's signature

    def last(self, pipe: Pipe) -> Node:
        """The node that was looked at last when the pipeline's value is there: errors about the value name it."""
        return _last(pipe)


def _last(node: Node) -> Node:
    if isinstance(node, Pipe):
        args = node.commands[-1].args
        return _last(args[-1])
    return _last(node.node) if isinstance(node, Chain) else node


def set_variable(
    frame: Frame, slots: tuple[int, ...], value: Value, undefined: Callable[[], Exception]
) -> None:
    """Give the innermost variable that exists another value."""
    for slot in slots:
        if frame[slot] is not UNSET:
            frame[slot] = value
            return
    raise undefined()


def _has_fields(node: Field | Chain | Variable) -> bool:
    return not isinstance(node, Variable) or len(node.names) > 1


def _names(node: Field | Chain | Variable) -> list[bytes]:
    return node.names[1:] if isinstance(node, Variable) else node.names


def _is_whole(text: str) -> bool:
    """Whether a constant without context is an int: by its looks, not by its value."""
    if text.startswith("'"):
        return True
    is_hex = len(text) > 2 and text[:2] in ("0x", "0X") and "p" not in text.lower()
    return is_hex or not any(char in text for char in ".eEpP")


def _failing_arguments(failing: Operand) -> Callable[[Run, Frame, Value, Value], list[Value]]:
    return lambda run, frame, dot, _: [failing(run, frame, dot)]


def _evaluation(
    operands: list[Operand], check: Callable[[Value], Value] | None, *, piped: bool
) -> Callable[[Run, Frame, Value, Value], list[Value]]:
    """All arguments in order; the piped one last."""
    steps = len(operands) - _FEW_ARGUMENTS
    if not piped:
        if len(operands) == 1:
            (only,) = operands
            return lambda run, frame, dot, _: [only(run, frame, dot)]

        def evaluate_all(run: Run, frame: Frame, dot: Value, _: Value) -> list[Value]:
            if steps > 0:
                run.spend(steps)
            return [one(run, frame, dot) for one in operands]

        return evaluate_all

    def evaluate(run: Run, frame: Frame, dot: Value, final: Value) -> list[Value]:
        if steps > 0:
            run.spend(steps)
        values = [one(run, frame, dot) for one in operands] if operands else []
        values.append(check(final) if check else final)
        return values

    return evaluate
