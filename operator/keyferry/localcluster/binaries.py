"""Where the control plane's programs are: given, in PATH, in the cache, or built now."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from keyferry.localcluster import pins
from keyferry.localcluster.build import ensure_built, is_complete
from keyferry.localcluster.progress import Progress

MINIMUM_KUBERNETES = (1, 30)
"""The first with validating admission policies in v1, which Keyferry ships."""


def obtain(progress: Progress, environment: Mapping[str, str] | None = None) -> Path:
    """The folder that holds all programs.

    In this order: the folder named by KUBEBUILDER_ASSETS, the first folder of PATH that has all of
    them, the user's cache, a build into that. Programs that are too old, or of which some are
    missing, are passed over, and `progress` is told why where somebody named them on purpose.

    Args:
        progress: told what happens.
        environment: the process's, unless given.

    Raises:
        LocalClusterError: they have to be built, and that fails.
    """
    environment = os.environ if environment is None else environment
    if assets := environment.get("KUBEBUILDER_ASSETS"):
        folder = Path(assets).resolve()
        if (lack := lacking(folder)) is None:
            return folder
        progress.say(f"Passing over KUBEBUILDER_ASSETS={assets}: {lack}")
    for entry in environment.get("PATH", "").split(os.pathsep):
        folder = Path(entry).resolve()
        if entry and is_complete(folder) and lacking(folder) is None:
            return folder
    return ensure_built(progress)


def obtain_helm(progress: Progress, environment: Mapping[str, str] | None = None) -> Path:
    """Helm of the pinned version: in the folder named by KUBEBUILDER_ASSETS, in the user's cache, or built now.

    Raises:
        LocalClusterError: it has to be built, and that fails.
    """
    environment = os.environ if environment is None else environment
    kit = pins.helm()
    if assets := environment.get("KUBEBUILDER_ASSETS"):
        folder = Path(assets).resolve()
        if is_complete(folder, kit):
            return folder / "helm"
    return ensure_built(progress, kit=kit) / "helm"


def obtain_vault(progress: Progress, environment: Mapping[str, str] | None = None) -> Path:
    """The folder of Vault and its plugins: the one named by KUBEBUILDER_ASSETS, the user's cache, or built now.

    Raises:
        LocalClusterError: they have to be built, and that fails.
    """
    environment = os.environ if environment is None else environment
    kit = pins.vault()
    if assets := environment.get("KUBEBUILDER_ASSETS"):
        folder = Path(assets).resolve()
        if is_complete(folder, kit):
            return folder
    return ensure_built(progress, kit=kit)


def lacking(folder: Path) -> str | None:
    """Why this folder's programs cannot be used, None where they can."""
    missing = [name for name in pins.PROGRAMS if not os.access(folder / name, os.X_OK)]
    if missing:
        return f"it has no {', '.join(missing)}"
    version = kubernetes_version(folder / "kube-apiserver")
    if version is None:
        return "its kube-apiserver does not run"
    if version < MINIMUM_KUBERNETES:
        least = ".".join(map(str, MINIMUM_KUBERNETES))
        return f"its kube-apiserver is {version[0]}.{version[1]}, and {least} or newer is needed"
    return None


def kubernetes_version(apiserver: Path) -> tuple[int, int] | None:
    """Major and minor version that the program reports, None where it reports none."""
    try:
        said = subprocess.run([str(apiserver), "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.match(r"Kubernetes v(\d+)\.(\d+)\.", said.stdout)
    return (int(found[1]), int(found[2])) if found else None
