"""Go's signatures: what a function takes, and how a value becomes an argument.

The texts are those of Go's reflection, `func(int, string) (string, error)`; a test compares every one of them.
Rules: text/template, validateType and evalArg (https://pkg.go.dev/text/template#hdr-Arguments).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from keyferry.gotemplate.values import (
    ByteSlice,
    Int64,
    Ints,
    Lists,
    NamedString,
    StringMap,
    Strings,
    Uint32,
)

F = TypeVar("F", bound=Callable[..., Any])

ANY: Final = "interface {}"
REFLECTED: Final = "reflect.Value"
"""What the built-in functions take: anything, nil too."""

_RESULTS: Final[dict[str, type]] = {
    "int64": Int64,
    "uint32": Uint32,
    "[]string": Strings,
    "[]int": Ints,
    "[][]interface {}": Lists,
    "[]uint8": ByteSlice,
    "map[string]string": StringMap,
}
NAMED_STRINGS: Final[dict[str, type[NamedString]]] = {}
"""Named string types by their Go name; only a literal becomes one."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's type.

    Args:
        text: as Go prints it.
        params: types of the parameters; of the variadic one the type of an element.
        variadic: whether the last parameter takes any number of arguments.
        result: type of the first result.
        result_class: what a result of that type is made to be; None where it stays as it is.
        results: types of all results. Templates can call what has one, or one and an error.
    """

    text: str
    params: tuple[str, ...]
    variadic: bool
    result: str
    result_class: type | None
    results: tuple[str, ...]

    def refusal(self, name: str) -> str:
        """Why templates cannot call it; empty if they can."""
        _, *others = self.results
        if not others or others == ["error"]:
            return ""
        if len(others) == 1:
            return (
                f"invalid function signature for {name}: second return value should be error; is {others[0]}"
            )
        return f"function {name} has {len(self.results)} return values; should be 1 or 2"

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Of Go's text."""
        inside, _, after = text.removeprefix("func(").partition(")")
        params = [one.strip() for one in inside.split(",")] if inside else []
        variadic = bool(params) and params[-1].startswith("...")
        if variadic:
            params[-1] = params[-1].removeprefix("...")
        results = tuple(one.strip() for one in after.strip().strip("()").split(","))
        return cls(text, tuple(params), variadic, results[0], _RESULTS.get(results[0]), results)


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method that templates may call.

    Args:
        name: as templates call it; a method's name alone.
        call: gets the Run, then the arguments (a method: its receiver first). It returns the result and raises
            FunctionError for Go's error and for what makes Go panic.
        group: heading in the reference, such as "Strings".
        doc: one sentence for authors, then perhaps an example.
    """

    name: str
    signature: Signature
    call: Callable[..., Any]
    group: str = ""
    doc: str = ""


@dataclass(slots=True)
class FunctionGroup:
    """Collects the functions of one module.

    Use as a decorator: `@strings.add("trunc", "func(int, string) string")`. The docstring is what authors read
    in docs/template-functions.md.
    """

    title: str
    functions: dict[str, Function] = field(default_factory=dict)

    def add(self, names: str, signature: str) -> Callable[[F], F]:
        """Add under each of the names, which are separated by spaces (synonyms have one signature)."""

        def decorate(call: F) -> F:
            for name in names.split():
                if name in self.functions:
                    raise ValueError(f"{name} is there twice")
                self.functions[name] = Function(
                    name, Signature.parse(signature), call, self.title, (call.__doc__ or "").strip()
                )
            return call

        return decorate


def merged(groups: Iterable[FunctionGroup]) -> dict[str, Function]:
    """All functions of the groups; each name once."""
    table: dict[str, Function] = {}
    for group in groups:
        if twice := table.keys() & group.functions.keys():
            raise ValueError(f"{sorted(twice)} are there twice")
        table.update(group.functions)
    return table
