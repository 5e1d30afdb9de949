"""Semantic versions, their methods, and constraints."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.versions import group
from keyferry.gotemplate.objects import METHODS, STRINGERS
from keyferry.gotemplate.text.goversion import Version, VersionStruct
from keyferry.gotemplate.values import ByteSlice, Uint64, kind_of, type_of
from keyferry.testing.leaks import canary


def new_run(**limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


def method(receiver, name, *arguments):
    return METHODS[type(receiver)][name].call(new_run(), receiver, *arguments)


AS_GO = [
    ("semverCompare", [b"1.2.3", b"1.2.3"], True),
    ("semverCompare", [b"^1.2.0", b"1.9.0"], True),
    ("semverCompare", [b"^1.2.0", b"2.0.0"], False),
    ("semverCompare", [b"^0.2.3", b"0.2.9"], True),
    ("semverCompare", [b"^0.2.3", b"0.3.0"], False),
    ("semverCompare", [b"^0.0.3", b"0.0.4"], False),
    ("semverCompare", [b"^0.0", b"0.0.9"], True),
    ("semverCompare", [b"^0", b"0.9.0"], True),
    ("semverCompare", [b"^*", b"1.0.0"], False),
    ("semverCompare", [b"~1.2.3", b"1.2.9"], True),
    ("semverCompare", [b"~1.2.3", b"1.3.0"], False),
    ("semverCompare", [b"~1", b"1.9.9"], True),
    ("semverCompare", [b"~>2.x", b"2.5.0"], True),
    ("semverCompare", [b"~0.0.0", b"9.0.0"], True),
    ("semverCompare", [b"*", b"1.2.3"], True),
    ("semverCompare", [b"1.x", b"1.5.0"], True),
    ("semverCompare", [b"!=1.x", b"1.5.0"], False),
    ("semverCompare", [b"!=1.2.x", b"1.3.0"], True),
    ("semverCompare", [b"!=*", b"1.0.0"], True),
    ("semverCompare", [b">1", b"1.9.0"], False),
    ("semverCompare", [b">1", b"2.0.0"], True),
    ("semverCompare", [b">1.2.x", b"1.2.9"], False),
    ("semverCompare", [b">*", b"0.0.1"], True),
    ("semverCompare", [b"<2 || >=3.1, <4", b"3.2.0"], True),
    ("semverCompare", [b"<2||>=3.1 <4", b"2.5.0"], False),
    ("semverCompare", [b"=> 1, =< 2", b"2.0.1"], True),
    ("semverCompare", [b"<=1.2", b"1.2.9"], True),
    ("semverCompare", [b"<=1", b"1.9.9"], True),
    ("semverCompare", [b"1.2 - 1.4.5", b"1.4.5"], True),
    ("semverCompare", [b"1.2 - 1.4.5, !=1.3.0", b"1.3.0"], False),
    ("semverCompare", [b">=1.0", b"1.1.0-rc1"], False),
    ("semverCompare", [b">=1.0-0", b"1.1.0-rc1"], True),
    ("semverCompare", [b"1.2.3-beta.2", b"1.2.3-beta.10"], False),
    ("semverCompare", [b">1.2.3-beta.2", b"1.2.3-beta.10"], True),
    ("semverCompare", [b">1.2.3-alpha", b"1.2.3-1"], False),
    ("semverCompare", [b"<1.2.3-alpha.1", b"1.2.3-alpha"], True),
    ("semverCompare", [b"=1.2.3+a", b"v1.2.3+b"], True),
    ("semverCompare", [b"!=1.2.3", b"1.2.3-rc1"], True),
    ("semverCompare", [b"!=1.2.x", b"1.2.9"], False),
    ("semverCompare", [b"!=1.2.x-a", b"1.2.0-a"], False),
    ("semverCompare", [b"!=1.2.x-a", b"1.2.0-b"], True),
    ("semverCompare", [b"!=1.2.x", b"2.2.0"], True),
    ("semverCompare", [b"<=2.x", b"3.0.0"], False),
    ("semverCompare", [b"<=2.x", b"1.0.0"], True),
    ("semverCompare", [b"<=2.1.x", b"2.2.0"], False),
    ("semverCompare", [b"~1.2.3", b"1.2.0"], False),
    ("semverCompare", [b"^1.2.3", b"1.2.0"], False),
    ("semverCompare", [b"^0.1", b"1.0.0"], False),
    ("semverCompare", [b"^0.0.3", b"0.1.3"], False),
    ("semverCompare", [b"!=*", b"0.0.0"], False),
    ("semverCompare", [b"1.2.3-a", b"1.2.3-a"], True),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), AS_GO)
def test_constraints_are_met_as_go_does(name, arguments, expected):
    assert expected == call(name, *arguments)


@pytest.mark.parametrize(
    "constraint",
    [
        b"",
        b",",
        b"1,",
        b",1",
        b"1 ||",
        b"==1",
        b"1>2",
        b"1.2.3.4",
        b"a",
        b"1\v",
        b"1 -2",
        b"> ",
        b"1||  ||2",
        b"1.2 - ",
        b"\xff",
    ],
)
def test_what_is_no_constraint_is_refused(constraint):
    with pytest.raises(FunctionError) as raised:
        call("semverCompare", constraint, b"1.0.0")

    assert "improper constraint" == str(raised.value)


@pytest.mark.parametrize("constraint", [b"1|2", b"1x", b"1.2.3-01", b"99999999999999999999"])
def test_constraints_of_no_version_are_refused(constraint):
    with pytest.raises(FunctionError) as raised:
        call("semverCompare", constraint, b"1.0.0")

    assert "constraint Parser Error" == str(raised.value)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (b"", "Invalid Semantic Version"),
        (b"1.2.3\n", "Invalid Semantic Version"),
        (b"V1.2.3", "Invalid Semantic Version"),
        (b"1.2.3-", "Invalid Semantic Version"),
        (b"1.2.3-01", "Version segment starts with 0"),
        (b"18446744073709551616", "Error parsing version segment: strconv.ParseUint: value out of range"),
        (b"1." + b"9" * 5000, "Error parsing version segment: strconv.ParseUint: value out of range"),
    ],
)
def test_what_is_no_version_is_refused(version, text):
    with pytest.raises(FunctionError) as raised:
        call("semver", version)

    assert text == str(raised.value)


def test_a_version_has_its_parts():
    version = call("semver", b"v01.2-rc.1+b.2")

    assert (1, 2, 0) == tuple(method(version, name) for name in ("Major", "Minor", "Patch"))
    assert Uint64 is type(method(version, "Major"))
    assert b"rc.1" == method(version, "Prerelease")
    assert b"b.2" == method(version, "Metadata")
    assert b"v01.2-rc.1+b.2" == method(version, "Original")
    assert (
        b"1.2.0-rc.1+b.2"
        == method(version, "String")
        == method(version, "Value")
        == STRINGERS[Version](version)
    )
    assert ByteSlice(b"1.2.0-rc.1+b.2") == method(version, "MarshalText")
    assert ByteSlice(b'"1.2.0-rc.1+b.2"') == method(version, "MarshalJSON")
    assert ("*semver.Version", "ptr") == (type_of(version), kind_of(version))


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (b"v1.2.3-rc1+b", "IncMajor", b"v2.0.0"),
        (b"1.2.3-rc1+b", "IncMinor", b"1.3.0"),
        (b"1.2.3-rc1+b", "IncPatch", b"1.2.3"),
        (b"1.2.3+b", "IncPatch", b"1.2.4"),
        (b"18446744073709551615.1.1", "IncMajor", b"0.0.0"),
    ],
)
def test_the_next_version_is_a_struct_without_address(text, name, expected):
    following = method(call("semver", text), name)

    assert expected == following.original
    assert "semver.Version" == type_of(following)
    assert VersionStruct is type(following)
    assert METHODS[VersionStruct].keys() == METHODS[Version].keys() - {
        *("Compare", "Equal", "GreaterThan", "GreaterThanEqual", "LessThan", "LessThanEqual", "Original")
    }


def test_prerelease_and_metadata_are_set():
    version = call("semver", b"v1.2")

    assert b"v1.2.0-rc.1" == method(version, "SetPrerelease", b"rc.1").original
    assert b"v1.2.0+b..2" == method(version, "SetMetadata", b"b..2").original
    assert b"v1.2.0" == method(version, "SetPrerelease", b"").original


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("SetPrerelease", b"01", "Version segment starts with 0"),
        ("SetPrerelease", b"a_b", "Invalid Prerelease string"),
        ("SetMetadata", b"a b", "Invalid Metadata string"),
    ],
)
def test_bad_prereleases_and_metadata_are_refused(name, text, expected):
    with pytest.raises(FunctionError) as raised:
        method(call("semver", b"1.2.3"), name, text)

    assert expected == str(raised.value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (b"1.2.3", b"1.2.3+b", 0),
        (b"1.2.3-a", b"1.2.3", -1),
        (b"1.2.3", b"1.2.3-a", 1),
        (b"1.2.3-a", b"1.2.3-a.1", -1),
        (b"1.2.3-10", b"1.2.3-9", 1),
        (b"1.2.3-9", b"1.2.3-a", -1),
        (b"1.2.3-a", b"1.2.3-9", 1),
        (b"1.2.3-b", b"1.2.3-a", 1),
        (b"1.2.3-99999999999999999999", b"1.2.3-9", 1),
        (b"2.0.0", b"1.9.9", 1),
    ],
)
def test_versions_are_compared(one, other, expected):
    version, another = call("semver", one), call("semver", other)

    assert expected == method(version, "Compare", another)
    assert (expected == 0) is method(version, "Equal", another)
    assert (expected > 0) is method(version, "GreaterThan", another)
    assert (expected >= 0) is method(version, "GreaterThanEqual", another)
    assert (expected < 0) is method(version, "LessThan", another)
    assert (expected <= 0) is method(version, "LessThanEqual", another)


def test_nil_is_no_version_to_compare_with():
    version = call("semver", b"1.2.3")

    assert method(version, "Equal", None) is False
    with pytest.raises(FunctionError, match="nil pointer dereference"):
        method(version, "Compare", None)


@pytest.mark.parametrize(
    "constraint",
    [b"1 - 2 " * 100_000, b"1" * (1 << 20) + b" - ", b"1," * (1 << 20) + b"1", b"1||" * (1 << 20) + b"1"],
)
def test_long_constraints_are_charged_by_their_work(constraint):
    with pytest.raises(Exhausted):
        call("semverCompare", constraint, b"0.0.1")


def test_many_spaces_do_not_take_exponential_time():
    with pytest.raises(FunctionError):
        call("semverCompare", b"1   " * 200 + b"!", b"1.0.0")


def test_errors_do_not_quote_versions():
    secret = canary("version").encode()

    for arguments in ((secret, b"1"), (b"1", secret)):
        with pytest.raises(FunctionError) as raised:
            call("semverCompare", *arguments)
        assert canary("version") not in str(raised.value)
