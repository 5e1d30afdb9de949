"""The demo's programs besides the control plane: the AWS double and the operator, as processes.

A keeper process holds them, as it holds the control plane's: they end with the demo however that ends, or
live on once they are detached. So both modes of the demo run the same way. Each has its log in the folder.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from keyferry.cli.demo.failure import DemoFailed, end_of_log
from keyferry.localcluster.supervisor import Supervisor
from keyferry.testing.aws import StrictAws
from keyferry.testing.aws.process import Ready
from keyferry.testing.operator import free_port

AWS: Final = "the AWS double"
OPERATOR: Final = "the operator"
LOGS: Final = {AWS: "aws.log", OPERATOR: "operator.log"}
AWS_READY: Final = "aws.json"
"""What the AWS double says when it serves: address and keys, readable by the owner only."""

START_TIMEOUT_S: Final = 30.0
STOP_GRACE_S: Final = 20.0
_POLL_S: Final = 0.02
_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RunningAws(StrictAws):
    """An AWS double that another process holds.

    Args:
        folder: where it has left what it said.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._said = msgspec.json.decode((folder / AWS_READY).read_bytes(), type=Ready)

    @property
    def ready(self) -> Ready:
        """What the process said when it began to serve."""
        return self._said


class Programs:
    """Starts them, asks them, ends them.

    Args:
        folder: an empty folder of the owner's alone; it goes away at the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keeper = Supervisor(folder, remove=True)
        self._live, self._metrics = 0, 0
        self.operator_pid = 0

    def start_aws(self) -> None:
        """Start the AWS double; `aws` waits for it."""
        said = str(self.folder / AWS_READY)
        # Its first line holds keys: into a file of its own, not into the log.
        self._start(
            AWS, ["/bin/sh", "-c", 'umask 077; exec "$@" >"$0"', said, *_python("keyferry.testing.aws")]
        )

    def aws(self) -> RunningAws:
        """The AWS double, once it serves."""
        said = self.folder / AWS_READY
        self._until(lambda: said.exists() and said.read_bytes().endswith(b"\n"), AWS)
        return RunningAws(self.folder)

    def start_operator(self, kubeconfig: Path, environment: Mapping[str, str]) -> None:
        """Start `keyferry run`, and wait until it is ready.

        Args:
            kubeconfig: who it is.
            environment: variables to add to a bare environment.
        """
        self._live, self._metrics = free_port(), free_port()
        command = [
            *_python("keyferry", environment),
            "run",
            f"--kubeconfig={kubeconfig}",
            f"--live-addr=127.0.0.1:{self._live}",
            f"--metrics-addr=127.0.0.1:{self._metrics}",
        ]
        self.operator_pid = self._start(OPERATOR, command)
        self._until(self._operator_is_ready, OPERATOR)

    def stop_operator(self) -> int:
        """End the operator as a pod ends, by SIGTERM and patience; its exit code."""
        return self._keeper.stop(OPERATOR, STOP_GRACE_S)

    def metrics(self) -> str:
        """The text of the operator's /metrics."""
        with _NO_PROXY.open(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as answer:
            text: bytes = answer.read()
            return text.decode()

    def log(self, program: str) -> Path:
        """A program's log."""
        return self.folder / LOGS[program]

    def check(self) -> None:
        """That all of them run.

        Raises:
            DemoFailed: one has ended; with the end of its log.
        """
        for program, code in self._keeper.ended().items():
            raise DemoFailed(
                f"{program} ended with code {code}",
                hint="The end of its log:",
                details=self._end_of_log(program),
            )

    def detach(self) -> None:
        """Leave them running when this process ends; `localcluster.detached.stop` ends them."""
        self._keeper.detach()

    def close(self) -> None:
        """End them and remove the folder. Idempotent; without effect on what is detached."""
        self._keeper.close()

    def _start(self, program: str, command: list[str]) -> int:
        return self._keeper.start(program, command, self.log(program), grace_s=STOP_GRACE_S)

    def _end_of_log(self, program: str) -> list[str]:
        return end_of_log(self.log(program))

    def _operator_is_ready(self) -> bool:
        try:
            with _NO_PROXY.open(f"http://127.0.0.1:{self._live}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.HTTPError, OSError):
            return False

    def _until(self, condition: Callable[[], bool], program: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"{program} is not ready after {START_TIMEOUT_S:g} s",
                    hint="The end of its log:",
                    details=self._end_of_log(program),
                )
            time.sleep(_POLL_S)


def _python(module: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """The command that runs a module in a bare environment: nothing of the user's AWS or proxies reaches it."""
    variables = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
        **(environment or {}),
    }
    settings = [f"{name}={value}" for name, value in variables.items()]
    # -P: a file of the current folder must not stand in for a module.
    return ["/usr/bin/env", *settings, sys.executable, "-P", "-m", module]


def isolate(environment: dict[str, str] | os._Environ[str]) -> None:
    """Keep the user's own AWS settings and proxies away from the calls that this process makes to the double."""
    for name in [name for name in environment if name.upper().startswith("AWS_")]:
        del environment[name]
    environment["AWS_CONFIG_FILE"] = environment["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, [environment.get(name, ""), "127.0.0.1,localhost"]))
