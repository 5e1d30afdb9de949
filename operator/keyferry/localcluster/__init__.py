"""A real control plane on this machine: etcd, kube-apiserver and kube-controller-manager.

For the demo, the tests, the benchmarks, and people (`keyferry cluster`). Knows nothing of Keyferry's
own resources, and no room of the operator may use it.

    with LocalCluster.start() as cluster:
        cluster.kubectl("get", "namespaces")

Needs the extra `local`. The programs are built once per machine, by Go, from pinned and hashed sources.
"""

from keyferry.localcluster.cluster import LocalCluster
from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.progress import Progress, Silent, StreamProgress

__all__ = ["LocalCluster", "LocalClusterError", "Progress", "Silent", "StreamProgress"]
