"""Sprig's functions on paths with slashes. Those that Sprig has for the machine's own paths are the same on Linux.

Rules: Go's packages path and path/filepath (Plan 9's rules for `..`).
"""

from __future__ import annotations

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.signatures import FunctionGroup

group = FunctionGroup("Paths")


@group.add("base osBase", "func(string) string")
def base(run: Run, path: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The path's last element: `base "a/b.txt"` is `b.txt`."""
    if not path:
        return b"."
    return path.rstrip(b"/").rpartition(b"/")[2] or b"/"


@group.add("dir osDir", "func(string) string")
def directory(run: Run, path: bytes) -> bytes:
    """The path without its last element: `dir "a/b.txt"` is `a`."""
    return clean(run, path[: path.rfind(b"/") + 1])


@group.add("clean osClean", "func(string) string")
def clean(run: Run, path: bytes) -> bytes:
    """The shortest form of the path: `clean "a//b/../c"` is `a/c`."""
    run.charge_elements(path.count(b"/"))
    rooted = path.startswith(b"/")
    kept: list[bytes] = []
    for element in path.split(b"/"):
        if element in {b"", b"."}:
            continue
        if element != b"..":
            kept.append(element)
        elif kept and kept[-1] != b"..":
            kept.pop()
        elif not rooted:
            kept.append(element)
    return (b"/" if rooted else b"") + b"/".join(kept) or b"."


@group.add("ext osExt", "func(string) string")
def ext(run: Run, path: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The ending of the path's last element: `ext "a/b.txt"` is `.txt`."""
    _, dot, ending = path.rpartition(b"/")[2].rpartition(b".")
    return dot + ending if dot else b""


@group.add("isAbs osIsAbs", "func(string) bool")
def is_abs(run: Run, path: bytes) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the path begins with a slash: `isAbs "/a"` is `true`."""
    return path.startswith(b"/")
