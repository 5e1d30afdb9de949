"""What the demo runs on: control plane, AWS double, operator, and the folder of their files.

Starts and ends them; what is played there is in `story`. Kept demos are found and ended in `kept`.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from keyferry.cli.demo import kept, shipped
from keyferry.cli.demo.failure import keep_logs
from keyferry.cli.demo.programs import Programs, RunningAws
from keyferry.cli.demo.timeline import Passing, Timeline
from keyferry.cli.demo.watch import Watch
from keyferry.localcluster import LocalCluster
from keyferry.testing.kubeclient import KubeClient

NAMESPACE: Final = "team-a"
OPERATOR: Final = ("keyferry", "keyferry")
"""Namespace and name of the operator's ServiceAccount."""
COLLECTIONS: Final = {
    "secrets": f"/api/v1/namespaces/{NAMESPACE}/secrets",
    "externalsecrets": f"/apis/external-secrets.io/v1/namespaces/{NAMESPACE}/externalsecrets",
}
OURS_ALONE: Final = (BrokenPipeError, ModuleNotFoundError)
"""Failures that no program's log explains: nobody reads on, or a package is missing."""


class Stage:
    """Everything that runs; a context manager that ends it, or leaves it after `keep`.

    Attributes:
        programs: AWS double and operator.
        cluster: the control plane; after `start_cluster`.
        kube: the administrator's client; after `start_cluster`.
        watch: Secrets and ExternalSecrets of the namespace; after `install`.
        aws: the AWS double; after `start_aws`.
        kept_logs: where the logs are after a failure.
    """

    cluster: LocalCluster
    kube: KubeClient
    watch: Watch
    aws: RunningAws

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._ending = ExitStack()
        self.kept_logs: Path | None = None
        folder = Path(tempfile.mkdtemp(prefix=kept.PREFIX)).resolve()
        self._ending.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            self.programs = Programs(folder)
            self._ending.callback(self.programs.close)
        except BaseException:
            self._ending.close()
            raise

    def start_cluster(self) -> None:
        """Start the control plane, and the AWS double beside it."""
        self.programs.start_aws()
        self.cluster = self._ending.enter_context(LocalCluster.start(progress=Passing(self._timeline)))
        self.kube = KubeClient(self.cluster.server, self.cluster.ca_pem, self.cluster.token)

    def install(self) -> None:
        """Apply what every installation applies, make the namespace, and begin to watch it."""
        self._timeline.doing("installing")
        # A file, because standard input would be in the locale's encoding.
        manifest = self.programs.folder / "installation.yaml"
        manifest.write_text(shipped.installation(), "utf-8")
        self.cluster.kubectl("apply", "-f", str(manifest))
        self.cluster.kubectl("create", "namespace", NAMESPACE)
        self.cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        watch = Watch(self.cluster.kubeconfig, COLLECTIONS, self.programs.check)
        self.watch = self._ending.enter_context(watch)

    def start_aws(self) -> None:
        """Wait for the AWS double."""
        self._timeline.doing("waiting for the AWS double")
        self.aws = self.programs.aws()

    def start_operator(self) -> KubeClient:
        """Start the operator; a client that may do what the operator may."""
        self._timeline.doing("starting the operator")
        kubeconfig = self.cluster.service_account_kubeconfig(*OPERATOR)
        self.programs.start_operator(kubeconfig, self.aws.environment)
        return KubeClient.from_kubeconfig(kubeconfig)

    def keep(self) -> kept.KeptDemo:
        """Leave everything running; how to find it again."""
        demo = kept.KeptDemo(
            folder=str(self.programs.folder),
            cluster=str(self.cluster.data_dir),
            kubeconfig=str(self.cluster.kubeconfig),
            kubectl=str(self.cluster.binaries / "kubectl"),
        )
        kept.save(demo)
        self.watch.close()
        try:
            self.programs.detach()
            self.cluster.detach()
        except BaseException:
            kept.stop(demo)
            raise
        self._ending.pop_all()
        return demo

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timeline.clear()
        if isinstance(error, Exception) and not isinstance(error, OURS_ALONE):
            folders = [self.programs.folder]
            if hasattr(self, "cluster"):
                folders.append(self.cluster.data_dir / "logs")
            self.kept_logs = keep_logs(folders)
        self._ending.close()
