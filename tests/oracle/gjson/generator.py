"""Documents and paths for the comparison with Go: made by a grammar, then often broken. Deterministic by seed.

A small alphabet of keys and values makes paths hit, and makes duplicates and near misses common.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

KEYS = [
    "a", "b", "c", "a", "b", "aa", "ab", "a.b", "a|b", "a*", "*", "?", "#", "@this", "@keys", "!a", "0", "1", "",
    "x y", "é", "日本", "a\\b", 'q"q', "~", "{a}", "[0]", "(", "Aa", "\u2028", "<&>", "a:b", "_", "-", "\x7f",
]  # fmt: skip
NUMBERS = [
    "0", "1", "2", "10", "-1", "-0", "1.50", "1e6", "1E+2", "-2.5e-3", "1e400", "-1e999", "1e-400", "0.1", "1.0",
    "123456789012345678901234567890", "9007199254740993", "-9007199254740993", "1e21", "1e22", "5e-324",
    "2.2250738585072014e-308", "0.30000000000000004", "18446744073709551616", "9223372036854775808", "01", "1.", ".5",
    "+5", "-", "+", "1_000", "0x10", "0x1p4", "0x_1.8p-1", "nan", "NaN", "inf", "-inf", "Infinity", "iNf", "infin",
    "1e", "1e+", "--1", "1-2", "12abc", "0b1", "1__0", "1_e5", "0x1p99999", "1e00000000000000000005", "N", "i", "n1",
    "4.35", "100.0", "1e15", "123456.789e3", "0.000001", "1.7976931348623157e308", "1.7976931348623159e308", "-.5e1",
]  # fmt: skip
STRINGS = [
    '"a"', '"b"', '"c"', '"ab"', '"abc"', '""', '"1"', '"true"', '"T"', '"False"', '"0"', '"null"', '"a.b"', '"A"',
    '"é"', '"日本"', '"\\u00e9"', '"\\n"', '"a\\"b"', '"\\\\"', '"\\\\\\""', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00x"',
    '"\\ud83dx"', '"\\ud83d\\u0041"', '"\\ud83d\\uZZZZ"', '"\\u12"', '"\\uZZZZ"', '"\\x"', '"\\u0000"', '"\\/\\b\\f\\r\\t"',
    '"a\tb"', '"a\nb\\n"', '"\\\x01"', '"a b"', '"<&>"', '"{\\"a\\":1}"', '"[1,2]"', '"a*c"', '"zz"', '"\u2028"', '"\x7f"',
    '"-9223372036854775808"', '"tRuE"',
]  # fmt: skip
WORDS = [
    "true",
    "false",
    "null",
    "true",
    "false",
    "null",
    "tru",
    "nul",
    "t",
    "f",
    "n",
    "nulls",
    "TRUE",
    "trueish",
]
SPACES = ["", "", "", "", "", " ", "  ", "\n", "\t", "\r\n", "\x00", "\u00a0", "\x0b"]
SOUP = [
    "{", "}", "[", "]", ":", ",", '"', "\\", '"a"', '"b"', "a", "b", "1", "-", "null", "true", "nan", " ", "\n", '"a":',
    '{"a":', "[1", "(", ")", '\\"', "1e5", "'", "é", '"a":1', "[[", "]]", "{}", "[]", "\x00", "i", "N", "+",
]  # fmt: skip
STRING_SOUP = [
    "a", "b", "é", "\\\\", '\\"', "\\n", "\\u00e9", "\\ud83d", "\\ude00", "\\udbff\\udfff", "\\u0000", "\\x", "\\u12", "\\/", "\t", "<",
    "\u2029", "\U0001f600", "\\ud800\\u", "\\uD83D\\uDE0", "\\", "{", "]", ":", ",", "\x7f", "*",
]  # fmt: skip
PATH_SOUP = [
    "a", "b", "c", ".", ".", "|", "#", "(", ")", "[", "]", "{", "}", "*", "?", "\\", "@", "!", ":", ",", '"', "=", "==", "<",
    ">", "%", "!=", "!%", "~", "0", "1", "2", " ", "..", "@this", "@reverse", "@keys", "true", "null", "é", "#(", ")#", "@dig:",
]  # fmt: skip
OPERATORS = [
    "=",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "%",
    "!%",
    "",
    "=",
    "==",
    "!",
    "=<",
    " = ",
    "== ",
    "===",
    "%%",
]
QUERY_VALUES = [
    "1", "2", "10", "1.5", '"a"', '"b"', '"ab"', "a", "b", "true", "false", "null", '"a*"', '"*b*"', "a?c", "~true", "~false",
    "~null", "~*", "~x", "~", '"~true"', '"\\""', '"\\u00e9"', "é", '"é"', "", "nan", "-1", "1e6", '"', '"a', " a ", "(a)", "[a]",
    '"\\n"', '"a\\\\*"', "*a*b*", "?*?", '"A"', "0x1p4", '"1"',
]  # fmt: skip
MODIFIERS = [
    "@this", "@reverse", "@ugly", "@pretty", "@valid", "@flatten", "@join", "@keys", "@values", "@tostr", "@fromstr", "@group",
    '@pretty:{"sortKeys":true}', '@pretty:{"indent":"\\t","prefix":" "}', '@pretty:{"width":0}', '@pretty:{"width":20}',
    '@pretty:{"width":-1,"indent":"x"}', '@pretty:{"width":"7","sortKeys":"T"}', '@flatten:{"deep":true}', '@flatten:{"deep":0}',
    '@join:{"preserve":true}', '@join:{"preserve":"false"}', "@dig:a", "@dig:b.0", "@dig:#", "@dig:*", "@dig", "@dig:@this",
    "@dig:a|@keys", "@nope", "@this:", "@this:x", '@this:"a|b"', "@flatten:{deep:true}", "@pretty:1", "@keys:{", "@ugly:(a|b)c",
    "@tostr|@fromstr", "@tostr|@tostr", "@valid|@pretty", '@pretty:{"width":1e30}', "@reverse|@reverse", "@fromstr|a", "@join|a",
    '@pretty:{"width":15,"sortKeys":1}', "@group|0", "@values|0", "@keys|#", "@this|@this", "@dig:#(a)#", "@pretty:[1,2]",
]  # fmt: skip
STATICS = [
    "!true", "!false", "!null", "!nan", "!inf", "!TRUE", "!x", '!"a"', '!"a|b"', "!1", "!-1.50", "!+1", '!{"a":1}', "![1,2]",
    '![1,{"a":2}].1', '!{"a":[1,2]}|a', "!", "!İnf", "!é",
]  # fmt: skip


class Generator:
    """An endless row of cases.

    Args:
        seed: the same seed gives the same cases.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.keys = KEYS
        self.trails: list[list[str | int]] = []  # the way to each value of the document

    def cases(self, count: int) -> Iterator[tuple[bytes, str]]:
        """So many pairs of document and path; some paths share a document."""
        document = b""
        for number in range(count):
            if number % 4 == 0:
                document = self.document()
            yield document, self.path()

    def document(self) -> bytes:
        """A document: well formed, broken, or only made of tokens."""
        self.keys = self.random.choices(KEYS, k=self.random.randint(1, 4))
        self.trails = []
        choice = self.random.random()
        if choice < 0.06:
            return self._invalid_utf8("".join(self._some(SOUP, 14)).encode())
        depth = self.random.choice([1, 2, 2, 3, 3, 4])
        text = self._value(depth, []) if choice < 0.2 else self._container(depth, [])
        if choice > 0.9:
            text = "\n".join([text, *(self._value(2, []) for _ in range(self.random.randrange(3)))])
        document = (self._space() + text + self._space()).encode()
        if self.random.random() < 0.3:
            document = self._broken(document)
        return document

    def path(self) -> str:
        """A path: mostly by the grammar, else only made of tokens, or broken."""
        choice = self.random.random()
        if choice < 0.08:
            return "".join(self._some(PATH_SOUP, 9))
        depth = self.random.choice([0, 1, 1, 2])
        path = self._along_trail(depth) if self.trails and choice < 0.8 else self._path(depth)
        if choice > 0.92:
            path = self._broken_text(path)
        return path

    def _some(self, of: list[str], most: int) -> list[str]:
        return self.random.choices(of, k=self.random.randint(0, most))

    def _space(self) -> str:
        return self.random.choice(SPACES)

    def _value(self, depth: int, trail: list[str | int]) -> str:
        self.trails.append(trail)
        choice = self.random.random()
        if depth > 0 and choice < 0.5:
            return self._container(depth, trail)
        if choice < 0.7:
            return self.random.choice(STRINGS) if choice < 0.66 else self._string()
        if choice < 0.9:
            return self.random.choice(NUMBERS) if choice < 0.86 else self._number()
        return self.random.choice(WORDS)

    def _string(self) -> str:
        body = "".join(self._some(STRING_SOUP, 8))
        return f'"{body}"'

    def _number(self) -> str:
        if self.random.random() < 0.5:
            return "".join(self.random.choices("0123456789.eE+-_xXpPaf", k=self.random.randint(1, 9)))
        return repr(self.random.uniform(-1, 1) * 10.0 ** self.random.randint(-320, 308))

    def _container(self, depth: int, trail: list[str | int]) -> str:
        space = self._space
        size = self.random.choice([0, 1, 2, 2, 3, 3, 4, 6])
        if self.random.random() < 0.5:
            keys = self.random.choices(self.keys, k=2) if self.random.random() < 0.4 else []
            values = [
                self._object(keys, depth - 2, [*trail, at]) if keys else self._value(depth - 1, [*trail, at])
                for at in range(size)
            ]
            return f"[{space()}{(space() + ',' + space()).join(values)}{space()}]"
        return self._object(self.random.choices(self.keys, k=size), depth - 1, trail)

    def _object(self, keys: list[str], depth: int, trail: list[str | int]) -> str:
        space = self._space
        members = [
            f"{self._quoted(key)}{space()}:{space()}{self._value(depth, [*trail, key])}" for key in keys
        ]
        return f"{{{space()}{(',' + space()).join(members)}{space()}}}"

    def _quoted(self, key: str) -> str:
        quoted = key.replace("\\", "\\\\").replace('"', '\\"')
        if key and self.random.random() < 0.05:
            quoted = f"\\u{ord(key[0]):04x}" + key[1:].replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}"'

    def _along_trail(self, depth: int) -> str:
        """A path to a value that there is, or a little beside it."""
        trail = self.random.choice(self.trails)
        path = ""
        for number, component in enumerate(trail):
            choice = self.random.random()
            if number:
                path += self.random.choice("........|")
            if choice < 0.75:
                path += str(component) if isinstance(component, int) else self._escaped(component)
            elif isinstance(component, int):
                path += self.random.choice(["#", self._query(depth), self._query(0), "0", "1"])
            else:
                path += self.random.choice(["*", "?", component[:1] + "*", "*" + component[-1:], component])
        for _ in range(self.random.choice([0, 0, 0, 0, 1, 2])):
            path += self.random.choice(".|") + self._follow(depth)
        return path

    def _escaped(self, key: str) -> str:
        every = self.random.random() < 0.05
        return "".join(f"\\{sign}" if every or not sign.isalnum() else sign for sign in key)

    def _broken(self, document: bytes) -> bytes:
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randint(0, len(document))
            choice = self.random.randrange(6)
            if choice == 0:
                document = document[:at] + document[at + self.random.randint(1, 3) :]
            elif choice == 1:
                document = document[:at] + self.random.choice(SOUP).encode() + document[at:]
            elif choice == 2:
                document = document[:at]
            elif choice == 3:
                other = self.random.randint(0, len(document))
                document = document[:at] + document[other : other + 8] + document[at:]
            elif choice == 4:
                document = self._invalid_utf8(document)
            else:
                document += self.random.choice(SOUP).encode()
        return document

    def _invalid_utf8(self, document: bytes) -> bytes:
        if self.random.random() < 0.5:
            return document
        at = self.random.randint(0, len(document))
        bad = self.random.choice(
            [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe2\x80", b"\xef\xbf\xbd", b"\xf0\x9f\x98", b"\x80"]
        )
        return document[:at] + bad + document[at:]

    def _path(self, depth: int) -> str:
        choice = self.random.random()
        if depth > 0 and choice < 0.12:
            path = self._multipath(depth - 1)
        elif choice < 0.24:
            path = self.random.choice(MODIFIERS)
        elif choice < 0.28:
            path = self.random.choice(STATICS)
        elif choice < 0.32:
            path = ".." + self._component(depth)
        else:
            path = self._component(depth)
        for _ in range(self.random.choice([0, 0, 0, 0, 1, 1, 2, 3])):
            path += self.random.choice("....||") + self._follow(depth)
        return path

    def _follow(self, depth: int) -> str:
        choice = self.random.random()
        if choice < 0.4:
            return self.random.choice(MODIFIERS)
        if depth > 0 and choice < 0.55:
            return self._multipath(depth - 1)
        if choice < 0.6:
            return self.random.choice(STATICS)
        return self._component(depth)

    def _component(self, depth: int) -> str:
        choice = self.random.random()
        if choice < 0.45:
            key = self.random.choice(self.keys if self.random.random() < 0.95 else KEYS)
            return key if self.random.random() < 0.4 else self._escaped(key)
        if choice < 0.6:
            return self.random.choice(
                ["0", "1", "2", "0", "1", "-1", "00", "18446744073709551617", "9" * 70, "3"]
            )
        if choice < 0.7:
            return self.random.choice(
                ["*", "?", "a*", "*b", "*a*", "a?", "**", "\\*", "a\\**", "*\\?", "?*", "*é", "é?", "*\\\\*"]
            )
        if choice < 0.8:
            return self.random.choice(["#", "#", "#", "#a", "a#", "##", "#0"])
        return self._query(depth)

    def _query(self, depth: int) -> str:
        choice = self.random.random()
        inner = (
            ""
            if choice < 0.3
            else self._path(depth - 1)
            if depth > 0 and choice < 0.6
            else self._component(0)
        )
        brackets = self.random.choice(["()", "()", "()", "[]"])
        comparison = self.random.choice(OPERATORS)
        if comparison:
            comparison += self.random.choice(QUERY_VALUES)
        return f"#{brackets[0]}{inner}{comparison}{brackets[1]}{self.random.choice(['', '', '#', '#', 'a'])}"

    def _multipath(self, depth: int) -> str:
        brackets = self.random.choice(["{}", "[]"])
        parts = []
        for _ in range(self.random.randint(0, 3)):
            name = self.random.choice(
                ["", "", "a:", '"b":', '"é\\n":', "<x>:", '"bad:', "日:", '"\\x":', "a b:"]
            )
            parts.append(name + self._path(depth))
        return brackets[0] + ",".join(parts) + brackets[1] + self.random.choice(["", "", "", "", "x"])

    def _broken_text(self, path: str) -> str:
        at = self.random.randint(0, len(path))
        if self.random.random() < 0.5:
            return path[:at] + self.random.choice(PATH_SOUP) + path[at:]
        return path[:at] + path[at + 1 :]
