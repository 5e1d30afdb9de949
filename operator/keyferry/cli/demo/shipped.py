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
from keyferry.cli.crds import checkout, files

SAMPLES: Final = Path(__file__).parent / "samples"
TEAM_A: Final = SAMPLES / "team-a.yaml"
MISTAKES: Final = SAMPLES / "mistakes.yaml"
RBAC: Final = "deploy/rbac/rbac.yaml"
"""Its path in the repository, and in an installed package."""


def rbac(package: Path = Path(keyferry.__file__).parent) -> str:
    """The operator's namespace, ServiceAccount, ClusterRole and its binding, as YAML.

    Raises:
        click.ClickException: neither the package nor a checkout around it has the file.
    """
    packaged = package / RBAC
    try:
        file = packaged if packaged.is_file() else checkout() / RBAC
        return file.read_text("utf-8")
    except (OSError, click.ClickException):
        raise click.ClickException(
            f"this installation of Keyferry is incomplete: it lacks {packaged}"
        ) from None


def installation() -> str:
    """All that `kubectl apply -f crds -f deploy/admission -f deploy/rbac/rbac.yaml` applies, as YAML."""
    return "---\n".join([*files().values(), rbac()])


def from_here(path: Path) -> str:
    """The path as one would type it in the current folder."""
    inside = path.is_relative_to(Path.cwd())
    return os.path.relpath(path) if inside else str(path)
