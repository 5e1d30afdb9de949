"""Waiting for kinds to be served: a definition that is established may still answer 404 for a moment."""

from __future__ import annotations

from functools import partial

from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, Object, path_of

DEFINITIONS = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")


def wait_served(kube: KubeClient) -> None:
    """Wait until the API server answers for every version of every definition that it has.

    Raises:
        AssertionError: it does not, and one of them is named.
    """
    for definition in kube.list(DEFINITIONS):
        for collection in _collections(definition):
            eventually(partial(kube.get, collection, limit=1))


def _collections(definition: Object) -> list[str]:
    spec = definition["spec"]
    versions = [one["name"] for one in spec["versions"] if one["served"]]
    return [path_of(f"{spec['group']}/{version}", spec["names"]["plural"]) for version in versions]
