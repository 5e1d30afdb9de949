"""docs/template-functions.md, made from the table of functions that templates can call.

    python -m tests.docs.function_reference --write

writes it, `--check` ends with 1 if it differs: `make generate` and `make check` call them.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from keyferry.gotemplate.functions.table import FUNCTIONS
from keyferry.gotemplate.objects import FIELDS, METHODS
from keyferry.gotemplate.signatures import Function

from .markdown import ROOT

PAGE: Final = ROOT / "docs/template-functions.md"
WIDTH: Final = 110
GROUPS: Final = (
    *("Built in", "Strings", "Letter case", "Encodings and checksums", "Defaults", "JSON and YAML", "Maps"),
    *("Lists", "Numbers", "Types", "Regular expressions", "Dates", "URLs", "Paths", "Versions"),
    *("PEM and certificate chains", "PKCS#12", "JSON web keys", "Keys and certificates", "Encryption"),
    *("Passwords", "Random values"),
)
"""Headings, in the order of the page; every group of the table is one of them."""
HEAD: Final = """\
# Template functions

<!-- generated from the code by make generate; do not edit -->

All {count} functions that [templates](templates.md) can call, some under two names. They are those of Go's
text/template and of Sprig, and those that the established operator has for keys, certificates and YAML.

An entry names what a function takes, in order, and what it gives. A pipe hands over the last argument:
`"abcdef" | trunc 3` is `trunc 3 "abcdef"`. Types are Go's; `any` is `interface {{}}` in error texts, and
`...any` any number of them. Texts are counted and cut in bytes. Examples show what is printed.

A function whose name begins with `must` is told of with the one that it is like. Where that gives an empty
value for input that it cannot take, this one fails, and with it the template.
"""
OBJECTS: Final = """
## Objects

Some functions give objects. Their fields and methods follow a dot, with arguments behind them:
`(semver "1.2.3").Minor`, `now.AddDate 0 1 0`.
"""
LEFT_OUT: Final = frozenset({"AppendFormat", "AppendText", "AppendBinary", "GoString", "GobEncode", "Value"})
"""Methods that Go's own libraries call; they work, and nobody looks for them."""

_WORD: Final = re.compile(r"(?:`[^`]*`|[^\s`])+")


def page() -> str:
    """The text of the whole page."""
    if unknown := {one.group for one in FUNCTIONS.values()} - set(GROUPS):
        raise ValueError(f"GROUPS lacks {sorted(unknown)}")
    parts = [HEAD.format(count=len(FUNCTIONS)), *_index()]
    for group in GROUPS:
        parts.append(f"\n## {group}\n")
        parts += [_entry(names) for names in _entries(group)]
    return "".join([*parts, OBJECTS, *_objects()])


def _index() -> Iterator[str]:
    for group in GROUPS:
        names = [names[0] for names in _entries(group)]
        links = ", ".join(f"[{name}](#{name.lower()})" for name in names)
        yield f"\n{filled(f'{group}: {links}')}\n"


def _entries(group: str) -> list[list[str]]:
    """The names of each function of a group; those that are told of with another are left out."""
    by_call: dict[int, list[str]] = {}
    for name, function in FUNCTIONS.items():
        if function.group == group and _like(name) is None:
            by_call.setdefault(id(function.call), []).append(name)
    return sorted(by_call.values(), key=lambda names: names[0].lower())


def _like(name: str) -> str | None:
    """The function that a must… function is like."""
    if not name.startswith("must"):
        return None
    rest = name.removeprefix("must").lstrip("_")
    base = rest[:1].lower() + rest[1:]
    return base if base in FUNCTIONS else None


def _entry(names: Sequence[str]) -> str:
    name, *others = names
    function = FUNCTIONS[name]
    also = f" Also `{'`, `'.join(others)}`." if others else ""
    lines = ["", f"### {name}", "", *(filled(f"{_call(function)}{also}"), "")]
    for paragraph in told(function):
        lines += [filled(paragraph), ""]
    twins = [one for one in FUNCTIONS if _like(one) in names]
    if twins:
        first = told(FUNCTIONS[twins[0]])[0]
        same = first == f"Like {name}."
        spans = " and ".join(f"`{one}`" for one in twins)
        lines += [
            filled(f"{spans} does the same." if same else f"{spans}: {first[0].lower()}{first[1:]}"),
            "",
        ]
    return "\n".join(lines[:-1]) + "\n"


def told(function: Function) -> list[str]:
    """The paragraphs of a function's docstring, each on one line."""
    return [" ".join(one.split("\n")) for one in inspect.cleandoc(function.doc).split("\n\n")]


def _call(function: Function, receiver: str = "") -> str:
    """How it is called, as a code span: name, arguments with their types, result."""
    signature = function.signature
    types = [_type(one) for one in signature.params]
    if signature.variadic:
        types[-1] = f"...{types[-1]}"
    names = [one.name.strip("_") for one in inspect.signature(function.call).parameters.values()]
    names = names[2 if receiver else 1 :]
    if len(names) != len(types):
        raise ValueError(f"{function.name} has {len(types)} parameters, and its code {len(names)}")
    arguments = "".join(f" ({name} {type_})" for name, type_ in zip(names, types, strict=True))
    return f"`{receiver}{function.name}{arguments} → {_type(signature.result)}`"


def _type(name: str) -> str:
    return name.replace("reflect.Value", "any").replace("interface {}", "any").replace("uint8", "byte")


def _objects() -> Iterator[str]:
    kinds = {**dict.fromkeys(FIELDS), **dict.fromkeys(METHODS)}
    for kind in sorted(kinds, key=lambda one: one.go_type.lstrip("*").lower()):
        if kind.go_type == "semver.Version":
            continue  # what methods of *semver.Version give: the same, less the comparisons
        yield f"\n### {kind.go_type.lstrip('*')}\n\n"
        for field in FIELDS.get(kind, ()):
            yield f"- `.{field} → string`: In PEM.\n"
        for method in METHODS.get(kind, {}).values():
            if not method.signature.refusal(method.name) and method.name not in LEFT_OUT:
                text = " ".join(told(method))
                yield filled(f"- {_call(method, receiver='.')}: {text}", indent="  ") + "\n"


def filled(text: str, indent: str = "") -> str:
    """The text in lines that fit a screen. A code span is not broken, unless it fills more than one."""
    words = [part for word in _WORD.findall(text) for part in _parts(word)]
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(indent + word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def _parts(word: str) -> list[str]:
    return [word] if len(word) <= WIDTH - 2 else word.split(" ")


EXAMPLE: Final = re.compile(r"`([^`]+)` is `([^`]*)`")


def examples() -> Iterator[tuple[str, str, str]]:
    """What the docstrings claim: name, expression, and what it prints."""
    every: list[tuple[str, Function]] = [*FUNCTIONS.items()]
    every += [(f"{kind.go_type}.{name}", one) for kind, them in METHODS.items() for name, one in them.items()]
    for name, function in every:
        for expression, printed in EXAMPLE.findall(" ".join(told(function))):
            yield name, expression, printed


def main(arguments: Sequence[str]) -> int:
    """Write the page, or tell whether it is what it should be."""
    text = page()
    same = PAGE.is_file() and PAGE.read_text("utf-8") == text
    if arguments == ["--write"]:
        if not same:
            PAGE.write_text(text, "utf-8")
            sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
        return 0
    if arguments == ["--check"]:
        if not same:
            sys.stderr.write(f"{PAGE.relative_to(ROOT)} differs from the functions: run 'make generate'\n")
        return 0 if same else 1
    sys.stderr.write(f"{__doc__}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
