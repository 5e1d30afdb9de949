"""Paths with slashes."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted
from keyferry.gotemplate.functions.paths import group


def new_run(**limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


AS_GO = [
    ("base", [b""], b"."),
    ("base", [b"/"], b"/"),
    ("base", [b"//"], b"/"),
    ("base", [b"a/b.txt"], b"b.txt"),
    ("base", [b"a/b/"], b"b"),
    ("dir", [b""], b"."),
    ("dir", [b"/a"], b"/"),
    ("dir", [b"a/b/c"], b"a/b"),
    ("dir", [b"a/b/"], b"a/b"),
    ("dir", [b"a"], b"."),
    ("clean", [b""], b"."),
    ("clean", [b"a//b/../c"], b"a/c"),
    ("clean", [b"/.."], b"/"),
    ("clean", [b"../../a"], b"../../a"),
    ("clean", [b"./a/./b/.."], b"a"),
    ("clean", [b"/"], b"/"),
    ("clean", [b"a/../.."], b".."),
    ("clean", [b"..."], b"..."),
    ("clean", [b"/a/../../b"], b"/b"),
    ("ext", [b"a/b.txt"], b".txt"),
    ("ext", [b"a.b/c"], b""),
    ("ext", [b".bashrc"], b".bashrc"),
    ("ext", [b"a.tar.gz"], b".gz"),
    ("ext", [b"a."], b"."),
    ("ext", [b""], b""),
    ("isAbs", [b"/a"], True),
    ("isAbs", [b"a"], False),
    ("isAbs", [b""], False),
    ("osBase", [b"a/b"], b"b"),
    ("osDir", [b"a/b"], b"a"),
    ("osClean", [b"a/./b"], b"a/b"),
    ("osExt", [b"a.b"], b".b"),
    ("osIsAbs", [b"/"], True),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), AS_GO)
def test_paths_are_taken_apart_as_go_does(name, arguments, expected):
    assert expected == call(name, *arguments)


def test_many_slashes_are_charged():
    with pytest.raises(Exhausted):
        call("clean", b"/" * (4 << 20))
