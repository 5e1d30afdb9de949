"""A double's process, from its owner's side: start, what it says when it serves, end."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

import msgspec

START_TIMEOUT_S: Final = 30.0

Ready = TypeVar("Ready", bound=msgspec.Struct)


class OwnedProcess(Generic[Ready]):
    """A double in a process of its own, which ends with its owner, however that ends.

    Args:
        port: of the double; 0 for a free one.
        log: where the process's standard error goes; the owner's own if left out.
    """

    double: ClassVar[str]
    """What it is a double of."""
    module: ClassVar[str]
    """What is run."""
    says: ClassVar[type[Any]]
    """What the process says when it serves."""

    def __init__(self, *, port: int = 0, log: Path | None = None) -> None:
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: Ready | None = None

    def start(self) -> Self:
        """Start the process and wait until it serves.

        Raises:
            RuntimeError: it ended, or did not serve in time.
        """
        # -P: a file of the current folder must not stand in for a module.
        command = [sys.executable, "-P", "-m", self.module, "--owned", "--port", str(self._port)]
        log = self._log.open("ab") if self._log else None
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        finally:
            if log:
                log.close()
        line = _read_line(self._process, START_TIMEOUT_S)
        if not line:
            self.stop()
            raise RuntimeError(f"the {self.double} double did not start; its log tells why")
        self._ready = msgspec.json.decode(line, type=self.says)
        return self

    def stop(self) -> None:
        """End the process and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ready(self) -> Ready:
        """What the process said when it began to serve."""
        if self._ready is None:
            raise RuntimeError(f"the {self.double} double is not started")
        return self._ready

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            raise RuntimeError(f"the {self.double} double is not running")
        return self._process.pid


def _read_line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    if process.stdout is None:
        raise RuntimeError("the process has no standard output")
    deadline = time.monotonic() + timeout_s
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            return b""
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return b""
        line += piece
    return line
