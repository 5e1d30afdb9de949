"""The operator as a process of its own, as users run it: for tests, the demo and benchmarks.

It is started by its command line with a kubeconfig, never imported. Its log is read as it grows.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from keyferry.testing.eventually import eventually

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
LOOK_TIMEOUT_S: Final = 60.0
"""A look at everything waits for all keys, slow stores of other tests among them."""
_AWS_VARIABLES: Final = ("AWS_", "KUBECONFIG", "KUBERNETES_SERVICE_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


LOOKED: Final = "looked again at "
"""What it logs when it has looked at everything after SIGUSR1."""


class OperatorProcess:
    """`keyferry run` in a process.

    Args:
        kubeconfig: who it is.
        environment: variables to add; those of AWS, proxies and Kubernetes are not inherited.
        flags: further flags.
        on_line: called with each line of its log, from a thread.
    """

    def __init__(
        self,
        kubeconfig: Path,
        environment: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._environment = dict(environment or {})
        self._flags = list(flags)
        self._on_line = on_line
        self._live, self._metrics = free_port(), free_port()
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self, *, wait: bool = True) -> Self:
        """Start it, and wait until it is ready.

        Raises:
            AssertionError: it ended, or did not become ready in time; holds the end of its log.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.upper().startswith(_AWS_VARIABLES)}
        command = [
            sys.executable,
            "-m",
            "keyferry",
            "run",
            f"--kubeconfig={self._kubeconfig}",
            f"--live-addr=127.0.0.1:{self._live}",
            f"--metrics-addr=127.0.0.1:{self._metrics}",
            *self._flags,
        ]
        self._process = subprocess.Popen(
            command,
            env=inherited | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if wait:
            eventually(self._is_ready, timeout_s=START_TIMEOUT_S)
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stderr is None:
            return
        for line in process.stderr:
            self._lines.append(line.rstrip("\n"))
            if self._on_line is not None:
                self._on_line(line.rstrip("\n"))

    def _is_ready(self) -> bool:
        if self.exit_code is not None:
            raise RuntimeError(f"the operator ended with {self.exit_code}:\n" + "\n".join(self._lines[-20:]))
        return self.probe("readyz") == 200

    def probe(self, path: str) -> int:
        """The HTTP status of a probe; 0 where there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._live}/{path}", timeout=5) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def metrics(self) -> str:
        """The text of /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as answer:
            text: bytes = answer.read()
            return text.decode()

    def metric(self, sample: str) -> float:
        """One sample's value by its name and labels as they stand in the text; 0 where it is not there."""
        for line in self.metrics().splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0

    @property
    def log(self) -> str:
        """All that it has logged so far."""
        return "\n".join(self._lines)

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise RuntimeError("the operator is not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def look_again(self) -> None:
        """Have it look at all that there is, and wait until it has."""
        before = self.log.count(LOOKED)
        self.signal(signal.SIGUSR1)
        eventually(
            lambda: self.exit_code is not None or self.log.count(LOOKED) > before,
            timeout_s=LOOK_TIMEOUT_S,
            every_s=0.02,
        )

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for its end; its exit code."""
        if self._process is None:
            raise RuntimeError("the operator is not started")
        code = self._process.wait(timeout_s)
        if self._reader is not None:
            self._reader.join(5)
        if self._process.stderr is not None:
            self._process.stderr.close()
        return code

    def stop(self) -> int:
        """End it as a pod ends: SIGTERM, then patience; its exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a node fails: at once."""
        self.signal(signal.SIGKILL)
        self.wait()

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.exit_code is None:
            self.stop()
