"""The Azure double's process, from its owner's side: start, addresses, end."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from keyferry.testing.azure.administrator import Administrator
from keyferry.testing.azure.client import AzureControl

START_TIMEOUT_S: Final = 30.0


class Ready(msgspec.Struct):
    """What the process says when it serves.

    Args:
        port: of all services with host names, and of Entra ID of the local cloud.
        machine: address of the metadata service.
        proxy: address of the proxy that leads to it.
        identity_header: what App Service's clients must send.
        ca_pem, ca_file: the CA of its certificates, and a file with it.
        control, token: the control API's address, and what it asks for.
    """

    port: int
    machine: str
    proxy: str
    identity_header: str
    ca_pem: str
    ca_file: str
    control: str
    token: str


class StrictAzure:
    """An Azure on this machine: Entra ID, Key Vault, container registries, managed identities.

    Every proof of identity, token and permission is checked. The process ends with its owner, however that ends.

    Args:
        port: the TLS port; 0 for a free one.
        log: where the process's standard error goes; the owner's own if left out.
    """

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
        command = [sys.executable, "-P", "-m", "keyferry.testing.azure", "--owned", "--port", str(self._port)]
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
            raise RuntimeError("the Azure double did not start; its log tells why")
        self._ready = msgspec.json.decode(line, type=Ready)
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
            raise RuntimeError("the Azure double is not started")
        return self._ready

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            raise RuntimeError("the Azure double is not running")
        return self._process.pid

    @property
    def ca_pem(self) -> str:
        """The CA of its certificates."""
        return self.ready.ca_pem

    @property
    def ca_file(self) -> Path:
        """A file with the CA, while it runs."""
        return Path(self.ready.ca_file)

    @property
    def proxy(self) -> str:
        """The proxy that leads to it under the clouds' own host names, and nowhere else."""
        return self.ready.proxy

    @property
    def login_url(self) -> str:
        """Address of Entra ID of the local cloud."""
        return f"https://127.0.0.1:{self.ready.port}"

    @property
    def custom_cloud(self) -> dict[str, Any]:
        """`customCloudConfig` of a store in the local cloud, whose services are on loopback ports."""
        return {
            "activeDirectoryEndpoint": f"{self.login_url}/",
            "keyVaultEndpoint": "https://vault.local.example",
            "keyVaultDNSSuffix": "vault.local.example",
            "resourceManagerEndpoint": "https://management.local.example",
        }

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead a client to it: proxy, CA and metadata service, without any credentials."""
        return {
            "HTTPS_PROXY": self.proxy,
            "NO_PROXY": "127.0.0.1,localhost,::1",
            "SSL_CERT_FILE": str(self.ca_file),
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": self.ready.machine,
        }

    @property
    def site_environment(self) -> dict[str, str]:
        """Environment variables of a workload of App Service, besides `environment`."""
        return {
            "IDENTITY_ENDPOINT": f"{self.ready.machine}/msi/token",
            "IDENTITY_HEADER": self.ready.identity_header,
        }

    @property
    def control(self) -> AzureControl:
        """Faults, outages, expiry, the call log."""
        return AzureControl(self.ready.control, self.ready.token)

    def administrator(self, cloud: str = "PublicCloud") -> Administrator:
        """One who may do everything in a new directory, and in the vaults that are made there.

        Args:
            cloud: PublicCloud, USGovernmentCloud, ChinaCloud, GermanCloud, AzureStackCloud, or LocalCloud, whose
                vaults are on loopback ports.
        """
        return Administrator(self.control, cloud)


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
