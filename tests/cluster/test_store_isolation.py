"""One store's trouble never delays another's, however many objects wait for it."""

from __future__ import annotations

from keyferry.testing.aws import Fault, StrictAws
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess

ONE = canary("isolation")
WAITING = 300
"""More than the operator works on at once."""


def test_hundreds_of_objects_of_a_hanging_store_hold_nobody_back(
    app: AWSTenant, clean_aws: StrictAws, kube: KubeClient, operator: OperatorProcess
) -> None:
    app.move_in()
    app.tenant.create(store({"db": ONE}, name="fake"))
    app.tenant.wait_told("fake", "Valid", kind="SecretStore")
    fault = clean_aws.control.add_fault(Fault(kind="hold", service="secretsmanager", principal=app.principal))
    path = path_of("external-secrets.io/v1", "externalsecrets", namespace=app.namespace)
    for number in range(WAITING):
        # Versions are not read in batches: each is a call of its own.
        body = external_secret(f"n{number}", entry("v", app.key(f"n{number}"), version="AWSCURRENT"))
        kube.post(path, body)
    clean_aws.control.wait_for_calls_in_flight(1, principal=app.principal)

    app.tenant.create(external_secret("other", entry("v", "db"), store="fake"))
    app.tenant.wait_values("other", {"v": ONE}, timeout_s=15)

    assert [] == [
        call for call in clean_aws.control.calls(principal=app.principal) if call.done and call.faults
    ]
    clean_aws.control.remove_fault(fault)
    # All end with what the store says: none exists there. Before that the world is not calm.
    events = path_of("v1", "events", namespace=app.namespace)
    ended = {f"n{number}" for number in range(WAITING)}
    eventually(
        lambda: ended <= {event["involvedObject"]["name"] for event in kube.list(events)}, timeout_s=60
    )
