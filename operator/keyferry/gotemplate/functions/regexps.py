"""Sprig's functions on regular expressions.

Rules: https://pkg.go.dev/regexp and https://github.com/google/re2/wiki/Syntax. `goregexp` does the work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text.goregexp import (
    META,
    META_BYTE,
    BadPattern,
    Pattern,
    Subject,
    compile_pattern,
    find_all,
    replace,
    split,
    template_parts,
)
from keyferry.gotemplate.values import Strings

group = FunctionGroup("Regular expressions")


@group.add("regexMatch", "func(string, string) bool")
def regex_match(run: Run, source: bytes, text: bytes) -> bool:
    """Whether the expression matches somewhere in the text; a bad one does not: `regexMatch "^a+$" "aa"` is `true`."""
    try:
        return must_regex_match(run, source, text)
    except BadPattern:
        return False


@group.add("mustRegexMatch", "func(string, string) (bool, error)")
def must_regex_match(run: Run, source: bytes, text: bytes) -> bool:
    """Like regexMatch, but an error where the expression is bad."""
    pattern = compile_pattern(run, source, must=True)
    return pattern.search(run, Subject(run, text).data, 0) is not None


def _both(name: str, signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function that gets the compiled expression, and its twin that returns the error of a bad one."""
    must_name = "must" + name[0].upper() + name[1:]
    parameters, _, result = signature.rpartition(" ")

    def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def may(run: Run, source: bytes, *arguments: Any) -> Any:
            return call(run, compile_pattern(run, source, must=False), *arguments)

        @functools.wraps(call)
        def must(run: Run, source: bytes, *arguments: Any) -> Any:
            return call(run, compile_pattern(run, source, must=True), *arguments)

        may.__doc__ = call.__doc__
        must.__doc__ = f"Like {name}, but where the expression is bad, an error that the function returns."
        group.add(name, signature)(may)
        group.add(must_name, f"{parameters} ({result}, error)")(must)
        return call

    return decorate


@_both("regexFind", "func(string, string) string")
def _regex_find(run: Run, pattern: Pattern, text: bytes) -> bytes:
    """The first match in the text, or an empty text: `regexFind "[0-9]+" "abc123"` is `123`."""
    subject = Subject(run, text)
    match = pattern.search(run, subject.data, 0)
    return b"" if match is None else subject.cut(*match.span())


@_both("regexFindAll", "func(string, string, int) []string")
def _regex_find_all(run: Run, pattern: Pattern, text: bytes, count: int) -> Strings:
    """All matches, or so many at most: `regexFindAll "[2,4]" "1234" -1` is `[2 4]`."""
    return find_all(run, pattern, text, count)


@_both("regexReplaceAll", "func(string, string, string) string")
def _regex_replace_all(run: Run, pattern: Pattern, text: bytes, replacement: bytes) -> bytes:
    """The text with the replacement for all matches; `${1}` in it stands for the first group.

    `regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W"` is `-W-xxW-`.
    """
    return replace(run, pattern, text, template_parts(run, pattern, replacement))


@_both("regexReplaceAllLiteral", "func(string, string, string) string")
def _regex_replace_all_literal(run: Run, pattern: Pattern, text: bytes, replacement: bytes) -> bytes:
    """The text with the replacement, as it is, for all matches: `regexReplaceAllLiteral "[0-9]" "a1b2" "$"` is `a$b$`."""
    return replace(run, pattern, text, [replacement] if replacement else [])


@_both("regexSplit", "func(string, string, int) []string")
def _regex_split(run: Run, pattern: Pattern, text: bytes, count: int) -> Strings:
    """What is between the matches, in so many parts at most: `regexSplit "z+" "pizza" -1` is `[pi a]`."""
    return split(run, pattern, text, count)


@group.add("regexQuoteMeta", "func(string) string")
def regex_quote_meta(run: Run, text: bytes) -> bytes:
    r"""An expression that matches the text itself: `regexQuoteMeta "1.2"` is `1\.2`."""
    count = len(text) - len(text.translate(None, META))
    run.charge(len(text) + count)
    run.spend(count // 4)
    return META_BYTE.sub(rb"\\\g<0>", text)
