"""A plan becomes one request, which says all that the API server needs to refuse it when the plan is outdated."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from keyferry.core.desired import Action, ExistingSecret, SecretPlan
from keyferry.errors import KubeConflict, KubeError, KubeForbidden, KubeUnavailable
from keyferry.kube.apply import WrittenSecret, apply, delete_by_uid, existing_secret, read_secret
from keyferry.secretdata import SecretData
from keyferry.testing.leaks import canary

PATH = "/api/v1/namespaces/team-a/secrets"
OWNER = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "db", "uid": "u-es"}
ANSWER = {"metadata": {"name": "db", "namespace": "team-a", "uid": "u-1", "resourceVersion": "8"}}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(**changes: Any) -> dict[str, Any]:
    """A Secret as the API server has it."""
    metadata = {
        "name": "db",
        "namespace": "team-a",
        "uid": "u-1",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["somebody.else/wants"],
        "labels": {"old": "1"},
        "annotations": {"note": "2"},
        "ownerReferences": [OWNER],
        "managedFields": [{"manager": "kubectl", "operation": "Update"}],
    }
    data = {"password": encoded(canary("before"))}
    return {"metadata": metadata, "type": "kubernetes.io/tls", "data": data} | changes


def plan(action: Action, existing: ExistingSecret | None = None, **changes: Any) -> SecretPlan:
    wanted: dict[str, Any] = {
        "namespace": "team-a",
        "name": "db",
        "labels": {"app": "shop"},
        "annotations": {},
        "owner_references": [],
        "type": "Opaque",
        "data": SecretData({"password": canary("after")}),
        "manager": "externalsecrets.external-secrets.io/db",
        "existing": existing,
    }
    return SecretPlan(action, "a test", **(wanted | changes))


async def test_creation_sends_all_of_the_secret_under_its_manager(server, open_api, play) -> None:
    server.otherwise = play.says(201, ANSWER)

    written = await apply(open_api(), plan(Action.CREATE, owner_references=[OWNER]))

    (seen,) = server.seen
    assert ("POST", PATH) == (seen.method, seen.path)
    assert {"fieldManager": "externalsecrets.external-secrets.io/db"} == seen.query
    assert {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "db",
            "namespace": "team-a",
            "labels": {"app": "shop"},
            "annotations": {},
            "ownerReferences": [OWNER],
        },
        "type": "Opaque",
        "data": {"password": encoded(canary("after"))},
    } == seen.json()
    assert WrittenSecret("u-1", "8") == written


async def test_creation_without_an_owner_names_none(server, open_api, play) -> None:
    server.otherwise = play.says(201, ANSWER)

    await apply(open_api(), plan(Action.CREATE))

    assert "ownerReferences" not in server.seen[0].json()["metadata"]


async def test_update_loses_nothing_of_what_was_read_and_names_its_version(server, open_api, play) -> None:
    server.otherwise = play.says(200, ANSWER)
    document = secret()

    await apply(open_api(), plan(Action.UPDATE, existing_secret(document), type="kubernetes.io/tls"))

    (seen,) = server.seen
    assert ("PUT", f"{PATH}/db") == (seen.method, seen.path)
    sent = seen.json()
    ours = {"labels": {"app": "shop"}, "annotations": {}, "ownerReferences": []}
    assert document["metadata"] | ours == sent["metadata"]
    assert ("kubernetes.io/tls", {"password": encoded(canary("after"))}) == (sent["type"], sent["data"])


async def test_immutable_is_sent_only_where_it_is_wanted(server, open_api, play) -> None:
    server.otherwise = play.says(201, ANSWER)
    api = open_api()

    await apply(api, plan(Action.CREATE, immutable=True))
    await apply(api, plan(Action.CREATE))

    assert [True, None] == [seen.json().get("immutable") for seen in server.seen]


@pytest.mark.parametrize("action", [Action.NOTHING, Action.WAIT])
async def test_plan_to_write_nothing_asks_nobody(server, open_api, action) -> None:
    assert await apply(open_api(), plan(action)) is None
    assert [] == server.seen


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPDATE, Action.DELETE])
async def test_secret_that_changed_since_is_a_conflict_and_no_second_try(
    server, open_api, play, action
) -> None:
    """Only a new plan on what is there now may write: here nobody knows whether it still should."""
    server.otherwise = play.refuses(409, "the object has been modified")

    with pytest.raises(KubeConflict):
        await apply(open_api(), plan(action, existing_secret(secret())))

    assert 1 == len(server.seen)


async def test_refusal_tells_no_value(server, open_api, play) -> None:
    server.otherwise = play.refuses(403, 'secrets is forbidden in namespace "team-a"')

    with pytest.raises(KubeForbidden) as caught:
        await apply(open_api(), plan(Action.CREATE))

    assert "team-a" in str(caught.value)
    assert canary("after") not in f"{caught.value}{caught.value!r}"


async def test_deletion_is_of_the_very_secret_that_was_looked_at(server, open_api, play) -> None:
    assert await apply(open_api(), plan(Action.DELETE, existing_secret(secret()))) is None

    (seen,) = server.seen
    assert ("DELETE", f"{PATH}/db") == (seen.method, seen.path)
    assert {"preconditions": {"uid": "u-1", "resourceVersion": "7"}} == seen.json()


async def test_deletion_of_what_is_gone_is_done(server, open_api, play) -> None:
    server.otherwise = play.refuses(404, "not found")

    assert await apply(open_api(), plan(Action.DELETE, existing_secret(secret()))) is None


async def test_deletion_without_a_secret_is_refused_here(server, open_api) -> None:
    with pytest.raises(KubeError):
        await apply(open_api(), plan(Action.DELETE))

    assert [] == server.seen


async def test_deletion_by_uid_takes_any_version_of_that_secret(server, open_api) -> None:
    await delete_by_uid(open_api(), "team-a", "old", "u-2")

    assert {"preconditions": {"uid": "u-2"}} == server.seen[0].json()


async def test_secret_is_read_whole(server, open_api, play) -> None:
    server.otherwise = play.says(200, secret(immutable=True))

    found = await read_secret(open_api(), "team-a", "db")

    expected = ("u-1", "7", "kubernetes.io/tls", True, secret()["metadata"])
    assert expected == (found.uid, found.resource_version, found.type, found.immutable, found.metadata)
    assert {"password": canary("before").encode()} == {k: v.reveal() for k, v in found.data.items()}
    assert canary("before") not in repr(found)
    assert {} == server.seen[0].query


async def test_secret_without_data_is_empty(server, open_api, play) -> None:
    """`data: null` is what the API server says of a Secret that has none."""
    server.otherwise = play.says(200, {"metadata": {"name": "db"}, "data": None})

    found = await read_secret(open_api(), "team-a", "db")

    assert ("Opaque", False, {}) == (found.type, found.immutable, dict(found.data))


async def test_secret_that_is_not_there_is_none(server, open_api, play) -> None:
    server.otherwise = play.refuses(404, "not found")

    assert await read_secret(open_api(), "team-a", "db") is None


async def test_failure_to_read_is_not_taken_for_absence(server, open_api, play) -> None:
    """Else a Secret would be created anew, or its values be counted as lost, because of an outage."""
    server.otherwise = play.refuses(503, "starting")

    with pytest.raises(KubeUnavailable):
        await read_secret(open_api(), "team-a", "db")


async def test_cache_of_the_api_server_may_answer_where_that_is_good_enough(server, open_api, play) -> None:
    server.otherwise = play.says(200, secret())

    await read_secret(open_api(), "team-a", "db", from_cache=True)

    assert {"resourceVersion": "0"} == server.seen[0].query
