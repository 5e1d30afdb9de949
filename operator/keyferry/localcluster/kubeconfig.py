"""Kubeconfig files with a bearer token: one cluster, one user, one context."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from keyferry.localcluster.layout import write_private

NAME = "keyferry-local"


def write_kubeconfig(
    path: Path, *, server: str, ca_pem: str, user: str, token: str, namespace: str = "default"
) -> Path:
    """Write it, readable by the owner only; the path again."""
    authority = base64.b64encode(ca_pem.encode()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": user, "namespace": namespace}}],
        "current-context": NAME,
    }
    write_private(path, yaml.safe_dump(config, sort_keys=False))
    return path
