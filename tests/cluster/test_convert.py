"""What `keyferry convert` makes of old manifests is what the API server takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keyferry.localcluster import LocalCluster, LocalClusterError

OLD = "external-secrets.io/v1beta1"

MANIFESTS = {
    "app.yaml": f"""\
# The application's secrets
apiVersion: {OLD}  # for now
kind: SecretStore
metadata: {{name: app}}
spec:
  provider:
    fake: {{data: [{{key: db, value: x}}]}}
---
apiVersion: "{OLD}"
kind: ExternalSecret
metadata:
  name: app
spec:
  refreshInterval: 1h
  secretStoreRef: {{name: app}}
  target:
    template:
      engineVersion: v2
      data: {{url: "postgres://{{{{ .password }}}}@db"}}
  data:
  - secretKey: password
    remoteRef: {{key: db}}
""",
    "list.json": json.dumps(
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {
                    "apiVersion": OLD,
                    "kind": "ClusterSecretStore",
                    "metadata": {"name": "converted"},
                    "spec": {"provider": {"fake": {"data": [{"key": "db", "value": "x"}]}}},
                },
                {
                    "apiVersion": OLD,
                    "kind": "ClusterExternalSecret",
                    "metadata": {"name": "converted"},
                    "spec": {
                        "namespaceSelectors": [{"matchLabels": {"team": "nobody"}}],
                        "externalSecretSpec": {"data": [{"secretKey": "a", "remoteRef": {"key": "db"}}]},
                    },
                },
            ],
        }
    ),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_converted_manifests_are_taken_and_old_ones_are_not(
    cluster: LocalCluster, installed: None, namespace: str, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_text(MANIFESTS[name])
    apply = ("apply", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", str(file))
    with pytest.raises(LocalClusterError) as refused:
        cluster.kubectl(*apply)

    subprocess.run([sys.executable, "-m", "keyferry", "convert", str(tmp_path)], check=True)
    taken = cluster.kubectl(*apply).splitlines()

    assert "no matches for kind" in " ".join(refused.value.details)
    assert [line.split()[-4:] for line in taken] == [["created", "(server", "dry", "run)"]] * 2
