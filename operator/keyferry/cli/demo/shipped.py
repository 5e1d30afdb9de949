"""What the demo applies: the sample manifests beside this file, and what every installation applies.

CRDs and admission policies come from the models, RBAC from the file that the repository ships; an installed
package carries a copy of that file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

import keyferry
from keyferry.cli.crds import installed_files

SAMPLES: Final = Path(__file__).parent / "samples"
TEAM_A: Final = SAMPLES / "team-a.yaml"
MISTAKES: Final = SAMPLES / "mistakes.yaml"
RBAC: Final = "deploy/rbac/rbac.yaml"
"""Its path in the repository, and in an installed package, whose folder in a checkout is operator/keyferry."""


def rbac(package: Path = Path(keyferry.__file__).parent) -> str:
    """The operator's namespace, ServiceAccount, ClusterRole and its binding, as YAML.

    Raises:
        click.ClickException: neither the package nor a checkout around it has the file.
    """
    for file in (package / RBAC, package.parents[1] / RBAC):
        if file.is_file():
            return file.read_text("utf-8")
    raise click.ClickException(f"this installation of Keyferry is incomplete: it lacks {package / RBAC}")


def installation() -> str:
    """All that `kubectl apply -f crds -f deploy/admission -f deploy/rbac/rbac.yaml` applies, as YAML."""
    return "---\n".join([*installed_files().values(), rbac()])


def from_here(path: Path) -> str:
    """The path as one would type it in the current folder."""
    here = Path.cwd()
    inside = path.is_relative_to(here) and here != Path(here.anchor)
    return os.path.relpath(path) if inside else str(path)
