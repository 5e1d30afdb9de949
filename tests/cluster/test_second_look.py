"""The check that follows every test: it must see what a second look writes."""

from __future__ import annotations

import threading

import pytest

from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.calm import assert_calm
from keyferry.testing.leaks import canary
from keyferry.testing.operator import LOOKED, OperatorProcess
from keyferry.testing.tenant import Tenant


def test_world_that_rests_is_looked_at_twice(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": canary("one")}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    before = operator.log.count(LOOKED)

    assert_calm(tenant, [operator])

    assert operator.log.count(LOOKED) == before + 2


def test_writes_are_noticed(tenant: Tenant, operator: OperatorProcess) -> None:
    stop = threading.Event()

    def disturb() -> None:
        count = 0
        while not stop.wait(0.005):
            count += 1
            tenant.label("ExternalSecret", "app", {"count": str(count)})

    tenant.create(store({"db": canary("one")}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with pytest.raises(AssertionError, match="an unchanged world writes"):
            assert_calm(tenant, [operator])
    finally:
        stop.set()
        disturber.join()
