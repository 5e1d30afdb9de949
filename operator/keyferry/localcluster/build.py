"""Building the pinned programs with Go, once per machine and pins.

One process builds and others wait for it; the result appears in the cache at once or not at all. The
numbers of what building takes were measured with these pins on Linux.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from keyferry.localcluster import pins
from keyferry.localcluster.cache import cache_folder
from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.estimate import Estimate
from keyferry.localcluster.progress import Progress, minutes
from keyferry.localcluster.resources import (
    GIB,
    DiskNeed,
    available_memory,
    check_disk,
    parallel_jobs,
    usable_cores,
)
from keyferry.localcluster.toolchain import Go, obtain_go

BINARIES_BYTES = int(0.3 * GIB)
BUILD_CACHE_BYTES = int(3.2 * GIB)
MODULES_BYTES = int(1.1 * GIB)
TEMPORARY_BYTES = int(2.6 * GIB)
MEMORY_BASE_BYTES = int(2.25 * GIB)
"""Linking kube-apiserver takes most of it."""
MEMORY_EACH_BYTES = int(1.25 * GIB)

TAIL_LINES = 15
TICK_S = 0.5
GRACE_S = 10.0
"""How long Go may take to end after an interrupt."""

Builder = Callable[[Path, Progress], None]
"""Puts all programs into the folder that it is given, which exists and is empty."""


def built_folder(kit: pins.Kit | None = None) -> Path:
    """Where the programs of these pins are, once they are built."""
    kit = kit or pins.control_plane()
    return cache_folder() / f"{kit.prefix}-{kit.fingerprint()}"


def is_complete(folder: Path, kit: pins.Kit | None = None) -> bool:
    """Whether all programs are there."""
    return all(os.access(folder / program, os.X_OK) for program in (kit or pins.control_plane()).programs)


def ensure_built(progress: Progress, builder: Builder | None = None, kit: pins.Kit | None = None) -> Path:
    """The folder of the built programs; builds them where they are not there yet.

    Args:
        progress: told what is built, how far it is and how long it takes.
        builder: builds; `build_all` unless given.
        kit: what; the control plane unless given.

    Raises:
        LocalClusterError: something is missing, or the build fails.
    """
    kit = kit or pins.control_plane()
    folder = built_folder(kit)
    if is_complete(folder, kit):
        return folder
    with _only_one(folder.parent, kit, progress):
        if is_complete(folder, kit):  # the other one has built it
            return folder
        for left in folder.parent.glob(f"{kit.prefix}-*.partial"):  # by a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix=f"{kit.prefix}-", suffix=".partial", dir=folder.parent
        ) as partial:
            result = Path(partial) / "bin"
            result.mkdir(mode=0o755)
            if builder is not None:
                builder(result, progress)
            else:
                build_all(result, progress, kit)
            if not is_complete(result, kit):
                missing = [name for name in kit.programs if not (result / name).exists()]
                raise LocalClusterError(f"the build did not make {', '.join(missing)}")
            shutil.rmtree(folder, ignore_errors=True)  # incomplete: somebody removed a part
            result.rename(folder)
    return folder


@contextlib.contextmanager
def _only_one(cache: Path, kit: pins.Kit, progress: Progress) -> Iterator[None]:
    """Hold the build lock; says for whom it waits."""
    lock = FileLock(cache / f"{kit.name}.lock")
    holder = cache / f"{kit.name}.pid"
    began = time.monotonic()
    told = False
    while True:
        try:
            lock.acquire(timeout=TICK_S, poll_interval=0.1)
            break
        except Timeout:
            if not told:
                who = holder.read_text().strip() if holder.exists() else "unknown"
                progress.say(f"Another process ({who}) builds {kit.what}: waiting for it")
                told = True
            progress.update(f"Waiting for the other build, {minutes(time.monotonic() - began)}")
    try:
        holder.write_text(f"{os.getpid()}\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def build_all(result: Path, progress: Progress, kit: pins.Kit | None = None) -> None:
    """Build every family into the folder `result`."""
    kit = kit or pins.control_plane()
    work = cache_folder() / f"work-{kit.name}"
    jobs = parallel_jobs(available_memory(), usable_cores(), base=MEMORY_BASE_BYTES, each=MEMORY_EACH_BYTES)
    progress.say(f"Building {kit.what}'s programs from source, once: {kit.described()}")
    go = obtain_go(kit.minimum_go(), progress)
    environment = go.environment(work)
    check_disk(_disk_needs(result, go, environment, kit))
    estimate = Estimate()
    builds = [_FamilyBuild(family, go, environment, progress, estimate) for family in kit.families]
    try:
        for build in builds:
            build.plan(jobs)
        left = estimate.left_s()
        progress.say(f"Compiling with Go {go.version}, {jobs} at a time: about {minutes(left)} minutes")
        for build in builds:
            build.run(result, jobs)
    finally:
        shutil.rmtree(work / "tmp", ignore_errors=True)
    progress.update("Removing what only the build needed")
    shutil.rmtree(work, ignore_errors=True)  # after a failure it stays, and speeds up the next try
    progress.say(f"Built in {minutes(estimate.elapsed_s)} into {built_folder(kit)}")


class _FamilyBuild:
    """One family's `go list` and `go build`, watched: their output tells how far they are."""

    def __init__(
        self, family: pins.Family, go: Go, environment: dict[str, str], progress: Progress, estimate: Estimate
    ) -> None:
        self._family = family
        self._go = str(go.command)
        self._environment = environment
        self._progress = progress
        self._estimate = estimate
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._downloads = 0
        self._known = 0
        self._stale: set[str] = set()
        self._compiled: set[str] = set()
        self._compiling = f"compiling {family.name}"
        self._linking = f"linking {family.name}"
        self._tags = [f"-tags={','.join(family.tags)}"] if family.tags else []

    def plan(self, jobs: int) -> None:
        """Fetch the sources, and find out what has to be compiled; Go's own cache may hold most of it."""
        template = "{{if .Stale}}stale{{else}}done{{end}} {{.ImportPath}}"
        flags = ["-mod=readonly", "-trimpath", *self._tags, "-deps", "-f", template]
        self._go_command(["list", *flags, *self._family.packages.values()], self._on_listing, self._fetching)
        share = len(self._stale) / max(1, self._known)
        self._estimate.expect(self._compiling, self._family.compile_cpu_s * share / jobs)
        self._estimate.expect(self._linking, self._family.link_s)

    def run(self, result: Path, jobs: int) -> None:
        """Build this family's programs into `result`."""
        self._estimate.enter(self._compiling)
        if len(self._family.packages) == 1:
            (target,) = (str(result / name) for name in self._family.packages)
        else:
            target = f"{result}/"  # each program is named after its folder
        flags = ["-mod=readonly", "-trimpath", *self._tags, "-v", "-p", str(jobs)]
        linked = ["-ldflags", self._family.ldflags, "-o", target]
        arguments = ["build", *flags, *linked, *self._family.packages.values()]
        self._go_command(arguments, self._on_build, self._building)

    def _on_listing(self, line: str) -> None:
        if line.startswith(("stale ", "done ")):
            self._known += 1
            package = line.partition(" ")[2]
            # The main packages count as stale whenever something is to be linked.
            if line.startswith("stale ") and package not in self._family.packages.values():
                self._stale.add(package)
        elif line.startswith("go: downloading "):
            self._downloads += 1
        elif line:
            self._tail.append(line)

    def _on_build(self, line: str) -> None:
        if line in self._stale:
            self._compiled.add(line)
        elif line and not line.startswith("go: downloading "):
            self._tail.append(line)

    def _fetching(self) -> str:
        fetched = f", {self._downloads} modules" if self._downloads else ""
        return f"{self._family.name}: fetching sources{fetched}, {minutes(self._estimate.elapsed_s)} so far"

    def _building(self) -> str:
        done, total = len(self._compiled), len(self._stale)
        if done < total:
            doing, fraction = f"compiled {done} of {total} packages", done / total
        else:
            doing, fraction = "linking", 0.0
            self._estimate.enter(self._linking)
        left_s = self._estimate.left_s(fraction)
        left = f", about {minutes(left_s)} left" if left_s >= 1 else ""
        return f"{self._family.name}: {doing}, {minutes(self._estimate.elapsed_s)} so far{left}"

    def _go_command(
        self, arguments: Sequence[str], on_line: Callable[[str], None], show: Callable[[], str]
    ) -> None:
        """Run Go in the family's folder, showing progress while it works.

        Raises:
            LocalClusterError: it fails; the details are the last lines that say why.
        """
        with subprocess.Popen(
            [self._go, *arguments],
            cwd=self._family.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,  # so that its compilers can be ended with it
        ) as process:
            try:
                for line in _lines(process):
                    if line is not None:
                        on_line(line)
                    self._progress.update(show())
            except BaseException:
                _interrupt(process)
                raise
        if process.returncode:
            raise LocalClusterError(
                f"building {self._family.name} {self._family.version} failed (go {arguments[0]})",
                hint="The end of what Go says:",
                details=self._tail,
            )


def _interrupt(process: subprocess.Popen[str]) -> None:
    """End Go, which then removes its temporary files, and its compilers, which it would leave running."""
    # Not there: they have ended by themselves.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """The process's lines as they come, and None whenever half a second brings none."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip("\n"))
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while True:
        try:
            line = lines.get(timeout=TICK_S)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _disk_needs(result: Path, go: Go, environment: dict[str, str], kit: pins.Kit) -> list[DiskNeed]:
    asked = [str(go.command), "env", "GOCACHE", "GOMODCACHE"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment)
    build_cache, modules = said.stdout.splitlines()
    needs = (
        (result, BINARIES_BYTES * kit.share, "programs"),
        (Path(build_cache), BUILD_CACHE_BYTES * kit.share, "Go's build cache"),
        (Path(modules), MODULES_BYTES * kit.sources, "sources"),
        (Path(environment["GOTMPDIR"]), TEMPORARY_BYTES * kit.share, "temporary files"),
    )
    return [DiskNeed(folder, int(size), what) for folder, size, what in needs]
