"""Is there room to build: free disk and memory, asked before and not found out after ten minutes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from keyferry.localcluster.errors import LocalClusterError

GIB = 1024**3

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""A container's own limit, which the machine's numbers do not show: version 2, version 1."""


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Bytes that will be written below a folder, and what they are."""

    folder: Path
    size: int
    purpose: str


def check_disk(needs: Sequence[DiskNeed], free: Callable[[Path], int] | None = None) -> None:
    """Raise unless each file system has room for all that is written to it.

    Args:
        needs: what will be written; the folders need not exist yet.
        free: bytes free below an existing folder; the system's answer unless given.

    Raises:
        LocalClusterError: names the file system's folder, what is needed and what is free.
    """
    free = free or (lambda folder: shutil.disk_usage(folder).free)
    by_device: dict[int, list[DiskNeed]] = {}
    for need in needs:
        existing = _existing(need.folder)
        placed = DiskNeed(existing, need.size, need.purpose)
        by_device.setdefault(existing.stat().st_dev, []).append(placed)
    for placed_needs in by_device.values():
        wanted = sum(need.size for need in placed_needs)
        available = free(placed_needs[0].folder)
        if available < wanted:
            purposes = ", ".join(f"{need.purpose} {_gib(need.size)}" for need in placed_needs)
            folders = " and ".join(sorted({f'"{need.folder}"' for need in placed_needs}))
            raise LocalClusterError(
                f"building the control plane needs {_gib(wanted)} on the disk of {folders} ({purposes}), "
                f"and {_gib(available)} are free",
                hint="Free some space, or set XDG_CACHE_HOME (and Go's GOCACHE, GOMODCACHE) to another disk",
            )


def available_memory() -> int:
    """Bytes that programs may still take, swap included; within a container, its limit at most."""
    available = int(psutil.virtual_memory().available + psutil.swap_memory().free)
    for limit in CGROUP_LIMITS:
        try:
            available = min(available, int(limit.read_text()))
        except (OSError, ValueError):  # no such version of cgroups, or "max"
            continue
    return available


def usable_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parallel_jobs(memory: int, cores: int, *, base: int, each: int) -> int:
    """How many compilers fit.

    Args:
        memory: bytes available.
        cores: cores usable.
        base: bytes that one compiler at work needs, at least.
        each: bytes for each further one.

    Raises:
        LocalClusterError: not even one fits.
    """
    if memory < base:
        raise LocalClusterError(
            f"building the control plane needs {_gib(base)} of memory, and {_gib(memory)} are available",
            hint="End other programs, or add memory or swap",
        )
    return max(1, min(cores, 1 + (memory - base) // each))


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
