"""Sprig's functions on semantic versions, with the constraints of Masterminds/semver.

Rules: https://github.com/Masterminds/semver, version 3.3. Where its errors quote the constraint, ours do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text.goversion import TAIL, Version, compare, compare_prereleases, read_version

group = FunctionGroup("Versions")


@group.add("semver", "func(string) (*semver.Version, error)")
def semver(run: Run, text: bytes) -> Version:
    """The version as an object with Major, Minor, Patch, Prerelease, Metadata: `(semver "1.2.3").Minor` is `2`."""
    return read_version(run, text)


@group.add("semverCompare", "func(string, string) (bool, error)")
def semver_compare(run: Run, constraint: bytes, version: bytes) -> bool:
    """Whether the version meets the constraint: `semverCompare "^1.2" "1.4.0"` is `true`."""
    alternatives = read_constraints(run, constraint)
    candidate = read_version(run, version)
    return any(
        all(_OPERATORS[one.operator](run, candidate, one) for one in alternative)
        for alternative in alternatives
    )


# -- constraints

_SPACE: Final = rb"[\t\n\f\r ]"
_PART: Final = rb"[0-9|xX*]++"
_TARGET: Final = rb"v?(%b)(\.%b)?+(\.%b)?+" % (_PART, _PART, _PART)
_GAP: Final = re.compile(rb"%b*+(?:,%b*+)?+" % (_SPACE, _SPACE))
_SPACES: Final = re.compile(rb"%b*+" % _SPACE)
_CONSTRAINT: Final = re.compile(rb"([=!<>~^]*+)%b*+(%b%b)" % (_SPACE, _TARGET, TAIL))
_HYPHEN: Final = re.compile(rb"%b-%b" % (_SPACE, _SPACE))
_RANGE: Final = re.compile(
    rb"%b*+(?P<low>%b%b)%b++-%b++(?P<high>%b%b)%b*+"
    % (_SPACE, _TARGET, TAIL, _SPACE, _SPACE, _TARGET, TAIL, _SPACE)
)
_ANY: Final = frozenset({b"", b"x", b"X", b"*"})
_RANGE_WORK_PER_STEP: Final = 2000


class Constraint(NamedTuple):
    """One operator with its version.

    Args:
        operator: as it was written.
        version: with zeros where the constraint has an x or nothing.
        any_minor: whether minor and patch may be any.
        any_patch: whether the patch alone may be any.
        open: whether any part is left open.
    """

    operator: bytes
    version: Version
    any_minor: bool
    any_patch: bool
    open: bool


def read_constraints(run: Run, text: bytes) -> list[list[Constraint]]:
    """The alternatives, each with what must be met together.

    Raises:
        FunctionError: it is no constraint.
    """
    text = _without_ranges(run, text)
    run.charge_elements(text.count(b"||") + 1)
    return [_read_together(run, part) for part in text.split(b"||")]


def _without_ranges(run: Run, text: bytes) -> bytes:
    """The text with `>= 1, <= 2` for each `1 - 2`."""
    run.spend(len(text) // 64)
    if not _HYPHEN.search(text):
        return text
    run.spend(len(text) * len(text) // _RANGE_WORK_PER_STEP)
    result = text
    for found in _RANGE.finditer(text):
        result = result.replace(found[0], b">= %b, <= %b " % (found["low"], found["high"]), 1)
    return result


def _read_together(run: Run, text: bytes) -> list[Constraint]:
    constraints: list[Constraint] = []
    spaces = _SPACES.match(text)
    at = spaces.end() if spaces else 0
    while True:
        run.spend(5)
        found = _CONSTRAINT.match(text, at)
        if found is None or found[1] not in _OPERATORS:
            raise FunctionError("improper constraint")
        constraints.append(_read_constraint(run, found))
        gap = _GAP.match(text, found.end())
        at = gap.end() if gap else found.end()
        if at == len(text) and b"," not in text[found.end() :]:
            return constraints
        if at == found.end():
            raise FunctionError("improper constraint")


def _read_constraint(run: Run, found: re.Match[bytes]) -> Constraint:
    major, minor, patch, pre = found[3], (found[4] or b"")[1:], (found[5] or b"")[1:], found[6]
    tail = b"-" + pre if pre else b""
    text = found[2]
    any_minor = any_patch = False
    if major in _ANY:
        text = b"0.0.0" + tail
    elif minor in _ANY:
        any_minor = True
        text = major + b".0.0" + tail
    elif patch in _ANY:
        any_patch = True
        text = major + b"." + minor + b".0" + tail
    try:
        version = read_version(run, text)
    except FunctionError:
        raise FunctionError("constraint Parser Error") from None
    is_open = major in _ANY or any_minor or any_patch
    return Constraint(found[1], version, any_minor, any_patch, is_open)


def _equal(run: Run, version: Version, constraint: Constraint) -> bool:
    if constraint.open:
        return _tilde(run, version, constraint)
    return compare(run, version, constraint.version) == 0


def _not_equal(run: Run, version: Version, constraint: Constraint) -> bool:
    wanted = constraint.version
    if not constraint.open:
        return compare(run, version, wanted) != 0
    if version.numbers[0] != wanted.numbers[0]:
        return True
    if constraint.any_minor:
        return False
    if version.numbers[1] != wanted.numbers[1]:
        return True
    if constraint.any_patch:
        return compare_prereleases(run, version.pre, wanted.pre) != 0
    return version.numbers[2] != wanted.numbers[2] or compare(run, version, wanted) != 0


def _greater(run: Run, version: Version, constraint: Constraint) -> bool:
    wanted = constraint.version
    if constraint.open:
        if version.numbers[0] != wanted.numbers[0]:
            return version.numbers[0] > wanted.numbers[0]
        if constraint.any_minor:
            return False
        if constraint.any_patch:
            return version.numbers[1] > wanted.numbers[1]
    return compare(run, version, wanted) > 0


def _less(run: Run, version: Version, constraint: Constraint) -> bool:
    return compare(run, version, constraint.version) < 0


def _greater_or_equal(run: Run, version: Version, constraint: Constraint) -> bool:
    return compare(run, version, constraint.version) >= 0


def _less_or_equal(run: Run, version: Version, constraint: Constraint) -> bool:
    wanted = constraint.version
    if not constraint.open:
        return compare(run, version, wanted) <= 0
    if version.numbers[0] != wanted.numbers[0]:
        return version.numbers[0] < wanted.numbers[0]
    return version.numbers[1] <= wanted.numbers[1] or constraint.any_minor


def _tilde(run: Run, version: Version, constraint: Constraint) -> bool:
    wanted = constraint.version
    if compare(run, version, wanted) < 0:
        return False
    if wanted.numbers == (0, 0, 0) and not constraint.any_minor and not constraint.any_patch:
        return True
    same_minor = version.numbers[1] == wanted.numbers[1] or constraint.any_minor
    return version.numbers[0] == wanted.numbers[0] and same_minor


def _caret(run: Run, version: Version, constraint: Constraint) -> bool:
    major, minor, patch = constraint.version.numbers
    if compare(run, version, constraint.version) < 0:
        return False
    if version.numbers[0] != major:
        return False
    if major > 0 or constraint.any_minor:
        return True
    if version.numbers[1] != minor:
        return False
    return minor > 0 or constraint.any_patch or version.numbers[2] == patch


_Check = Callable[[Run, Version, Constraint], bool]


def _for_releases(check: _Check) -> _Check:
    """A version with a prerelease meets a constraint only if that has one too."""

    def checked(run: Run, version: Version, constraint: Constraint) -> bool:
        if version.pre and not constraint.version.pre:
            return False
        return check(run, version, constraint)

    return checked


def _not_equal_checked(run: Run, version: Version, constraint: Constraint) -> bool:
    """Only an open constraint asks for a prerelease of its own here."""
    check = _for_releases(_not_equal) if constraint.open else _not_equal
    return check(run, version, constraint)


_OPERATORS: Final[dict[bytes, _Check]] = {
    b"": _for_releases(_equal),
    b"=": _for_releases(_equal),
    b"!=": _not_equal_checked,
    b">": _for_releases(_greater),
    b"<": _for_releases(_less),
    b">=": _for_releases(_greater_or_equal),
    b"=>": _for_releases(_greater_or_equal),
    b"<=": _for_releases(_less_or_equal),
    b"=<": _for_releases(_less_or_equal),
    b"~": _for_releases(_tilde),
    b"~>": _for_releases(_tilde),
    b"^": _for_releases(_caret),
}
