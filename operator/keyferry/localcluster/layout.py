"""The folder of one control plane: which file is where, and who may have it.

DIR/kubeconfig            the administrator's, with a bearer token
DIR/kubeconfigs/NS.NAME   a ServiceAccount's
DIR/state.json            the port, so that a kept folder starts again at the same address
DIR/tokens.csv            the administrator's token, for kube-apiserver
DIR/pki/  DIR/etcd/  DIR/logs/  DIR/kubectl-cache/
DIR/keeper.lock           locked by the keeper process while the control plane runs
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from keyferry.localcluster.certificates import Pki
from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.keeper import LOCK_FILE


class Layout:
    """The paths in a control plane's folder.

    Args:
        folder: its absolute path.
        temporary: it goes away with the control plane.
    """

    def __init__(self, folder: Path, *, temporary: bool = False) -> None:
        self.folder = folder
        self.temporary = temporary
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfigs = folder / "kubeconfigs"
        self.controller_kubeconfig = folder / "kubeconfigs" / "kube-controller-manager"
        self.state = folder / "state.json"
        self.tokens = folder / "tokens.csv"
        self.pki = Pki(folder / "pki")
        self.etcd = folder / "etcd"
        self.logs = folder / "logs"
        self.kubectl_cache = folder / "kubectl-cache"

    @classmethod
    def in_temporary_folder(cls) -> Layout:
        """A new folder that only its owner can read."""
        folder = Path(tempfile.mkdtemp(prefix="keyferry-cluster-")).resolve()
        return cls(folder, temporary=True).prepared()

    @classmethod
    def at(cls, folder: Path) -> Layout:
        """This folder, made where it is missing.

        Raises:
            LocalClusterError: it holds something else, or a running control plane.
        """
        folder = folder.expanduser().resolve()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            strangers = any(folder.iterdir()) and not (folder / LOCK_FILE).exists()
        except OSError as error:
            raise LocalClusterError(f'cannot use the folder "{folder}": {error.strerror}') from None
        if strangers:
            raise LocalClusterError(
                f'the folder "{folder}" holds something else', hint="Name an empty or a new folder"
            )
        if (pid := running_pid(folder)) is not None:
            raise LocalClusterError(
                f'a control plane already runs in "{folder}" (process {pid})',
                hint=f"End it with: keyferry cluster stop --data {folder}",
            )
        folder.chmod(0o700)
        return cls(folder).prepared()

    def prepared(self) -> Layout:
        """Itself, with its subfolders made, and the file by which `at` knows it again."""
        (self.folder / LOCK_FILE).touch(mode=0o600)
        for path in (self.kubeconfigs, self.logs, self.etcd):
            path.mkdir(mode=0o700, exist_ok=True)
        return self

    def log(self, program: str) -> Path:
        """The program's log."""
        return self.logs / f"{program}.log"

    def last_port(self) -> int:
        """The API server's port of the last run, 0 where there was none."""
        if not self.state.exists():
            return 0
        return int(json.loads(self.state.read_text())["port"])

    def remember_port(self, port: int) -> None:
        """For the next run in this folder."""
        self.state.write_text(json.dumps({"port": port}) + "\n")

    def bearer_tokens(self, users: Sequence[str], *, group: str) -> dict[str, str]:
        """A bearer token for each user, all in one group; made once, in the file that kube-apiserver reads."""
        if not self.tokens.exists():
            rows = [f'{secrets.token_urlsafe(32)},{user},{user},"{group}"\n' for user in users]
            write_private(self.tokens, "".join(rows))
        lines = self.tokens.read_text().splitlines()
        return {user: token for token, user, *_ in (line.split(",") for line in lines)}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at once: no reader sees half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(name).replace(path)


def running_pid(folder: Path) -> int | None:
    """The keeper that runs in this folder, None where none does. The lock decides: it ends with its process."""
    try:
        with (folder / LOCK_FILE).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read().strip()
                return int(text) if text else 0
            return None
    except FileNotFoundError:
        return None
