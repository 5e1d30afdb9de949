"""syncWindows on the cluster: what is due by time waits, what somebody asks for does not."""

from __future__ import annotations

from typing import Any

from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO, THREE = canary("one"), canary("two"), canary("three")


def windows(kind: str, schedule: str = "* * * * *") -> dict[str, Any]:
    """Always open for two hours where the schedule is each minute."""
    return {"kind": kind, "windows": [{"schedule": schedule, "duration": "2h"}]}


def test_denied_refresh_waits_and_an_edit_of_the_object_does_not(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    fields = {
        "held": {"syncWindows": windows("deny")},
        "never": {"syncWindows": windows("allow", "0 0 30 2 *")},
        "allowed": {"syncWindows": windows("allow")},
        "spared": {"syncWindows": windows("deny", "0 0 30 2 *")},
    }
    tenant.create(store({"db": ONE}))
    for name, windowed in fields.items():
        tenant.create(external_secret(name, entry("v", "db"), refreshInterval="300ms", **windowed))
    for name in fields:
        tenant.wait_synced(name)
    tenant.set_store(store({"db": TWO}))
    for name in ("allowed", "spared"):
        tenant.wait_values(name, {"v": TWO})
        tenant.wait_refreshes(operator, name, tenant.sync_calls(operator, name) + 3)

    for name in ("held", "never"):
        assert tenant.values(name) == {"v": ONE}
        assert tenant.sync_calls(operator, name) == 1
        assert tenant.told(name) == ("True", "SecretSynced", "secret synced")
        tenant.annotate("ExternalSecret", name, {"force-sync": "1"})
        tenant.wait_values(name, {"v": TWO})


def test_blocked_refresh_is_not_polled(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}))
    for name, kind in (("held", "deny"), ("witness", "allow")):
        made = external_secret(name, entry("v", "db"), refreshInterval="100ms", syncWindows=windows(kind))
        tenant.create(made)
        tenant.wait_synced(name)
    tenant.wait_refreshes(operator, "witness", 5)
    looks = tenant.looks(operator, "held")
    tenant.wait_refreshes(operator, "witness", 25)

    assert tenant.looks(operator, "held") == looks


def test_edit_of_the_secret_is_repaired_outside_the_windows(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    made = external_secret("app", entry("v", "db"), refreshInterval="300ms", syncWindows=windows("deny"))
    tenant.create(store({"db": ONE}), made)
    tenant.wait_synced("app")
    tenant.set_data("app", {"v": THREE})

    tenant.wait_values("app", {"v": ONE})


def test_schedule_that_means_nothing_is_named_in_the_condition(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """The schema's pattern takes it; a corrected one works at once."""
    made = external_secret("app", entry("v", "db"), syncWindows=windows("allow", "0 25 * * *"))
    tenant.create(store({"db": ONE}), made)
    found = tenant.wait_failed("app", holding='spec.syncWindows.windows[0].schedule "0 25 * * *"')
    assert "its hour goes beyond 0 to 23" in found["status"]["conditions"][0]["message"]
    assert tenant.find("Secret", "app") is None
    tenant.edit_spec("app", syncWindows=windows("allow", "0 23 * * *"))

    tenant.wait_synced("app")
