"""`LocalCluster`: start, use, disturb and stop a real control plane on this machine.

Synchronous, for the demo, the tests, the benchmarks and `keyferry cluster`. What runs and with which
flags is in `controlplane.py`, that nothing outlives its owner in `keeper.py`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from keyferry.localcluster import binaries, controlplane, detached
from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.kubeconfig import write_kubeconfig
from keyferry.localcluster.layout import Layout
from keyferry.localcluster.progress import Progress, Silent
from keyferry.localcluster.supervisor import Supervisor

START_TIMEOUT_S = 60.0
STOP_GRACE_S = 5.0
APISERVER_GRACE_S = 2.0
"""It answers what is under way within that; for open watches it would wait a minute."""
LOG_LINES = 12
TOKEN_LIFETIME = timedelta(hours=24)


class LocalCluster:
    """A running control plane; a context manager that ends it.

    Everything ends with the process that started it, also when that is killed. The folder goes away
    too, unless the caller named it.

    Attributes:
        server: the API server's URL.
        issuer: the issuer of ServiceAccount tokens; its discovery documents are served to everybody.
        ca_pem: the certificate authority, PEM.
        token: the administrator's bearer token (group system:masters).
        kubeconfig: the file that holds all of these.
        data_dir: the control plane's folder.
        binaries: the folder of etcd, kube-apiserver, kube-controller-manager and kubectl.
    """

    def __init__(
        self, programs: Path, layout: Layout, supervisor: Supervisor, port: int, extra: Sequence[str]
    ) -> None:
        """Not for callers: use `start`."""
        self.binaries = programs
        self.data_dir = layout.folder
        self.server = controlplane.server_url(port)
        self.issuer = self.server
        self.kubeconfig = layout.kubeconfig
        layout.pki.create(controlplane.SERVICE_ADDRESS)
        self.ca_pem = layout.pki.ca.read_text()
        tokens = layout.bearer_tokens(
            (controlplane.ADMIN, controlplane.CONTROLLERS_USER), group=controlplane.ADMIN_GROUP
        )
        self.token = tokens[controlplane.ADMIN]
        self._layout = layout
        self._port = port
        self._supervisor = supervisor
        self._extra = tuple(extra)
        self._temporary = layout.temporary
        self._write_kubeconfig(layout.kubeconfig, controlplane.ADMIN, self.token)
        controllers = tokens[controlplane.CONTROLLERS_USER]
        self._write_kubeconfig(layout.controller_kubeconfig, controlplane.CONTROLLERS_USER, controllers)

    @classmethod
    def start(
        cls,
        data_dir: Path | None = None,
        *,
        progress: Progress | None = None,
        apiserver_flags: Sequence[str] = (),
    ) -> Self:
        """A control plane that is ready to be used; builds its programs where they are missing.

        Args:
            data_dir: its folder, kept at the end; a folder of an earlier run continues with its data,
                keys and, where free, port. None: a temporary one, removed at the end.
            progress: told what happens.
            apiserver_flags: more flags for kube-apiserver.

        Raises:
            LocalClusterError: something is missing, does not start, or already runs there.
        """
        progress = progress or Silent()
        layout = None if data_dir is None else Layout.at(data_dir)  # may refuse: before minutes of building
        programs = binaries.obtain(progress)
        began = time.monotonic()
        layout = layout or Layout.in_temporary_folder()
        try:
            supervisor = Supervisor(layout.folder, remove=layout.temporary)
        except BaseException:
            # Interrupted before anybody else could know of the folder.
            if layout.temporary:
                shutil.rmtree(layout.folder, ignore_errors=True)
            raise
        try:
            port = supervisor.reserve_port(layout.last_port())
            layout.remember_port(port)
            cluster = cls(programs, layout, supervisor, port, apiserver_flags)
            cluster._start_programs(progress)
        except BaseException:
            supervisor.close()
            raise
        progress.say(f"The control plane is ready at {cluster.server} ({time.monotonic() - began:.1f} s)")
        return cluster

    def _start_programs(self, progress: Progress) -> None:
        progress.update("Starting etcd and kube-apiserver")
        program = self.binaries / "etcd"
        arguments = controlplane.etcd_arguments(program, self._layout)
        self._run("etcd", arguments, grace_s=STOP_GRACE_S)
        self.start_apiserver()
        progress.update("Starting kube-controller-manager")
        program = self.binaries / "kube-controller-manager"
        self._run("kube-controller-manager", controlplane.controller_manager_arguments(program, self._layout))
        self._allow_discovery()
        # Made by a controller: once it is there, the controllers work.
        self._wait("kube-controller-manager", "/api/v1/namespaces/default/serviceaccounts/default")

    def stop(self) -> None:
        """End everything. Idempotent."""
        if not self._supervisor.close():
            detached.end_left_behind(self.data_dir)
            if self._temporary:
                shutil.rmtree(self.data_dir, ignore_errors=True)

    def detach(self) -> None:
        """Leave the control plane running when this process ends; `detached.stop` ends it."""
        self._supervisor.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by program name, with the keeper's as `keeper`."""
        return {"keeper": self._supervisor.pid, **self._supervisor.running()}

    def start_apiserver(self) -> None:
        """Start kube-apiserver, at the same address and on the same data, and wait until it is ready."""
        program = self.binaries / "kube-apiserver"
        arguments = controlplane.apiserver_arguments(program, self._layout, self._port, self._extra)
        self._run("kube-apiserver", arguments)
        self._wait("kube-apiserver", "/readyz")

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """End kube-apiserver and wait for its end; the rest runs on, and its port stays reserved.

        Args:
            kill: by SIGKILL at once; else it may first answer what is under way.
        """
        self._supervisor.stop("kube-apiserver", 0.0 if kill else APISERVER_GRACE_S)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - as subprocess names it
        """What kubectl prints, run as the administrator.

        Raises:
            LocalClusterError: it fails; the details are what it says.
        """
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig), "KUBERC": "off"}
        done = subprocess.run(
            [
                str(self.binaries / "kubectl"),
                f"--cache-dir={self._layout.kubectl_cache}",
                *arguments,
            ],
            input=input,
            encoding="utf-8",
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        if done.returncode:
            # Not the flags: one may hold a value that belongs into a Secret.
            command = " ".join(["kubectl", *itertools.takewhile(lambda part: part[:1] != "-", arguments)])
            raise LocalClusterError(
                f"{command} failed", details=done.stderr.strip().splitlines()[-LOG_LINES:]
            )
        return done.stdout

    def service_account_token(
        self,
        namespace: str,
        name: str,
        *,
        audiences: Sequence[str] = (),
        lifetime: timedelta = TOKEN_LIFETIME,
    ) -> str:
        """A token of the ServiceAccount from the TokenRequest API.

        Args:
            namespace: its namespace.
            name: its name.
            audiences: for whom it is; empty for the API server.
            lifetime: at least ten minutes.
        """
        wanted = [f"--audience={audience}" for audience in audiences]
        duration = f"--duration={int(lifetime.total_seconds())}s"
        return self.kubectl("create", "token", name, f"--namespace={namespace}", duration, *wanted).strip()

    def service_account_kubeconfig(
        self, namespace: str, name: str, *, lifetime: timedelta = TOKEN_LIFETIME
    ) -> Path:
        """A kubeconfig of the ServiceAccount, with its RBAC and no more; its default namespace is that one."""
        token = self.service_account_token(namespace, name, lifetime=lifetime)
        path = self._layout.kubeconfigs / f"{namespace}.{name}"
        return self._write_kubeconfig(path, f"system:serviceaccount:{namespace}:{name}", token, namespace)

    def _write_kubeconfig(self, path: Path, user: str, token: str, namespace: str = "default") -> Path:
        return write_kubeconfig(
            path, server=self.server, ca_pem=self.ca_pem, user=user, token=token, namespace=namespace
        )

    def _allow_discovery(self) -> None:
        """Let everybody read the issuer's discovery documents, as clouds' token exchanges do without a login."""
        self.kubectl("apply", "--server-side", "-f", "-", input=DISCOVERY_BINDING)

    def _run(self, program: str, arguments: Sequence[str], *, grace_s: float = 0.0) -> None:
        self._supervisor.start(program, arguments, self._layout.log(program), grace_s=grace_s)

    def _wait(self, program: str, path: str) -> None:
        """Wait until the API server answers `path` with 200.

        Raises:
            LocalClusterError: a program ended, or it takes too long; `program` is the one that counts.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        answers = _asker(self.server + path, self.ca_pem, self.token)
        while not answers():
            for ended, code in self._supervisor.ended().items():
                raise self._failure(f"{ended} ended with code {code}", ended)
            if time.monotonic() > deadline:
                raise self._failure(f"{program} is not ready after {START_TIMEOUT_S:.0f} s", program)
            time.sleep(0.05)

    def _failure(self, message: str, program: str) -> LocalClusterError:
        log = self._layout.log(program)
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
        where = "" if self._temporary else f" ({log})"
        return LocalClusterError(message, hint=f"The end of its log{where}:", details=lines)


DISCOVERY_BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: keyferry-local-oidc-discovery
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:service-account-issuer-discovery
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: system:unauthenticated
"""


def _asker(url: str, ca_pem: str, token: str) -> Callable[[], bool]:
    """A function that tells whether the URL answers 200 to the administrator."""
    context = ssl.create_default_context(cadata=ca_pem)
    headers: Mapping[str, str] = {"Authorization": f"Bearer {token}"}
    # No proxy: the environment's is for the world outside.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )

    def answers() -> bool:
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - always https
        try:
            with opener.open(request, timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    return answers
