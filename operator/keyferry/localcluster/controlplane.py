"""The programs' flags: what this control plane is and is not.

Pure: paths and addresses in, argument lists out. Defaults stay as they are unless a line here says
why, so that measurements mean something: priority and fairness, admission plugins, events' lifetime
and inflight limits are those of any cluster; there is no audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keyferry.localcluster.layout import Layout

SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
"""The `kubernetes` Service's, the first of the range; nothing routes it here."""

ADMIN = "keyferry-admin"
CONTROLLERS_USER = "keyferry-controller-manager"
ADMIN_GROUP = "system:masters"

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "validatingadmissionpolicy-status-controller",
)
"""What works without nodes and matters for an operator's objects."""


ETCD = "unix://etcd:0"
ETCD_PEER = "unix://etcd-peer:0"
"""etcd's URLs: Unix sockets of these names in the programs' working folder, which is the private folder.

They need no port and no certificate, and keep other users of the machine out. etcd wants host:port in
these URLs and takes both together as the socket's path; a relative one fits whatever the folder's path.
"""


def server_url(port: int) -> str:
    """The API server's URL, also the issuer of ServiceAccount tokens."""
    return f"https://127.0.0.1:{port}"


def etcd_arguments(program: Path, layout: Layout) -> list[str]:
    """etcd, one member, without syncing to disk: a power cut may lose data that is worth nothing."""
    return [
        str(program),
        "--name=local",
        f"--data-dir={layout.etcd}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=local={ETCD_PEER}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_arguments(program: Path, layout: Layout, port: int, extra: Sequence[str] = ()) -> list[str]:
    """kube-apiserver with RBAC, ServiceAccount tokens and OIDC discovery.

    Args:
        program: the executable.
        layout: where keys and tokens are.
        port: where it listens on the loopback address.
        extra: more flags, for tests of a special setting.
    """
    server = server_url(port)
    return [
        str(program),
        f"--etcd-servers={ETCD}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing=true",  # with the keeper, which holds the port while we restart
        "--advertise-address=127.0.0.1",  # found by itself only on a machine with a default route
        "--endpoint-reconciler-type=none",  # a loopback address is no legal endpoint
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--tls-cert-file={layout.pki.server_certificate}",
        f"--tls-private-key-file={layout.pki.server_key}",
        "--authorization-mode=RBAC",
        f"--token-auth-file={layout.tokens}",
        f"--service-account-issuer={server}",
        f"--service-account-jwks-uri={server}/openid/v1/jwks",
        f"--service-account-signing-key-file={layout.pki.service_account_key}",
        f"--service-account-key-file={layout.pki.service_account_public_key}",
        *extra,
    ]


def controller_manager_arguments(program: Path, layout: Layout) -> list[str]:
    """kube-controller-manager with the controllers that work without nodes."""
    return [
        str(program),
        f"--kubeconfig={layout.controller_kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--leader-elect=false",  # there is one
        "--secure-port=0",  # nobody asks it
        f"--service-account-private-key-file={layout.pki.service_account_key}",
        f"--root-ca-file={layout.pki.ca}",
        # Its default of 20 requests a second makes tests wait for garbage collection.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
