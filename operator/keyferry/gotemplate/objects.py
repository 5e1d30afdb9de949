"""Fields and methods of the few Go types that have any: the only ones that templates can reach.

Modules that define such a type add its rows here: `FIELDS[Certificate] = {"Cert": …}`,
`METHODS[Time] = time_methods.functions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keyferry.gotemplate.signatures import Function
from keyferry.gotemplate.values import Value

FIELDS: Final[dict[type, dict[str, Callable[[Any], Value]]]] = {}
"""Exported fields by Go's name, for each class of values that is a struct or a pointer to one."""

METHODS: Final[dict[type, dict[str, Function]]] = {}
"""Methods by Go's name, for each class of values."""

STRINGERS: Final[dict[type, Callable[[Any], bytes]]] = {}
"""What fmt prints for the types that have a String or Error method."""

GO_STRINGERS: Final[dict[type, Callable[[Any], bytes]]] = {}
"""What fmt prints for %#v of the types that have a GoString method."""

STRUCT_FIELDS: Final[dict[type, dict[str, Callable[[Any], Value]]]] = {}
"""All fields of a struct in Go's order, for fmt, where FIELDS has not all of them: templates cannot reach these."""
