"""Demos that were left running: how they are found again, used and ended.

Each has a folder in the temporary folder, of the user's alone, that says where its parts are. Folders of
other users are never looked into.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from keyferry.cli.demo.failure import DemoFailed
from keyferry.cli.demo.shipped import from_here
from keyferry.localcluster import detached
from keyferry.localcluster.layout import running_pid

PREFIX: Final = "keyferry-demo-"
STATE: Final = "demo.json"


class KeptDemo(msgspec.Struct, frozen=True, kw_only=True):
    """A demo that was left running.

    Args:
        folder: its own: state, logs, the AWS double's keys.
        cluster: the control plane's.
        kubeconfig: the administrator's.
        kubectl: a kubectl of the control plane's version.
    """

    folder: str
    cluster: str
    kubeconfig: str
    kubectl: str


def save(demo: KeptDemo) -> None:
    """Write down where it is."""
    (Path(demo.folder) / STATE).write_bytes(msgspec.json.encode(demo))


def running() -> list[KeptDemo]:
    """The user's demos that run."""
    folders = sorted(Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"))
    return [load(folder) for folder in folders if _is_mine(folder) and running_pid(folder) is not None]


def load(folder: Path) -> KeptDemo:
    """The demo of this folder, whether it still runs or not.

    Raises:
        DemoFailed: there is none, or it is not the user's.
    """
    folder = folder.expanduser().resolve()
    if not _is_mine(folder):
        raise DemoFailed(f'"{folder}" is not the folder of a demo of yours')
    return msgspec.json.decode((folder / STATE).read_bytes(), type=KeptDemo)


def the_one(folder: Path | None) -> KeptDemo:
    """The demo of this folder, or without one the only one that runs.

    Raises:
        DemoFailed: none runs, or several do.
    """
    if folder is not None:
        return load(folder)
    found = running()
    if not found:
        raise DemoFailed("no demo runs", hint=f"Start one with: {keyferry_command()} demo --keep")
    if len(found) > 1:
        folders = [one.folder for one in found]
        raise DemoFailed("several demos run", hint="Name the folder of one:", details=folders)
    return found[0]


def stop(demo: KeptDemo) -> None:
    """End all its programs and remove its files. Fine where some have ended already."""
    for folder in (Path(demo.folder), Path(demo.cluster)):
        detached.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)  # a keeper that was killed has not done it


def keyferry_command() -> str:
    """How to call Keyferry from the current folder."""
    beside = Path(sys.executable).parent / "keyferry"
    found = shutil.which("keyferry")
    if found is not None and Path(found).resolve() == beside.resolve():
        return "keyferry"
    return from_here(beside) if beside.exists() else f"{sys.executable} -m keyferry"


def _is_mine(folder: Path) -> bool:
    """Whether it is a kept demo's folder that nobody else could have put there or written to."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return private and (folder / STATE).is_file()
