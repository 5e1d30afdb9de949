"""A status is one PUT, guarded by the version that its reconcile started from."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import msgspec
import pytest

from keyferry.errors import KubeConflict, KubeInvalid, KubeNotFound
from keyferry.kube.status import write_status
from keyferry.ports import ObjectKey

WRITTEN = {"metadata": {"name": "db", "uid": "u-1", "resourceVersion": "8"}}
APIS = "/apis/external-secrets.io/v1"


@pytest.mark.parametrize(
    ("key", "path", "metadata"),
    [
        pytest.param(
            ObjectKey("ExternalSecret", "team-a", "db"),
            f"{APIS}/namespaces/team-a/externalsecrets/db/status",
            {"name": "db", "namespace": "team-a"},
            id="in-a-namespace",
        ),
        pytest.param(
            ObjectKey("ClusterSecretStore", "", "aws"),
            f"{APIS}/clustersecretstores/aws/status",
            {"name": "aws"},
            id="cluster-scoped",
        ),
    ],
)
async def test_status_goes_to_its_subresource_with_the_version_it_speaks_of(
    server, open_api, play, key, path, metadata
) -> None:
    server.otherwise = play.says(200, WRITTEN)

    version = await write_status(open_api(), key, "7", "u-1", msgspec.Raw(b'{"refreshTime":"now"}'))

    (seen,) = server.seen
    assert ("PUT", path, {"fieldManager": "keyferry"}) == (seen.method, seen.path, seen.query)
    assert {
        "apiVersion": "external-secrets.io/v1",
        "kind": key.kind,
        "metadata": metadata | {"resourceVersion": "7", "uid": "u-1"},
        "status": {"refreshTime": "now"},
    } == seen.json()
    assert "8" == version


@pytest.mark.parametrize(
    ("code", "error"),
    [(409, KubeConflict), (404, KubeNotFound), (422, KubeInvalid)],
    ids=lambda v: str(v)[:3],
)
async def test_each_refusal_is_told_as_what_it_is(server, open_api, play, code, error) -> None:
    """Starting again, forgetting, giving up: what follows differs."""
    server.otherwise = play.refuses(code, "no")

    with pytest.raises(error):
        await write_status(open_api(), ObjectKey("ExternalSecret", "team-a", "db"), "7", "u-1", {})

    assert 1 == len(server.seen)
