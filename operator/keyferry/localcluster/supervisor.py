"""The owner's side of the keeper: start programs that cannot outlive us, and ask about them.

Only `cluster.py` uses it. No knowledge of Kubernetes here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keyferry.localcluster import keeper
from keyferry.localcluster.errors import LocalClusterError

KEEPER_LOG = "keeper.log"


class Supervisor:
    """A running keeper process.

    Args:
        folder: the control plane's folder; one keeper at a time, a lock sees to it.
        remove: remove the folder at the end, however we end.
        graceful: give programs their time to end also where the folder is removed.

    Raises:
        LocalClusterError: another keeper has the folder.
    """

    def __init__(self, folder: Path, *, remove: bool = False, graceful: bool = False) -> None:
        self._lock = threading.Lock()
        self._owner = os.getpid()
        with (folder / KEEPER_LOG).open("ab") as log:
            self._process = subprocess.Popen(
                # -I: neither PYTHON* variables nor the working folder decide what is imported.
                [sys.executable, "-I", keeper.__file__, str(folder), str(self._owner)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            if "error" in self._read():
                raise LocalClusterError(f'a control plane already runs in "{folder}"')
            if remove:
                self._ask("remove", graceful=graceful)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._process.pid

    def reserve_port(self, wish: int = 0) -> int:
        """A loopback port that stays ours until the end; `wish` where that is free."""
        return int(self._ask("reserve", port=wish)["port"])

    def start(self, name: str, argv: Sequence[str], log: Path, *, grace_s: float = 0.0) -> int:
        """Start a program; its process id.

        Args:
            name: for later requests.
            argv: the executable and its arguments; the working folder is the control plane's.
            log: its output goes to the end of this file.
            grace_s: how long it may take to end at the end; 0 kills it, which loses nothing of a
                program that keeps nothing.

        Raises:
            LocalClusterError: it cannot be executed.
        """
        return int(self._ask("start", name=name, argv=list(argv), log=str(log), grace_s=grace_s)["pid"])

    def stop(self, name: str, grace_s: float) -> int:
        """End a program, by force after `grace_s` seconds; its exit code. Idempotent."""
        return int(self._ask("stop", name=name, grace_s=grace_s)["code"])

    def running(self) -> dict[str, int]:
        """Names and process ids of the programs that run now."""
        return {str(name): int(pid) for name, pid in self._ask("poll")["running"].items()}

    def ended(self) -> dict[str, int]:
        """Names and exit codes of the programs that ended by themselves."""
        return {str(name): int(code) for name, code in self._ask("poll")["ended"].items()}

    def detach(self) -> None:
        """Leave the keeper and its programs running when we end."""
        self._ask("detach")
        self._close_pipes()
        self._process.returncode = 0  # no longer ours: spares the warning about a child still running

    def close(self) -> bool:
        """End everything and wait for it. Idempotent; of no effect in a forked child.

        Returns:
            Whether all was left in order; not so when somebody has killed the keeper.
        """
        if os.getpid() != self._owner:
            return True
        self._close_pipes()
        return self._process.wait() == 0

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _ask(self, do: str, **arguments: Any) -> Mapping[str, Any]:
        with self._lock:
            stdin = self._process.stdin
            if stdin is None or stdin.closed:
                raise LocalClusterError("the control plane has been stopped")
            try:
                stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
                stdin.flush()
            except BrokenPipeError:
                raise LocalClusterError("the control plane's keeper process is gone") from None
            answer = self._read()
        if "error" in answer:
            raise LocalClusterError(f"the control plane cannot {do}: {answer['error']}")
        return answer

    def _read(self) -> Mapping[str, Any]:
        stdout = self._process.stdout
        line = stdout.readline() if stdout is not None else b""
        if not line:
            raise LocalClusterError("the control plane's keeper process is gone")
        answer: Mapping[str, Any] = json.loads(line)
        return answer
