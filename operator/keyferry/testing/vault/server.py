"""A real Vault on loopback: `with VaultServer() as vault: ...`; see the package's docstring."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from keyferry.localcluster import Progress, Silent, binaries, pins
from keyferry.localcluster.supervisor import Supervisor
from keyferry.testing.authority import Authority
from keyferry.testing.eventually import eventually
from keyferry.testing.operator import free_port
from keyferry.testing.vault.administrator import Administrator
from keyferry.testing.vault.api import Api
from keyferry.testing.vault.audit import AuditLog
from keyferry.testing.vault.proxy import VaultProxy

TRIES: Final = 3
"""A free port can be taken by somebody else before the server has it."""
LOG_LINES: Final = 15
PLUGINS: Final = {pins.KUBERNETES_LOGIN: "auth", pins.POSTGRESQL_ENGINE: "database"}
"""Programs beside Vault's own, and what they are for it."""


class VaultServer:
    """A Vault with storage in memory, unsealed, with the plugins that the build leaves out registered.

    It ends with its owner, however that ends. Nothing is mounted but what every Vault has.

    Args:
        log: where its log goes; kept. Left out, it goes away with the server.
        progress: told what is built, the first time.

    Attributes:
        url: where it serves, over TLS.
        authority: who signed its certificate; `ca_pem` for clients.
        audit: what was asked of it.
    """

    def __init__(self, *, log: Path | None = None, progress: Progress | None = None) -> None:
        self.authority = Authority()
        self.url = ""
        self.audit = AuditLog(Path())
        self._progress = progress or Silent()
        self._kept_log = log
        self._supervisor: Supervisor | None = None
        self._folder = Path()
        self._administrator: Administrator | None = None

    def start(self) -> Self:
        """Start it, and wait until it serves; builds its programs where they are missing.

        Raises:
            LocalClusterError: they have to be built, and that fails.
            RuntimeError: it does not start; holds the end of its log.
        """
        # As it is named: Vault takes no folder of plugins that a link leads to.
        programs = binaries.obtain_vault(self._progress).resolve()
        self._folder = Path(tempfile.mkdtemp(prefix="keyferry-vault-")).resolve()
        self._supervisor = Supervisor(self._folder, remove=True)
        try:
            for _ in range(TRIES):
                if self._serves(programs):
                    self._open(programs)
                    return self
            raise RuntimeError("Vault did not start:\n" + "\n".join(self.log.splitlines()[-LOG_LINES:]))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and remove its folder. Idempotent."""
        supervisor, self._supervisor = self._supervisor, None
        if self._administrator is not None:
            self._administrator.api.close()
        if supervisor is not None:
            supervisor.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ca_pem(self) -> str:
        """The certificate authority, PEM."""
        return self.authority.ca_pem

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._supervisor is None:
            raise RuntimeError("Vault is not started")
        return self._supervisor.running()["vault"]

    @property
    def administrator(self) -> Administrator:
        """One who may do everything."""
        if self._administrator is None:
            raise RuntimeError("Vault is not started")
        return self._administrator

    def proxy(self) -> VaultProxy:
        """A front of its own address, that can fail and counts calls: `with vault.proxy() as proxy: ...`."""
        return VaultProxy(self.url, self.authority)

    @property
    def _log(self) -> Path:
        return self._kept_log or self._folder / "vault.log"

    def _serves(self, programs: Path) -> bool:
        """Start it on a free port, and wait until it answers; False where it ended."""
        if self._supervisor is None:
            raise RuntimeError("Vault is not started")
        supervisor = self._supervisor
        self.url = f"https://127.0.0.1:{(port := free_port())}"
        arguments = ["server", f"-config={self._configuration(programs, port)}"]
        # Where its plugins make their sockets, and leave them.
        command = ["/usr/bin/env", f"TMPDIR={self._folder}", str(programs / "vault"), *arguments]
        supervisor.start("vault", command, self._log)
        api = Api(self.url, self.ca_pem)

        def answered() -> bool:
            return "vault" in supervisor.ended() or api.send("GET", "sys/health")[0] == 501

        eventually(answered, timeout_s=60.0, every_s=0.05)
        api.close()
        return "vault" not in supervisor.ended()

    def _configuration(self, programs: Path, port: int) -> Path:
        pair = self.authority.server()
        certificate, key = self._folder / "tls.crt", self._folder / "tls.key"
        certificate.write_text(pair.certificate)
        key.write_text(pair.key)
        listener = {
            "address": f"127.0.0.1:{port}",
            "tls_cert_file": str(certificate),
            "tls_key_file": str(key),
        }
        content = {
            "storage": {"inmem": {}},
            "listener": [{"tcp": listener}],
            "api_addr": self.url,
            "plugin_directory": str(programs),
            "disable_mlock": True,  # needs a capability that few have
        }
        path = self._folder / "vault.json"
        path.write_text(json.dumps(content))
        return path

    def _open(self, programs: Path) -> None:
        """Initialise and unseal it, register the plugins, write an audit log."""
        api = Api(self.url, self.ca_pem)
        made = api.request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        administrator = Administrator(api.with_token(made["root_token"]), unseal_key=made["keys_base64"][0])
        api.close()
        administrator.unseal()
        for name, kind in PLUGINS.items():
            with (programs / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            administrator.api.request(
                "PUT", f"sys/plugins/catalog/{kind}/{name}", {"sha256": digest, "command": name}
            )
        self.audit = AuditLog(self._folder / "audit.log")
        administrator.write_audit_log(self._folder / "audit.log")
        self._administrator = administrator
