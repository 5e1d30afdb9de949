"""What a template consists of. Made by `parser`, turned into something that runs by `compiler`.

`str(node)` is the node's text as Go prints it in error messages: rebuilt, not cut out of the template.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keyferry.gotemplate.language.quoting import quote


def text_of(name: bytes) -> str:
    """A name or literal for an error message."""
    return name.decode("utf-8", "replace")


@dataclass(slots=True)
class Node:
    """A piece of a template.

    Args:
        position: in bytes, from the beginning of the text.
    """

    position: int


@dataclass(slots=True)
class Dot(Node):
    """The dot."""

    def __str__(self) -> str:
        return "."


@dataclass(slots=True)
class Nil(Node):
    """The word nil."""

    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True)
class Bool(Node):
    """The word true or false."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(slots=True)
class String(Node):
    """A quoted or raw string.

    Args:
        literal: as it is written.
        value: what it stands for.
    """

    literal: bytes
    value: bytes

    def __str__(self) -> str:
        return text_of(self.literal)


@dataclass(slots=True)
class Number(Node):
    """A numeric constant, as every type that can hold it.

    Args:
        text: as it is written.
        integer: as int64; None if it is none.
        unsigned: as uint64; None if it is none.
        real: as float64; None if it is none.
    """

    text: str
    integer: int | None
    unsigned: int | None
    real: float | None

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Field(Node):
    """Fields of the dot, as in `.a.b`."""

    names: list[bytes]

    def __str__(self) -> str:
        return "".join("." + text_of(name) for name in self.names)


@dataclass(slots=True)
class Variable(Node):
    """A variable, perhaps with fields, as in `$x.a.b`.

    Args:
        names: the variable with its dollar, then fields.
        slots: places of the variables that it may mean, the likeliest first; set by the parser.
    """

    names: list[bytes]
    slots: tuple[int, ...] = ()

    def __str__(self) -> str:
        return ".".join(map(text_of, self.names))


@dataclass(slots=True)
class Identifier(Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Chain(Node):
    """`(pipeline).a.b`, or a function's name with fields."""

    node: Node
    names: list[bytes]

    def __str__(self) -> str:
        inside = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return inside + "".join("." + text_of(name) for name in self.names)


@dataclass(slots=True)
class Command(Node):
    """A function, method, field or literal, and its arguments."""

    args: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.args)


@dataclass(slots=True)
class Pipe(Node):
    """A pipeline: commands, and perhaps variables that get its value.

    Args:
        assigns: whether the variables exist already (`=` instead of `:=`).
    """

    variables: list[Variable] = field(default_factory=list)
    assigns: bool = False
    commands: list[Command] = field(default_factory=list)

    def __str__(self) -> str:
        text = " | ".join(map(str, self.commands))
        if not self.variables:
            return text
        return ", ".join(map(str, self.variables)) + (" = " if self.assigns else " := ") + text


@dataclass(slots=True)
class Text(Node):
    """Plain text."""

    value: bytes


@dataclass(slots=True)
class Action(Node):
    """A pipeline whose value is printed, or kept in variables."""

    pipe: Pipe

    def __str__(self) -> str:
        return "{{" + str(self.pipe) + "}}"


@dataclass(slots=True)
class Block(Node):
    """A list of nodes.

    Args:
        slots: places of the variables that it declares itself, not within further control structures.
    """

    nodes: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Branch(Node):
    """`if` or `with`, with its `else if` or `else with` branches.

    Args:
        keyword: if or with.
        cases: conditions and what follows from them, in order.
        otherwise: of `else`.
        slots: places of variables that are declared anywhere inside: unset before it runs.
    """

    keyword: str
    cases: list[tuple[Pipe, Block]]
    otherwise: Block | None
    slots: tuple[int, ...] = ()


@dataclass(slots=True)
class Range(Node):
    """`range`."""

    pipe: Pipe
    body: Block
    otherwise: Block | None
    slots: tuple[int, ...] = ()


@dataclass(slots=True)
class Call(Node):
    """`template "name" pipeline`, also what is left of a `block`."""

    name: bytes
    pipe: Pipe | None

    def __str__(self) -> str:
        with_pipe = f" {self.pipe}" if self.pipe else ""
        return "{{template " + quote(self.name) + with_pipe + "}}"


@dataclass(slots=True)
class Break(Node):
    """`break`."""


@dataclass(slots=True)
class Continue(Node):
    """`continue`."""


@dataclass(slots=True)
class Definition:
    """A template that others can call, or the main one.

    Args:
        slots: how many variables it has, with the dollar.
    """

    name: bytes
    body: Block
    slots: int


def is_empty(node: Node) -> bool:
    """Whether a definition of this is none: nothing but space."""
    if isinstance(node, Block):
        return all(map(is_empty, node.nodes))
    return isinstance(node, Text) and not node.value.strip()
