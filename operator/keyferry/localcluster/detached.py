"""Ending a control plane that another process has started and left running."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil

from keyferry.localcluster import keeper
from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.layout import running_pid
from keyferry.localcluster.pins import PROGRAMS

STOP_TIMEOUT_S = 30.0


def stop(folder: Path) -> bool:
    """End the control plane of this folder and wait for it. Idempotent.

    Only processes that are certainly its own are touched: the keeper, which holds the folder's lock, and
    programs that a killed keeper has left behind, which name the folder in their arguments.

    Returns:
        Whether anything ran.

    Raises:
        LocalClusterError: it does not end.
    """
    folder = folder.expanduser().resolve()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    ran = False
    while (pid := running_pid(folder)) is not None:
        if not ran and _is_keeper(pid, folder):
            os.kill(pid, signal.SIGTERM)
            ran = True
        if time.monotonic() > deadline:
            raise LocalClusterError(f'the control plane in "{folder}" (process {pid}) does not end')
        time.sleep(0.02)
    return end_left_behind(folder) or ran


def end_left_behind(folder: Path) -> bool:
    """Kill the programs that a killed keeper has left behind in this folder; whether there were any.

    On Linux they end with their keeper; elsewhere they do not.
    """
    left = processes_of(folder)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=STOP_TIMEOUT_S)
    return bool(left)


def _is_keeper(pid: int, folder: Path) -> bool:
    """Whether this process keeps that folder; the lock's holder may just be writing its id."""
    try:
        arguments = psutil.Process(pid).cmdline() if pid else []
    except psutil.Error:
        return False
    return keeper.__file__ in arguments and str(folder) in arguments


def processes_of(folder: Path) -> list[psutil.Process]:
    """The control plane's programs that work in this folder, by their arguments; the keeper is none of them."""
    found = []
    for process in psutil.process_iter():
        try:
            program, *arguments = process.cmdline() or [""]
        except psutil.Error:  # ended meanwhile, or somebody else's
            continue
        if Path(program).name in PROGRAMS and any(f"={folder}/" in argument for argument in arguments):
            found.append(process)
    return found
