"""What the operator asks of AWS, counted: shared reads, batches, shared sessions, and failures that stay cheap."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keyferry.testing.aws import StrictAws
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import Object, entry, external_secret
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess

ONE, TWO = canary("calls-one"), canary("calls-two")


def create_all(app: AWSTenant, objects: list[Object]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(app.tenant.create, objects))


def synced(app: AWSTenant) -> list[Object]:
    listed = app.tenant.kube.list(
        path_of("external-secrets.io/v1", "externalsecrets", namespace=app.namespace)
    )
    return [one for one in listed if _reason(one) == "SecretSynced"]


def _reason(found: Object) -> Any:
    conditions = (found.get("status") or {}).get("conditions") or [{}]
    return conditions[0].get("reason")


def actions(app: AWSTenant) -> list[str]:
    return [call.action for call in app.reads()]


def test_thousand_objects_on_two_hundred_secrets_are_read_in_batches(
    app: AWSTenant, private_operator
) -> None:
    """As after the operator's start: all at once, one identity, five objects on each remote secret."""
    for number in range(200):
        app.put(f"s{number:03}", f"{number} {ONE}")
    app.tenant.create(app.account(app.role()), app.store(controller="private"))
    create_all(
        app,
        [external_secret(f"e{n:04}", entry("v", app.key(f"s{n % 200:03}"))) for n in range(1000)],
    )
    app._aws.control.reset_calls()

    operator = private_operator()
    eventually(lambda: len(synced(app)) == 1000, timeout_s=90, every_s=0.5)

    calls = app.reads()
    asked = [key for call in calls for key in call.secret_ids]
    assert {"BatchGetSecretValue"} == {call.action for call in calls}
    assert len(calls) <= 20  # a tenth of the remote secrets; ten is the least
    assert sorted(set(asked)) == [app.key(f"s{number:03}") for number in range(200)]
    assert len(asked) == 200
    assert 1 == len(app.exchanges())
    assert {"v": f"7 {ONE}"} == app.tenant.values("e0607")
    assert operator.exit_code is None


def test_many_objects_on_one_secret_are_one_read(app: AWSTenant, private_operator) -> None:
    app.put("db", {"a": ONE, "b": TWO})
    app.tenant.create(app.account(app.role()), app.store(controller="private"))
    create_all(
        app, [external_secret(f"e{n}", entry("v", app.key("db"), property="ab"[n % 2])) for n in range(40)]
    )
    app._aws.control.reset_calls()

    private_operator()
    eventually(lambda: len(synced(app)) == 40, timeout_s=30)

    assert [[app.key("db")]] == [call.secret_ids for call in app.reads()]


def test_stores_with_one_identity_share_session_and_reads(app: AWSTenant, private_operator) -> None:
    app.put("db", ONE)
    app.tenant.create(
        app.account(app.role()),
        app.store(name="one", controller="private"),
        app.store(name="two", controller="private"),
        external_secret("one", entry("v", app.key("db")), store="one"),
        external_secret("two", entry("v", app.key("db")), store="two"),
    )
    app._aws.control.reset_calls()

    private_operator()
    eventually(lambda: len(synced(app)) == 2)

    assert (1, ["GetSecretValue"]) == (len(app.exchanges()), actions(app))


def test_identities_that_differ_never_share_a_read(app: AWSTenant, private_operator) -> None:
    """Two ServiceAccounts of one namespace, one remote secret: each is asked for by its own role."""
    app.put("db", ONE)
    app.tenant.create(
        app.account(app.role()),
        app.account(app.role(name=f"{app.namespace}-b", account="b"), "b"),
        app.store(name="one", controller="private"),
        app.store(name="two", controller="private", auth={"jwt": {"serviceAccountRef": {"name": "b"}}}),
        external_secret("one", entry("v", app.key("db")), store="one"),
        external_secret("two", entry("v", app.key("db")), store="two"),
    )
    app._aws.control.reset_calls()

    private_operator()
    eventually(lambda: len(synced(app)) == 2)

    roles = sorted(call.principal.split("/")[1] for call in app.reads())
    assert [app.namespace, f"{app.namespace}-b"] == roles


def test_denied_batches_are_asked_for_once(app: AWSTenant, private_operator) -> None:
    for number in range(30):
        app.put(f"s{number}", ONE)
    app.tenant.create(app.account(app.role(batch=False)), app.store(controller="private"))
    create_all(app, [external_secret(f"e{n}", entry("v", app.key(f"s{n}"))) for n in range(30)])
    app._aws.control.reset_calls()

    private_operator()
    eventually(lambda: len(synced(app)) == 30, timeout_s=30)

    # Batches that are under way together are denied together.
    asked = actions(app)
    assert 1 <= asked.count("BatchGetSecretValue") <= 2
    assert 30 == asked.count("GetSecretValue")


def test_object_that_fails_again_and_again_asks_ever_more_rarely(
    app: AWSTenant, clean_aws: StrictAws, operator: OperatorProcess
) -> None:
    """Tries come after 1, 2, 4, … seconds, and several tries share one answer of the last five seconds."""
    app.move_in()
    app.tenant.create(external_secret("db", entry("v", app.key("none"))))

    eventually(lambda: app.tenant.sync_calls(operator, "db") >= 4, timeout_s=20)

    times = [call.started for call in app.reads("none")]
    assert len(times) <= 2
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(times))


def test_many_objects_that_miss_one_secret_ask_for_it_as_one(
    app: AWSTenant, clean_aws: StrictAws, operator: OperatorProcess
) -> None:
    app.move_in()
    create_all(app, [external_secret(f"e{n}", entry("v", app.key("none"))) for n in range(20)])
    for number in range(20):
        app.tenant.wait_failed(f"e{number}", "does not exist")

    # Created one after the other, so not all may share one answer; those who try again do.
    first = len(app.reads("none"))
    eventually(lambda: all(app.tenant.sync_calls(operator, f"e{n}") >= 2 for n in range(20)))
    assert first <= 20
    assert len(app.reads("none")) <= first + 1


def test_edit_of_a_secrets_labels_asks_nothing(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put("db", ONE)
    app.move_in()
    app.tenant.create(external_secret("db", entry("v", app.key("db"))))
    app.tenant.wait_synced("db")
    looks = app.tenant.looks(operator, "db")

    app.tenant.label("Secret", "db", {"somebody": "else"})
    app.tenant.wait_looks(operator, "db", looks)

    assert 1 == len(app.reads("db"))
