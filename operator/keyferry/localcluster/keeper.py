"""The process that holds a control plane: it starts the programs, and ends them when it should end.

The owner (`supervisor.py`) runs this file as a program of its own, in a session of its own, so that
Ctrl-C in a terminal reaches the owner and not the control plane. Whatever becomes of the owner,
including kill -9, its end closes our standard input, and we end everything: this works alike on
Linux and macOS. Should this process itself be killed, Linux ends the programs with it.

Only the standard library here, and one thread: it starts in some 20 ms, and a parent-death signal
may be set between fork and exec only where no other thread can hold a lock.

Usage: keeper.py DIR. Requests are lines of JSON on standard input, each answered by one line on
standard output:

    {"do": "reserve", "port": 0}                         {"port": 40123}
    {"do": "start", "name": "etcd", "argv": [...], "log": PATH, "grace_s": 5}
                                                         {"pid": 123}
    {"do": "stop", "name": "etcd", "grace_s": 5}         {"code": 0}
    {"do": "poll"}                                       {"running": {"etcd": 123}, "ended": {}}
    {"do": "remove", "graceful": false}                  {}     DIR goes away at the end
    {"do": "detach"}                                     {}     from now on live without the owner
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOCK_FILE = "keeper.lock"
"""In DIR; locked while the keeper lives, and holds its process id. A lock ends with its process."""

WATCH_S = 1.0
"""How often the owner and the programs are looked after when nothing is asked."""

_PR_SET_PDEATHSIG = 1


class Keeper:
    """The programs, the reserved port, and the folders to remove at the end."""

    def __init__(self, folder: Path, owner: int) -> None:
        self._folder = folder
        self._owner = owner
        self._attached = True
        self._asked_to_end = False
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self._grace_s: dict[str, float] = {}
        self._ended: dict[str, int] = {}
        self._remove = False
        self._graceful = True
        self._reserved: socket.socket | None = None
        self._tie = _tie_to_parent()
        self._wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end)

    def run(self) -> None:
        """Serve the owner until it is gone or we are told to end; then end everything."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the wake-up pipe is written
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            while not self._asked_to_end and self._someone_needs_us():
                self._serve_once()
        finally:
            self._end()

    def _on_sigterm(self, *_: object) -> None:
        self._asked_to_end = True

    def _someone_needs_us(self) -> bool:
        self._reap()
        if self._attached:
            return os.getppid() == self._owner
        return bool(self._programs)

    def _serve_once(self) -> None:
        sources = [self._wake, sys.stdin] if self._attached else [self._wake]
        readable, _, _ = select.select(sources, [], [], WATCH_S)
        if self._wake in readable:
            os.read(self._wake, 512)
        if sys.stdin not in readable:
            return
        line = sys.stdin.readline()
        if not line:
            self._asked_to_end = True
            return
        request: dict[str, Any] = json.loads(line)
        try:
            answer = getattr(self, "do_" + request.pop("do"))(**request)
        except OSError as error:
            answer = {"error": str(error)}
        try:
            _say(answer)
        except BrokenPipeError:
            self._asked_to_end = True

    def do_reserve(self, port: int) -> dict[str, Any]:
        """Keep a port of the loopback address for us, so that nobody takes it while its server restarts.

        The socket is bound and never listens; the server shares the port by SO_REUSEPORT. A wish that
        another program holds is answered with another port: a bind without sharing finds that out.
        """
        if port:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    port = 0
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", port))
        self._reserved = reserved
        return {"port": reserved.getsockname()[1]}

    def do_start(self, name: str, argv: list[str], log: str, grace_s: float) -> dict[str, Any]:
        """Start a program; its output goes to the end of the log file."""
        self._ended.pop(name, None)
        self._grace_s[name] = grace_s
        environment = {key: os.environ[key] for key in ("PATH", "TMPDIR") if key in os.environ}
        with Path(log).open("ab") as output:
            self._programs[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                env=environment,
                process_group=0,  # so that what it starts can be ended with it
                preexec_fn=self._tie,  # noqa: PLW1509 - this process has one thread
            )
        return {"pid": self._programs[name].pid}

    def do_stop(self, name: str, grace_s: float) -> dict[str, Any]:
        """End one program; kill it when it has not ended after `grace_s`. Idempotent."""
        program = self._programs.pop(name, None)
        if program is None:
            return {"code": self._ended.get(name, 0)}
        if grace_s > 0:
            program.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(grace_s)
        program.kill()
        code = program.wait()
        _end_group(program.pid)
        return {"code": code}

    def do_poll(self) -> dict[str, Any]:
        """What runs, and what has ended by itself with which code."""
        self._reap()
        running = {name: program.pid for name, program in self._programs.items()}
        return {"running": running, "ended": self._ended}

    def do_remove(self, *, graceful: bool) -> dict[str, Any]:
        """Remove the folder at the end. What goes away needs no graceful end, unless it has more than files."""
        self._remove, self._graceful = True, graceful
        return {}

    def do_detach(self) -> dict[str, Any]:
        """Live without the owner, until SIGTERM."""
        self._attached = False
        return {}

    def _reap(self) -> None:
        for name, program in list(self._programs.items()):
            if program.poll() is not None:
                self._ended[name] = program.returncode
                del self._programs[name]
                _end_group(program.pid)

    def _end(self) -> None:
        for name in reversed(list(self._programs)):
            self.do_stop(name, self._grace_s[name] if self._graceful else 0.0)
        if self._remove:
            shutil.rmtree(self._folder, ignore_errors=True)


def _end_group(pid: int) -> None:
    """End what a program that has just ended has started and left behind, such as its plugins."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # there is nothing; macOS says it so
        os.killpg(pid, signal.SIGKILL)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _tie_to_parent() -> Callable[[], None] | None:
    """A function for between fork and exec that makes Linux kill the program when we die; None elsewhere."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the signal was set
            os._exit(1)

    return tie


def main() -> None:
    """Lock the folder, say so, serve."""
    folder = Path(sys.argv[1])
    owner = int(sys.argv[2])
    with (folder / LOCK_FILE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say({"error": "locked"})
            return
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        _say({"pid": os.getpid()})
        Keeper(folder, owner).run()


if __name__ == "__main__":
    main()
