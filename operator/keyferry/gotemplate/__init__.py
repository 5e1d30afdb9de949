"""Go's text/template with the functions of Sprig and of the reference operator, in Python.

Output is byte for byte Go's, and so are error texts, but that no value ever appears in one. Where the two differ
on purpose is listed in docs/templates.md. Templates are hostile input: every render has a budget, and can reach
nothing but its data.

    template = parse("greeting", "Hello {{ .name | title }}!")
    template.render(to_go({"name": "world"}), run)

A leaf: it imports nothing of ours; the time and the randomness are arguments, and the one thing that it reads are
the zone files of the system. Inside, from the bottom up: `errors`, `values`, `budget`, `signatures`, `objects`;
`text` (fmt, regular expressions, versions), `times`, `serial` (JSON and YAML), `crypto`; `functions` (what can be
called: a module for each subject); `language` (text to tokens, to nodes, to closures that run); `template`.
"""

from __future__ import annotations

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import (
    ExecError,
    LimitError,
    ParseError,
    SlowFunction,
    TemplateError,
)
from keyferry.gotemplate.template import Cache, Template, parse, parse_cached
from keyferry.gotemplate.values import StringMap, to_go

__all__ = [
    "Cache",
    "ExecError",
    "LimitError",
    "Limits",
    "ParseError",
    "Run",
    "SlowFunction",
    "StringMap",
    "Template",
    "TemplateError",
    "parse",
    "parse_cached",
    "to_go",
]
