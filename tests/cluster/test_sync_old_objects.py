"""Objects older than the schema's rules: each fails alone, says why, and recovers when it is corrected.

In a cluster of their own, whose first definitions check nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import Object, entry, external_secret, extract, store
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
ROOT = Path(__file__).parents[2]
API = "external-secrets.io/v1"
GOOD = entry("v", "db")


def broken(name: str, *entries: Object, **fields: Any) -> Object:
    return external_secret(name, *(entries or (GOOD,)), **fields)


OBJECTS: dict[str, tuple[Object, str]] = {
    "interval-1d": (broken("interval-1d", refreshInterval="1d"), 'refreshInterval "1d": not a duration'),
    "interval-number": (broken("interval-number", refreshInterval=60), "refreshInterval"),
    "policy-unknown": (broken("policy-unknown", target={"creationPolicy": "Sometimes"}), "creationPolicy"),
    "store-kind-unknown": (broken("store-kind-unknown", store={"name": "store", "kind": "Vault"}), "kind"),
    "entry-without-key": (broken("entry-without-key", {"secretKey": "v", "remoteRef": {}}), "key"),
    "delete-what-is-not-owned": (
        broken("delete-what-is-not-owned", target={"creationPolicy": "Merge", "deletionPolicy": "Delete"}),
        "deletionPolicy=Delete must not be used when the controller doesn't own the secret",
    ),
    "merge-with-nothing": (
        broken("merge-with-nothing", target={"creationPolicy": "None", "deletionPolicy": "Merge"}),
        "deletionPolicy=Merge must not be used with creationPolicy=None",
    ),
    "entry-of-nothing": (broken("entry-of-nothing", {"rewrite": []}), "either extract, find, or sourceRef"),
    "extract-and-find": (
        broken("extract-and-find", extract("doc") | {"find": {"name": {"regexp": "("}}}),
        "spec.dataFrom[0].find, err:",  # find is the one that counts
    ),
    "two-providers": (broken("two-providers", store="two-providers"), "exactly one provider must be set"),
    "no-provider": (broken("no-provider", store="no-provider"), "exactly one provider must be set"),
    "store-interval": (broken("store-interval", store="store-interval"), 'refreshInterval "soon"'),
}
NO_STATUS = broken("no-status", data={"v": "db"})
CORRECTED = broken("corrected", refreshInterval="1d")
STORES = [
    store({"db": ONE}),
    store(name="two-providers", provider={"fake": {"data": []}, "vault": {"server": "https://192.0.2.1"}}),
    store(name="no-provider", provider={}),
    store({"db": ONE}, name="store-interval", refreshInterval="soon"),
]


def lax(definition: Object) -> Object:
    """The definition without its rules."""
    changed = deepcopy(definition)
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for version in changed["spec"]["versions"]:
        version["schema"] = {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": loose, "status": loose}}
        }
        version.pop("selectableFields", None)
    return changed


def definitions() -> list[Object]:
    return [
        yaml.safe_load(path.read_text())
        for path in sorted((ROOT / "crds").glob("external-secrets.io_*.yaml"))
    ]


@pytest.fixture(scope="module")
def old(leaks: LeakDetector) -> Iterator[tuple[LocalCluster, Tenant, OperatorProcess]]:
    """The cluster after the update, with the operator at work."""
    with LocalCluster.start() as cluster:
        kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        tenant = Tenant(kube, "default")
        crds = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
        for definition in definitions():
            kube.post(crds, lax(definition))
        wait_served(kube)
        for one in (*STORES, *(one for one, _ in OBJECTS.values()), CORRECTED, NO_STATUS, broken("good")):
            eventually(lambda one=one: tenant.create(one))
        for definition in definitions():
            current = kube.get(f"{crds}/{definition['metadata']['name']}")
            kube.put(f"{crds}/{definition['metadata']['name']}", current | {"spec": definition["spec"]})
        strict = external_secret("strict", GOOD, refreshInterval="1d")
        eventually(lambda: refused(tenant, strict))
        with OperatorProcess(cluster.kubeconfig, {}, ["--loglevel=debug"]).start() as operator:
            yield cluster, tenant, operator
        leaks.look("log of the operator with old objects", operator.log)
        assert "a bug in Keyferry" not in operator.log


def refused(tenant: Tenant, one: Object) -> bool:
    try:
        tenant.kube.post(tenant.path(one["kind"]), one, dryRun="All")
    except Exception as error:  # noqa: BLE001 - any refusal
        return "refreshInterval" in str(error)
    return False


def test_good_object_among_broken_ones_is_synced(old: tuple[LocalCluster, Tenant, OperatorProcess]) -> None:
    _, tenant, _ = old

    tenant.wait_synced("good")
    assert tenant.values("good") == {"v": ONE}


@pytest.mark.parametrize("case", OBJECTS)
def test_object_that_breaks_a_rule_fails_alone_and_says_why(
    old: tuple[LocalCluster, Tenant, OperatorProcess], case: str
) -> None:
    _, tenant, _ = old
    _, cause = OBJECTS[case]

    tenant.wait_failed(case, cause)
    assert tenant.find("Secret", case) is None


@pytest.mark.parametrize("name", ["two-providers", "no-provider", "store-interval"])
def test_store_that_breaks_a_rule_says_why(
    old: tuple[LocalCluster, Tenant, OperatorProcess], name: str
) -> None:
    _, tenant, _ = old
    _, cause = OBJECTS[name]

    tenant.wait_told(name, "InvalidProviderConfig", kind="SecretStore", holding=cause)


def test_object_that_the_api_server_takes_no_status_for_is_told_by_an_event_alone(
    old: tuple[LocalCluster, Tenant, OperatorProcess],
) -> None:
    """Its rules cannot even be evaluated. It is not tried over and over."""
    _, tenant, operator = old

    event = tenant.wait_event("ExternalSecret", "no-status", "UpdateFailed")
    assert "the spec is invalid: Expected `array`, got `object` - at `$.data`" in event["message"]
    tenant.wait_synced("good")
    assert operator.log.count("no status can be written") == 1


def test_object_that_is_corrected_recovers_at_once(old: tuple[LocalCluster, Tenant, OperatorProcess]) -> None:
    _, tenant, _ = old
    tenant.wait_failed("corrected")
    tenant.edit_spec("corrected", refreshInterval="24h")

    tenant.wait_synced("corrected")
    assert tenant.values("corrected") == {"v": ONE}
