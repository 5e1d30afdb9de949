"""The tests' own client tells the truth about the API server's answers."""

from __future__ import annotations

import pytest

from keyferry.errors import KubeConflict, KubeError, KubeInvalid, KubeNotFound, KubeUnavailable
from keyferry.localcluster import LocalCluster
from keyferry.testing.kubeclient import KubeClient, path_of


def test_paths_are_those_of_the_api() -> None:
    actual = [
        path_of("v1", "namespaces"),
        path_of("v1", "secrets", namespace="team-a", name="db"),
        path_of("external-secrets.io/v1", "externalsecrets", namespace="a", name="b", subresource="status"),
    ]

    assert actual == [
        "/api/v1/namespaces",
        "/api/v1/namespaces/team-a/secrets/db",
        "/apis/external-secrets.io/v1/namespaces/a/externalsecrets/b/status",
    ]


def test_objects_are_written_and_read(kube: KubeClient, namespace: str) -> None:
    path = path_of("v1", "configmaps", namespace=namespace)
    created = kube.post(path, {"metadata": {"name": "one"}, "data": {"a": "1"}})
    patched = kube.patch(f"{path}/one", {"data": {"b": "2"}})
    replaced = kube.put(f"{path}/one", patched | {"data": {"c": "3"}})
    applied = kube.patch(
        f"{path}/two",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two"}, "data": {"d": "4"}},
        kind="apply",
        fieldManager="test",
    )
    kube.delete(f"{path}/one")

    assert created["data"] == {"a": "1"}
    assert patched["data"] == {"a": "1", "b": "2"}
    assert replaced["data"] == {"c": "3"}
    assert applied["metadata"]["managedFields"][0]["manager"] == "test"
    assert kube.find(f"{path}/one") is None


def test_lists_follow_pages(kube: KubeClient, namespace: str) -> None:
    path = path_of("v1", "secrets", namespace=namespace)
    for name in ("a", "b", "c"):
        kube.post(path, {"metadata": {"name": name}})

    listed = kube.list(path, limit=1)

    assert [item["metadata"]["name"] for item in listed] == ["a", "b", "c"]


def test_refusals_are_errors_with_the_servers_own_words(kube: KubeClient, namespace: str) -> None:
    path = path_of("v1", "secrets", namespace=namespace)
    kube.post(path, {"metadata": {"name": "taken"}})

    def refusal(expected: type[KubeError], body: dict[str, object]) -> str:
        with pytest.raises(expected) as caught:
            kube.post(path, body)
        return caught.value.message.removeprefix(f"POST {path}: ")

    assert refusal(KubeConflict, {"metadata": {"name": "taken"}}) == '409 secrets "taken" already exists'
    assert "a lowercase RFC 1123 subdomain" in refusal(KubeInvalid, {"metadata": {"name": "No Name"}})
    with pytest.raises(KubeNotFound):
        kube.get(f"{path}/missing")


def test_server_that_does_not_answer_is_unavailable(cluster: LocalCluster) -> None:
    nobody = KubeClient("https://127.0.0.1:1", cluster.ca_pem)

    with pytest.raises(KubeUnavailable):
        nobody.get("/readyz")
