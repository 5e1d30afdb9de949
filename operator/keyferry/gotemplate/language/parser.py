"""Tokens to nodes, with the checks and the error texts of text/template/parse.

Errors name the line of the token that was read last, as Go's do. Variables are resolved here: each has a slot
in its template's frame.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NoReturn

from keyferry.gotemplate.budget import Limits
from keyferry.gotemplate.errors import ParseError
from keyferry.gotemplate.language import numbers
from keyferry.gotemplate.language.lexer import Kind, Lexer, Token
from keyferry.gotemplate.language.nodes import (
    Action,
    Block,
    Bool,
    Branch,
    Break,
    Call,
    Chain,
    Command,
    Continue,
    Definition,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Pipe,
    Range,
    String,
    Text,
    Variable,
    is_empty,
    text_of,
)
from keyferry.gotemplate.language.quoting import QuotingError, quote, unquote

_OPERANDS = frozenset(
    {
        Kind.BOOL,
        Kind.CHAR_CONSTANT,
        Kind.COMPLEX,
        Kind.DOT,
        Kind.FIELD,
        Kind.IDENTIFIER,
        Kind.NUMBER,
        Kind.NIL,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
        Kind.LEFT_PAREN,
    }
)
_LITERALS = (Bool, Dot, Nil, Number, String)
_MAX_RANGE_VARIABLES = 2


class _End(Node):
    """`end`, which closes a list."""

    __slots__ = ()

    def __str__(self) -> str:
        return "{{end}}"


class _Else(Node):
    """`else`, which closes a list and begins another."""

    __slots__ = ()

    def __str__(self) -> str:
        return "{{else}}"


class _Scope:
    """The variables of one definition while it is parsed.

    Attributes:
        journal: those in sight in order, each with whether its name and its slot are new; to be taken back.
        slots: by the name of each in sight where it may be, the innermost last.
        block: those declared in the innermost control structure, or outside of all.
        size: slots given out.
        line: of the token that this definition has read last.
        ranges: loops around.
        action: line at which the current action began; 0 outside.
    """

    __slots__ = ("action", "block", "journal", "line", "ranges", "size", "slots")

    def __init__(self) -> None:
        self.journal: list[tuple[bytes, bool, bool]] = []
        self.slots: dict[bytes, list[int]] = {b"$": [0]}
        self.block: dict[bytes, int] = {}
        self.size = 1
        self.line = 0
        self.ranges = 0
        self.action = 0

    def see(self, name: bytes) -> None:
        """From here on the name may be used."""
        is_new = name not in self.slots
        if is_new:
            self.slots[name] = []
        self.journal.append((name, is_new, False))

    def place(self, at: int, name: bytes) -> int:
        """The slot of what the journal's entry there has declared, which the name means from here on.

        A variable declared again in the same block takes the place of the one that it hides.
        """
        slot = self.block.get(name)
        if slot is None:
            slot = self.block[name] = self.size
            self.size += 1
        slots = self.slots[name]
        if not slots or slots[-1] != slot:
            slots.append(slot)
            self.journal[at] = (name, self.journal[at][1], True)
        return slot

    def forget(self, length: int) -> None:
        """Take back what the journal has beyond that length."""
        while len(self.journal) > length:
            name, is_new, has_slot = self.journal.pop()
            if has_slot:
                self.slots[name].pop()
            if is_new:
                del self.slots[name]


class Parser:
    """Reads one text.

    Args:
        name: of the template, for error texts.
        text: the template.
        delimiters: left and right.
        functions: the names that may be called.
        limits: nesting and tokens count here.
    """

    def __init__(
        self,
        name: str,
        text: bytes,
        *,
        delimiters: tuple[bytes, bytes],
        functions: Container[str],
        limits: Limits,
    ) -> None:
        self._name = name
        self._functions = functions
        self._nesting = limits.nesting
        self._depth = 0
        self._tokens = Lexer(text, *delimiters, limits.tokens).run()
        self.tokens = len(self._tokens)
        self._at = 0
        self._read = 0
        self._scope = _Scope()
        self.definitions: dict[bytes, Definition] = {}

    def parse(self) -> dict[bytes, Definition]:
        """All templates of the text, the main one by its own name.

        Raises:
            ParseError: the text is no template.
        """
        try:
            body = Block(self._peek().position)
            while self._peek().kind is not Kind.EOF:
                node = self._definition_or_node()
                if isinstance(node, _End | _Else):
                    self._fail(f"unexpected {node}")
                if node is not None:
                    body.nodes.append(node)
            self._add(self._name.encode("utf-8", "surrogateescape"), body)
        except RecursionError:
            self._fail("max expression depth exceeded")
        return self.definitions

    # -- tokens

    def _next(self) -> Token:
        at, tokens = self._at, self._tokens
        # Behind the end there is an end again.
        token = tokens[at] if at < len(tokens) else Token(Kind.EOF, 0, b"", tokens[-1].line)
        self._at = at + 1
        if at >= self._read:
            self._read = at + 1
            self._scope.line = token.line
        return token

    def _back(self) -> None:
        self._at -= 1

    def _peek(self) -> Token:
        token = self._next()
        self._at -= 1
        return token

    def _next_word(self) -> Token:
        """The next token that is no space."""
        token = self._next()
        while token.kind is Kind.SPACE:
            token = self._next()
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._at -= 1
        return token

    def _expect(self, context: str, *kinds: Kind) -> Token:
        token = self._next_word()
        if token.kind not in kinds:
            self._unexpected(token, context)
        return token

    # -- errors

    def _fail(self, detail: str) -> NoReturn:
        line = self._scope.line
        raise ParseError(
            f"template: {self._name}:{line}: {detail}", name=self._name, line=line, detail=detail
        ) from None

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind is Kind.ERROR:
            said = token.described()
            extra = ""
            if self._scope.action and self._scope.action != token.line:
                extra = f" in action started at {self._name}:{self._scope.action}"
                if said.endswith(" action"):
                    extra = extra.removeprefix(" in action")
            self._fail(said + extra)
        self._fail(f"unexpected {token.described()} in {context}")

    # -- definitions

    def _definition_or_node(self) -> Node | None:
        """A node of the main template; None where a definition was read instead."""
        if self._peek().kind is Kind.LEFT:
            start = self._at
            self._next()
            word = self._next_word()
            if word.kind is Kind.KEYWORD and word.value == b"define":
                self._define()
                return None
            self._at = start
        return self._text_or_action()

    def _define(self) -> None:
        outer, self._scope = self._scope, _Scope()
        name = self._unquoted(self._expect("define clause", Kind.STRING, Kind.RAW_STRING).value)
        self._expect("define clause", Kind.RIGHT)
        body, end = self._list()
        if not isinstance(end, _End):
            self._fail(f"unexpected {end} in define clause")
        self._add(name, body)
        self._scope = outer

    def _add(self, name: bytes, body: Block) -> None:
        known = self.definitions.get(name)
        if known is None or is_empty(known.body):
            self.definitions[name] = Definition(name, body, self._scope.size)
        elif not is_empty(body):
            self._fail(f"template: multiple definition of template {quote(name)}")

    def _unquoted(self, literal: bytes) -> bytes:
        try:
            return unquote(literal)
        except QuotingError:
            return self._fail("invalid syntax")

    # -- lists and actions

    def _list(self) -> tuple[Block, Node]:
        """Nodes up to `end` or `else`, and that."""
        body = Block(self._peek_word().position)
        while self._peek_word().kind is not Kind.EOF:
            node = self._text_or_action()
            if isinstance(node, _End | _Else):
                return body, node
            body.nodes.append(node)
        return self._fail("unexpected EOF")

    def _text_or_action(self) -> Node:
        token = self._next_word()
        position, value = token.position, token.value
        if token.kind is Kind.TEXT:
            return Text(position, value)
        if token.kind is Kind.FIELD_ACTION:
            command = Command(position, [Field(position, [value[1:]])])
            return Action(position, Pipe(position, commands=[command]))
        if token.kind is not Kind.LEFT:
            self._unexpected(token, "input")
        scope = self._scope
        scope.action = token.line
        node = self._action()
        scope.action = 0
        return node

    def _action(self) -> Node:
        token = self._next_word()
        if token.kind is Kind.KEYWORD and token.value != b"define":
            return self._keyword(token)
        self._back()
        token = self._peek()
        return Action(token.position, self._pipeline("command", Kind.RIGHT))

    def _keyword(self, token: Token) -> Node:
        match token.value:
            case b"if" | b"with" as keyword:
                return self._branch(keyword.decode())
            case b"range":
                return self._range()
            case b"end":
                return _End(self._expect("end", Kind.RIGHT).position)
            case b"else":
                return self._else()
            case b"template":
                return self._call()
            case b"block":
                return self._block()
        self._leave_loop(token.value.decode())
        return Break(token.position) if token.value == b"break" else Continue(token.position)

    def _leave_loop(self, keyword: str) -> None:
        token = self._next_word()
        if token.kind is not Kind.RIGHT:
            self._unexpected(token, "{{" + keyword + "}}")
        if not self._scope.ranges:
            self._fail("{{" + keyword + "}} outside {{range}}")

    def _else(self) -> Node:
        token = self._peek_word()
        if token.kind is Kind.KEYWORD and token.value in (b"if", b"with"):
            return _Else(token.position)
        return _Else(self._expect("else", Kind.RIGHT).position)

    # -- control structures

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > self._nesting:
            self._fail("max expression depth exceeded")

    def _branch(self, keyword: str) -> Branch:
        """`if` and `with`: a chain of `else if` is one node, however long."""
        self._deeper()
        scope = self._scope
        visible, first, outer = len(scope.journal), scope.size, scope.block
        scope.block = {}
        cases: list[tuple[Pipe, Block]] = []
        otherwise: Block | None = None
        while True:
            pipe = self._pipeline(keyword, Kind.RIGHT)
            body, end = self._list()
            cases.append((pipe, body))
            if isinstance(end, _End):
                break
            following = self._peek()
            if following.kind is Kind.KEYWORD and following.value == keyword.encode():
                self._next()
                continue
            otherwise, end = self._list()
            if not isinstance(end, _End):
                self._fail(f"expected end; found {end}")
            break
        scope.forget(visible)
        scope.block = outer
        self._depth -= 1
        return Branch(cases[0][0].position, keyword, cases, otherwise, tuple(range(first, scope.size)))

    def _range(self) -> Range:
        self._deeper()
        scope = self._scope
        visible, first, outer = len(scope.journal), scope.size, scope.block
        scope.block = {}
        pipe = self._pipeline("range", Kind.RIGHT)
        scope.ranges += 1
        body, end = self._list()
        scope.ranges -= 1
        otherwise = None
        if isinstance(end, _Else):
            otherwise, end = self._list()
            if not isinstance(end, _End):
                self._fail(f"expected end; found {end}")
        scope.forget(visible)
        scope.block = outer
        self._depth -= 1
        return Range(pipe.position, pipe, body, otherwise, tuple(range(first, scope.size)))

    def _call(self) -> Call:
        token = self._next_word()
        name = self._template_name(token, "template clause")
        pipe = None
        if self._next_word().kind is not Kind.RIGHT:
            self._back()
            pipe = self._pipeline("template clause", Kind.RIGHT)
        return Call(token.position, name, pipe)

    def _block(self) -> Call:
        token = self._next_word()
        name = self._template_name(token, "block clause")
        pipe = self._pipeline("block clause", Kind.RIGHT)
        outer, self._scope = self._scope, _Scope()
        self._deeper()
        body, end = self._list()
        self._depth -= 1
        definition, self._scope = self._scope, outer
        if not isinstance(end, _End):
            self._fail(f"unexpected {end} in block clause")
        self._scope = definition
        self._add(name, body)
        self._scope = outer
        return Call(token.position, name, pipe)

    def _template_name(self, token: Token, context: str) -> bytes:
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            self._unexpected(token, context)
        return self._unquoted(token.value)

    # -- pipelines

    def _pipeline(self, context: str, end: Kind) -> Pipe:
        pipe = Pipe(self._peek_word().position)
        declared = len(self._scope.journal)
        self._declarations(pipe, context)
        while True:
            token = self._next_word()
            if token.kind is end:
                self._check_pipeline(pipe, context)
                if pipe.variables and not pipe.assigns:
                    self._give_slots(pipe, declared)
                return pipe
            if token.kind not in _OPERANDS:
                self._unexpected(token, context)
            self._back()
            pipe.commands.append(self._command())

    def _declarations(self, pipe: Pipe, context: str) -> None:
        while (token := self._peek_word()).kind is Kind.VARIABLE:
            start = self._at
            self._next()
            following = self._peek_word()
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                pipe.assigns = following.kind is Kind.ASSIGN
                self._next_word()
                self._declare(pipe, token)
                return
            if following.kind is not Kind.CHAR or following.value != b",":
                self._at = start
                return
            self._next_word()
            self._declare(pipe, token)
            if context != "range" or len(pipe.variables) >= _MAX_RANGE_VARIABLES:
                self._fail(f"too many declarations in {context}")
            if self._peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.RIGHT_PAREN):
                self._fail("range can only initialize variables")

    def _declare(self, pipe: Pipe, token: Token) -> None:
        """Note a variable. Which kind of declaration it is may be known only at the next one.

        From here on its name may be used, but means what it meant before until the pipeline has its value.
        """
        pipe.variables.append(Variable(token.position, [token.value]))
        if pipe.assigns:
            for one in pipe.variables:
                one.slots = self._slots(one.names[0])
        self._scope.see(token.value)

    def _give_slots(self, pipe: Pipe, declared: int) -> None:
        for offset, variable in enumerate(pipe.variables):
            variable.slots = (self._scope.place(declared + offset, variable.names[0]),)

    def _check_pipeline(self, pipe: Pipe, context: str) -> None:
        if not pipe.commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], start=2):
            if isinstance(command.args[0], _LITERALS):
                self._fail(f"non executable command in pipeline stage {stage}")

    def _slots(self, name: bytes) -> tuple[int, ...]:
        """Where a variable of the name may be found, the innermost first."""
        return tuple(reversed(self._scope.slots.get(name, ())))

    def _command(self) -> Command:
        command = Command(self._peek_word().position)
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                command.args.append(operand)
            token = self._next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.RIGHT_PAREN):
                self._back()
            elif token.kind is not Kind.PIPE:
                self._unexpected(token, "operand")
            break
        if not command.args:
            self._fail("empty command")
        return command

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or self._peek().kind is not Kind.FIELD:
            return node
        position = self._peek().position
        names: list[bytes] = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().value[1:])
        if isinstance(node, Field):
            return Field(position, node.names + names)
        if isinstance(node, Variable):
            return Variable(position, node.names + names, node.slots)
        if isinstance(node, _LITERALS):
            self._fail(f"unexpected . after term {quote(str(node).encode())}")
        return Chain(position, node, names)

    def _term(self) -> Node | None:
        token = self._next_word()
        position, value = token.position, token.value
        match token.kind:
            case Kind.FIELD:
                return Field(position, [value[1:]])
            case Kind.STRING | Kind.RAW_STRING:
                return String(position, value, self._unquoted(value))
            case Kind.IDENTIFIER:
                return self._function(token)
            case Kind.VARIABLE:
                return self._variable(token)
            case Kind.LEFT_PAREN:
                self._deeper()
                pipe = self._pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
                self._depth -= 1
                return pipe
            case Kind.DOT:
                return Dot(position)
            case Kind.BOOL:
                return Bool(position, value == b"true")
            case Kind.NIL:
                return Nil(position)
            case Kind.NUMBER | Kind.COMPLEX | Kind.CHAR_CONSTANT:
                return self._number(token)
        self._back()
        return None

    def _function(self, token: Token) -> Identifier:
        name = text_of(token.value)
        if name not in self._functions:
            self._fail(f"function {quote(token.value)} not defined")
        return Identifier(token.position, name)

    def _variable(self, token: Token) -> Variable:
        if token.value not in self._scope.slots:
            self._fail(f"undefined variable {quote(token.value)}")
        return Variable(token.position, [token.value], self._slots(token.value))

    def _number(self, token: Token) -> Number:
        try:
            if token.kind is Kind.CHAR_CONSTANT:
                return numbers.character(token.position, token.value)
            return numbers.number(token.position, token.value)
        except QuotingError as error:
            self._fail(str(error) or "invalid syntax")
        except numbers.NumberError as error:
            self._fail(str(error))
