"""Go's *semver.Version: how it is read, compared and printed, and its methods.

Rules: github.com/Masterminds/semver, version 3.3. Where its errors quote the version, ours do not. Its methods
that read into a version (Scan, UnmarshalJSON, UnmarshalText) are left out: values do not change in templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, ClassVar, Final, TypeVar

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.objects import METHODS, STRINGERS, STRUCT_FIELDS
from keyferry.gotemplate.serial.gojson import MARSHALERS
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import ByteSlice, Uint64, register

F = TypeVar("F", bound=Callable[..., Any])

_MAX_UINT64: Final = (1 << 64) - 1
_MOST_DIGITS: Final = len(str(_MAX_UINT64))
TAIL: Final = rb"(?:-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*+))?+(?:\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*+))?+"
"""Prerelease and metadata, as two groups of a regular expression."""
_VERSION: Final = re.compile(rb"v?([0-9]++)(?:\.([0-9]++))?+(?:\.([0-9]++))?+" + TAIL)
_IDENTIFIER: Final = re.compile(rb"[0-9A-Za-z\-]*")
_IDENTIFIERS: Final = re.compile(rb"[0-9A-Za-z\-.]*")
_NUMBER: Final = re.compile(rb"[0-9]*")


@register
class Version:
    """*semver.Version.

    Args:
        numbers: major, minor and patch.
        pre: what follows the hyphen.
        metadata: what follows the plus.
        original: the text that it was read from.
    """

    __slots__ = ("metadata", "numbers", "original", "pre")
    go_type: ClassVar[str] = "*semver.Version"
    go_kind: ClassVar[str] = "ptr"

    def __init__(self, numbers: tuple[int, int, int], pre: bytes, metadata: bytes, original: bytes) -> None:
        self.numbers = numbers
        self.pre = pre
        self.metadata = metadata
        self.original = original

    def text(self) -> bytes:
        """The version without a leading v, and with all three numbers."""
        pre = b"-" + self.pre if self.pre else b""
        metadata = b"+" + self.metadata if self.metadata else b""
        return b"%d.%d.%d" % self.numbers + pre + metadata

    def changed(self, numbers: tuple[int, int, int], pre: bytes, metadata: bytes) -> VersionStruct:
        """Another version, with a leading v where this one had it."""
        following = VersionStruct(numbers, pre, metadata, b"")
        following.original = (b"v" if self.original.startswith(b"v") else b"") + following.text()
        return following


@register
class VersionStruct(Version):
    """semver.Version, no pointer: what the methods return that make other versions."""

    __slots__ = ()
    go_type = "semver.Version"
    go_kind = "struct"


for _class in (Version, VersionStruct):
    STRINGERS[_class] = MARSHALERS[_class] = Version.text
    STRUCT_FIELDS[_class] = {
        "major": lambda version: Uint64(version.numbers[0]),
        "minor": lambda version: Uint64(version.numbers[1]),
        "patch": lambda version: Uint64(version.numbers[2]),
        "pre": lambda version: version.pre,
        "metadata": lambda version: version.metadata,
        "original": lambda version: version.original,
    }


def read_version(run: Run, text: bytes) -> Version:
    """The version that the text holds; minor and patch may be missing.

    Raises:
        FunctionError: it holds none.
    """
    run.spend(len(text) // 64)
    found = _VERSION.fullmatch(text)
    if found is None:
        raise FunctionError("Invalid Semantic Version")
    major, minor, patch, pre, metadata = found.groups(default=b"")
    numbers = _segment(major), _segment(minor), _segment(patch)
    _check_prerelease(run, pre)
    return Version(numbers, pre, metadata, text)


def _segment(digits: bytes) -> int:
    number = _uint64(digits) if digits else 0
    if number is None:
        raise FunctionError("Error parsing version segment: strconv.ParseUint: value out of range")
    return number


def _uint64(digits: bytes) -> int | None:
    """The number, if the text is one of 64 bits."""
    significant = digits.lstrip(b"0")
    if not digits or not _NUMBER.fullmatch(digits) or len(significant) > _MOST_DIGITS:
        return None
    number = int(significant or b"0")
    return number if number <= _MAX_UINT64 else None


def _check_prerelease(run: Run, pre: bytes) -> None:
    for part in _identifiers(run, pre):
        if _NUMBER.fullmatch(part):
            if len(part) > 1 and part.startswith(b"0"):
                raise FunctionError("Version segment starts with 0")
        elif not _IDENTIFIER.fullmatch(part):
            raise FunctionError("Invalid Prerelease string")


def _identifiers(run: Run, text: bytes) -> list[bytes]:
    count = text.count(b".") + 1
    run.charge_elements(count)
    run.spend(count)
    return text.split(b".")


def compare(run: Run, one: Version, other: Version) -> int:
    """-1, 0 or 1: by the numbers, then by what follows the hyphen; metadata do not count."""
    if one.numbers != other.numbers:
        return 1 if one.numbers > other.numbers else -1
    if not one.pre or not other.pre:
        return bool(other.pre) - bool(one.pre)
    return compare_prereleases(run, one.pre, other.pre)


def compare_prereleases(run: Run, one: bytes, other: bytes) -> int:
    """-1, 0 or 1: identifier by identifier, numbers as numbers and before names."""
    if one == other:
        return 0
    pairs = zip_longest(_identifiers(run, one), _identifiers(run, other), fillvalue=b"")
    return next((_compare_parts(mine, its) for mine, its in pairs if mine != its), 0)


def _compare_parts(one: bytes, other: bytes) -> int:
    """Of two that differ: nothing before numbers before names."""
    if not one or not other:
        return 1 if one else -1
    number, other_number = _uint64(one), _uint64(other)
    if number is not None and other_number is not None:
        return 1 if number > other_number else -1
    if number is None and other_number is None:
        return 1 if one > other else -1
    return 1 if number is None else -1


# -- methods

_pointer: Final = FunctionGroup("Methods of *semver.Version")
_struct: Final = FunctionGroup("Methods of semver.Version")
METHODS[Version] = _pointer.functions
METHODS[VersionStruct] = _struct.functions
"""A struct in a template has no address, so the methods of pointers are not among its own."""


def _both(name: str, signature: str) -> Callable[[F], F]:
    """Add a method of both types."""

    def decorate(call: F) -> F:
        return _pointer.add(name, signature)(_struct.add(name, signature)(call))

    return decorate


@_both("Major", "func() uint64")
def _major(run: Run, version: Version) -> Uint64:  # noqa: ARG001 -- every method gets the run
    """The first number."""
    return Uint64(version.numbers[0])


@_both("Minor", "func() uint64")
def _minor(run: Run, version: Version) -> Uint64:  # noqa: ARG001 -- every method gets the run
    """The second number."""
    return Uint64(version.numbers[1])


@_both("Patch", "func() uint64")
def _patch(run: Run, version: Version) -> Uint64:  # noqa: ARG001 -- every method gets the run
    """The third number."""
    return Uint64(version.numbers[2])


@_both("Prerelease", "func() string")
def _prerelease(run: Run, version: Version) -> bytes:  # noqa: ARG001 -- every method gets the run
    """What follows the hyphen."""
    return version.pre


@_both("Metadata", "func() string")
def _metadata(run: Run, version: Version) -> bytes:  # noqa: ARG001 -- every method gets the run
    """What follows the plus."""
    return version.metadata


@_pointer.add("Original", "func() string")
def _original(run: Run, version: Version) -> bytes:  # noqa: ARG001 -- every method gets the run
    """The text that the version was read from."""
    return version.original


@_both("String", "func() string")
def _string(run: Run, version: Version) -> bytes:  # noqa: ARG001 -- every method gets the run
    """The version without a leading v, and with all three numbers."""
    return version.text()


@_both("Value", "func() (driver.Value, error)")
def _value(run: Run, version: Version) -> bytes:  # noqa: ARG001 -- every method gets the run
    """The same as String."""
    return version.text()


@_both("MarshalText", "func() ([]uint8, error)")
def _marshal_text(run: Run, version: Version) -> ByteSlice:  # noqa: ARG001 -- every method gets the run
    """The same as String, as bytes."""
    return ByteSlice(version.text())


@_both("MarshalJSON", "func() ([]uint8, error)")
def _marshal_json(run: Run, version: Version) -> ByteSlice:  # noqa: ARG001 -- every method gets the run
    """The same as String, as the bytes of a JSON string."""
    return ByteSlice(b'"%b"' % version.text())


@_both("IncMajor", "func() semver.Version")
def _inc_major(run: Run, version: Version) -> VersionStruct:  # noqa: ARG001 -- every method gets the run
    """The next major version: `(semver "1.2.3").IncMajor` is `2.0.0`."""
    return version.changed((version.numbers[0] + 1 & _MAX_UINT64, 0, 0), b"", b"")


@_both("IncMinor", "func() semver.Version")
def _inc_minor(run: Run, version: Version) -> VersionStruct:  # noqa: ARG001 -- every method gets the run
    """The next minor version: `(semver "1.2.3").IncMinor` is `1.3.0`."""
    major, minor, _ = version.numbers
    return version.changed((major, minor + 1 & _MAX_UINT64, 0), b"", b"")


@_both("IncPatch", "func() semver.Version")
def _inc_patch(run: Run, version: Version) -> VersionStruct:  # noqa: ARG001 -- every method gets the run
    """The next patch version; of a prerelease the release: `(semver "1.2.3").IncPatch` is `1.2.4`."""
    major, minor, patch = version.numbers
    return version.changed((major, minor, patch if version.pre else patch + 1 & _MAX_UINT64), b"", b"")


@_both("SetPrerelease", "func(string) (semver.Version, error)")
def _set_prerelease(run: Run, version: Version, pre: bytes) -> VersionStruct:
    """The version with another prerelease: `(semver "1.2.3").SetPrerelease "rc1"` is `1.2.3-rc1`."""
    _check_prerelease(run, pre)
    return version.changed(version.numbers, pre, version.metadata)


@_both("SetMetadata", "func(string) (semver.Version, error)")
def _set_metadata(run: Run, version: Version, metadata: bytes) -> VersionStruct:
    """The version with other metadata: `(semver "1.2.3").SetMetadata "abc"` is `1.2.3+abc`."""
    run.spend(len(metadata) // 64)
    if not _IDENTIFIERS.fullmatch(metadata):
        raise FunctionError("Invalid Metadata string")
    return version.changed(version.numbers, version.pre, metadata)


@_pointer.add("Compare", "func(*semver.Version) int")
def _compare(run: Run, version: Version, other: Version | None) -> int:
    """-1, 0 or 1 if the version is before, the same as or after the other."""
    if other is None:
        raise FunctionError("runtime error: invalid memory address or nil pointer dereference")
    return compare(run, version, other)


@_pointer.add("Equal", "func(*semver.Version) bool")
def _equal(run: Run, version: Version, other: Version | None) -> bool:
    """Whether the versions are the same but for metadata."""
    return other is not None and compare(run, version, other) == 0


@_pointer.add("GreaterThan", "func(*semver.Version) bool")
def _greater(run: Run, version: Version, other: Version | None) -> bool:
    """Whether the version is after the other."""
    return _compare(run, version, other) > 0


@_pointer.add("GreaterThanEqual", "func(*semver.Version) bool")
def _greater_equal(run: Run, version: Version, other: Version | None) -> bool:
    """Whether the version is not before the other."""
    return _compare(run, version, other) >= 0


@_pointer.add("LessThan", "func(*semver.Version) bool")
def _less(run: Run, version: Version, other: Version | None) -> bool:
    """Whether the version is before the other."""
    return _compare(run, version, other) < 0


@_pointer.add("LessThanEqual", "func(*semver.Version) bool")
def _less_equal(run: Run, version: Version, other: Version | None) -> bool:
    """Whether the version is not after the other."""
    return _compare(run, version, other) <= 0
