"""A Secret holds at most 1 MiB: more is told clearly, and the last good one stays."""

from __future__ import annotations

import pytest

from keyferry.testing.builders import entry, external_secret, secret, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE = canary("one")
HALF = 512 * 1024
TOO_LARGE = (
    "could not update secret: the Secret would hold {size} bytes, and Kubernetes allows 1048576. "
    "Split it into several ExternalSecrets, or select properties instead of whole values"
)


def of_size(size: int) -> str:
    return (ONE * (size // len(ONE) + 1))[:size]


def test_secret_of_exactly_the_limit_is_written(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(
        store({"half": of_size(HALF)}), external_secret("app", entry("a", "half"), entry("b", "half"))
    )

    tenant.wait_synced("app")
    assert {key: len(value) for key, value in tenant.values("app").items()} == {"a": HALF, "b": HALF}


def test_secret_over_the_limit_is_told_and_the_last_good_one_stays(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"half": of_size(HALF), "one": "x"}),
        external_secret("app", entry("a", "half"), entry("b", "one")),
    )
    tenant.wait_synced("app")
    version = tenant.version("Secret", "app")
    tenant.edit_spec("app", data=[entry("a", "half"), entry("b", "half"), entry("c", "one")])
    tenant.wait_failed("app")

    assert tenant.told("app") == ("False", "SecretSyncedError", TOO_LARGE.format(size=2 * HALF + 1))
    assert tenant.version("Secret", "app") == version


@pytest.mark.parametrize("policy", ["Merge", "CreateOrMerge"])
def test_limit_counts_what_others_keep_in_the_secret(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"half": of_size(HALF)}), secret("app", {"theirs": of_size(HALF + 1)}))
    tenant.create(external_secret("app", entry("a", "half"), target={"creationPolicy": policy}))

    tenant.wait_failed("app")
    assert tenant.told("app") == ("False", "SecretSyncedError", TOO_LARGE.format(size=2 * HALF + 1))
