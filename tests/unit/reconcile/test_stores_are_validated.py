"""A store's validation: what it writes, whom it wakes, when it comes back; and the guards of its use."""

from __future__ import annotations

import logging

import pytest
from aiohttp import web

from keyferry.api.external_secret import SecretStoreRef
from keyferry.errors import (
    ForbiddenError,
    KubeError,
    NotAvailableError,
    NotReadyError,
    RetryKind,
    SpecError,
)
from keyferry.ports import Maintenance, ObjectKey
from keyferry.providers.fake import FakeProvider
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.secret_store import forget_store, reconcile_store
from keyferry.reconcile.stores import Unsettled, use_store
from keyferry.testing import builders
from keyferry.testing.leaks import canary

KEY = ObjectKey("SecretStore", "team-0", "store")
SHARED = ObjectKey("ClusterSecretStore", "", "store")
GOOD = {"db": "value"}


def body(key=KEY, values=GOOD, version="7", generation=1, **of_store):
    made = builders.store(values, cluster=not key.namespace, **of_store)
    metadata = {
        "namespace": key.namespace,
        "uid": "u-1",
        "resourceVersion": version,
        "generation": generation,
    }
    made["metadata"] |= {name: value for name, value in metadata.items() if value}
    return made


def written(version="8"):
    return {"metadata": {"name": "store", "uid": "u-1", "resourceVersion": version}}


async def validate(bench, key=KEY):
    await reconcile_store(bench.engine, Claim(key, Lane.STORE, bench.engine.queue.now()))
    return bench.engine.books.stores.get(key)


def ready(server, number=-1):
    status = [seen.json()["status"] for seen in server.seen if seen.method == "PUT"][number]
    (condition,) = status["conditions"]
    return condition["status"], condition["reason"], condition["message"]


@pytest.fixture
def waiting(bench):
    """`bench`'s object came to nothing so far, by this store."""
    bench.engine.books.dependents.link(bench.key, (KEY,), ())
    bench.record.depends_on, bench.record.waiting = (KEY,), True
    return bench


async def test_valid_store_is_told_once_and_wakes_those_who_wait(waiting, server, play) -> None:
    server.otherwise = play.says(200, written())
    waiting.engine.books.note_store(KEY, body())

    await validate(waiting)
    record = await validate(waiting)

    assert ("True", "Valid", "store validated") == ready(server)
    assert 1 == len(server.seen)
    assert (True, "", 0) == (record.ready, record.cause, record.failures)
    assert [(waiting.key, Lane.EVENT)] == await waiting.taken()
    assert 270 <= waiting.due_in(KEY) <= 300


async def test_refused_store_says_why_and_is_tried_again(bench, server, play) -> None:
    server.otherwise = play.says(200, written())
    bench.engine.books.note_store(KEY, body(validation_result=2))

    await validate(bench)
    record = await validate(bench)

    assert ("False", "InvalidProviderConfig") == ready(server)[:2]
    assert "unable to validate" in ready(server)[2]
    assert (False, 2) == (record.ready, record.failures)
    assert 1.8 <= bench.due_in(KEY) <= 2.0


async def test_failing_store_is_tried_at_least_every_interval(bench, server, play) -> None:
    server.otherwise = play.says(200, written())
    bench.engine.books.note_store(KEY, body(validation_result=2, refreshInterval=30))
    bench.engine.books.stores[KEY].failures = 12

    await validate(bench)

    assert bench.due_in(KEY) <= 30


async def test_wrong_spec_is_looked_at_after_the_interval_too(bench, server, play) -> None:
    """What is wrong may lie outside the spec: the operator's own settings, for example."""
    server.otherwise = play.says(200, written())
    bench.engine.books.note_store(KEY, body(values={"db": ""}))

    await validate(bench)

    assert "spec.provider.fake.data[0]: at least one value must be set" in ready(server)[2]
    assert 300 == bench.due_in(KEY)


class Checked(FakeProvider):
    """The fake provider, with something that happens whenever it checks a spec."""

    def __init__(self, happens) -> None:
        self.happens = happens

    def check(self, store) -> None:
        self.happens()
        super().check(store)


async def test_store_that_becomes_ready_wakes_and_one_that_stays_as_it_is_does_not(
    waiting, server, play
) -> None:
    server.otherwise = play.says(200, written())
    troubles = [SpecError("first"), SpecError("second")]

    def fail() -> None:
        if troubles:
            raise troubles.pop(0)

    waiting.engine.providers["fake"] = Checked(fail)
    waiting.engine.books.note_store(KEY, body())
    woken = []
    for _ in range(4):
        await validate(waiting)
        woken.append(len(await waiting.taken()))
        waiting.engine.queue.done(waiting.key)

    assert [1, 0, 1, 0] == woken  # the first verdict, whatever it is, and the change for the better


class Borrowing(FakeProvider):
    """The fake provider, with an identity made from a Secret."""

    async def identify(self, store, namespace, cluster):
        await cluster.read_secret("team-0", "auth")
        return await super().identify(store, namespace, cluster)


async def test_missing_auth_secret_is_named_and_tried_again(bench, server, play) -> None:
    server.script.extend([play.refuses(404, "not found"), play.says(200, written())])
    bench.engine.providers["fake"] = Borrowing()
    bench.engine.books.note_store(KEY, body())

    await validate(bench)

    message = ready(server)[2]
    assert message.startswith("unable to create client: ")
    assert 'Secret "team-0/auth" does not exist' in message
    assert bench.due_in(KEY) <= 1.0


async def test_bug_is_told_without_its_text_and_tried_again(bench, server, play, caplog) -> None:
    """The text of an exception that nobody foresaw may hold anything."""
    server.otherwise = play.says(200, written())

    def stumble() -> None:
        raise KeyError(canary("text"))

    bench.engine.providers["fake"] = Checked(stumble)
    bench.engine.books.note_store(KEY, body())

    await validate(bench)

    assert "internal error (KeyError)" in ready(server)[2]
    assert canary("text") not in ready(server)[2]
    assert "a bug in Keyferry" in caplog.messages
    assert bench.due_in(KEY) <= 300


async def test_verdict_on_yesterdays_spec_is_thrown_away(bench, server) -> None:
    bench.engine.books.note_store(KEY, body())
    change = Checked(lambda: bench.engine.books.note_store(KEY, body(generation=2)))
    bench.engine.providers["fake"] = change

    record = await validate(bench)

    assert ([], None) == (server.seen, record.ready)


def puts(server):
    return sum(seen.method == "PUT" for seen in server.seen)


async def come_back(bench, key=KEY):
    """The next look at the store, in the lane and at the time that it is scheduled for."""
    bench.clock.advance(bench.due_in(key))
    bench.engine.queue._ring()
    ((found, lane),) = await bench.taken()
    assert key == found
    await reconcile_store(bench.engine, Claim(key, lane, bench.engine.queue.now()))
    bench.engine.queue.done(key)


class Counted(FakeProvider):
    """Counts the validations: each asks once what the provider can do."""

    count = 0

    @property
    def capabilities(self):
        self.count += 1
        return super().capabilities


async def test_status_that_was_not_taken_is_tried_ever_more_rarely_without_asking_the_store_again(
    bench, server, play, caplog
) -> None:
    server.otherwise = play.refuses(403, "no")
    bench.engine.providers["fake"] = counted = Counted()
    bench.engine.books.note_store(KEY, body())
    await validate(bench)

    pauses = []
    for _ in range(8):
        pauses.append(bench.due_in(KEY))
        await come_back(bench)

    for pause, most in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert most * 0.9 <= pause <= most
    assert (9, 1) == (puts(server), counted.count)
    assert 1 == sum(record.levelno == logging.WARNING for record in caplog.records)
    await bench.engine.events.flush(5)
    assert {"PUT"} == {seen.method for seen in server.seen}  # no event before the status is there


async def test_validation_keeps_its_time_while_a_status_is_owed(bench, server, play) -> None:
    server.otherwise = play.refuses(403, "no")
    bench.engine.providers["fake"] = counted = Counted()
    bench.engine.books.note_store(KEY, body())
    began = bench.engine.queue.now()
    await validate(bench)

    while 1 == counted.count:
        await come_back(bench)

    assert 270 <= bench.engine.queue.now() - began <= 300


async def test_owed_status_is_written_with_its_event_and_then_the_store_rests(
    bench, server, play, caplog
) -> None:
    server.script.append(play.refuses(500, "no"))
    server.otherwise = play.says(200, written())
    bench.engine.providers["fake"] = counted = Counted()
    bench.engine.books.note_store(KEY, body())
    await validate(bench)

    await come_back(bench)
    await bench.engine.events.flush(5)

    assert ("True", "Valid", "store validated") == ready(server)
    assert ["PUT", "PUT", "POST"] == [seen.method for seen in server.seen]
    assert 1 == counted.count
    assert {} == bench.engine.debts.stores
    assert 269 <= bench.due_in(KEY) <= 300


async def test_status_that_the_schema_of_stores_refuses_is_given_up_until_the_next_validation(
    bench, server, play
) -> None:
    server.otherwise = play.refuses(422, "spec.provider: Invalid value")
    bench.engine.books.note_store(KEY, body())

    await validate(bench)

    assert 1 == puts(server)
    assert 270 <= bench.due_in(KEY) <= 300
    await come_back(bench)
    assert 2 == puts(server)


async def test_conflict_over_a_stores_metadata_is_written_on_the_new_version(bench, server, play) -> None:
    """The watch may be late for long: the object is read."""
    server.script.extend(
        [play.refuses(409, "modified"), play.says(200, body(version="9")), play.says(200, written("10"))]
    )
    bench.engine.providers["fake"] = counted = Counted()
    bench.engine.books.note_store(KEY, body())

    record = await validate(bench)

    sent = [seen.json() for seen in server.seen if seen.method == "PUT"]
    assert ["7", "9"] == [one["metadata"]["resourceVersion"] for one in sent]
    assert sent[0]["status"] == sent[1]["status"]
    assert (1, "10") == (counted.count, record.resource_version)
    assert 270 <= bench.due_in(KEY) <= 300


async def test_conflict_over_a_stores_spec_throws_the_verdict_away_and_validates_again(
    bench, server, play
) -> None:
    server.script.extend([play.refuses(409, "modified"), play.says(200, body(version="9", generation=2))])
    bench.engine.books.note_store(KEY, body())

    record = await validate(bench)

    assert ["PUT", "GET"] == [seen.method for seen in server.seen]
    assert (2, None) == (record.generation, record.ready)
    assert [(KEY, Lane.STORE)] == await bench.taken()


async def test_conflict_over_a_store_that_is_gone_forgets_it(bench, server, play) -> None:
    server.script.extend([play.refuses(409, "modified"), play.refuses(404, "not found")])
    bench.engine.books.note_store(KEY, body())

    assert await validate(bench) is None
    assert bench.due_in(KEY) is None


async def test_conflicts_that_do_not_end_are_tried_ever_more_rarely(bench, server, play) -> None:
    """A proxy, a webhook or a stale cache may answer so each time; a GET that fails tells nothing."""
    server.otherwise = play.refuses(409, "modified")
    bench.engine.providers["fake"] = counted = Counted()
    bench.engine.books.note_store(KEY, body())
    await validate(bench)
    assert 3 == puts(server)

    pauses = [bench.due_in(KEY)]
    await come_back(bench)
    pauses.append(bench.due_in(KEY))

    assert 0.9 <= pauses[0] <= 1.0
    assert 1.8 <= pauses[1] <= 2.0
    assert 1 == counted.count


async def test_owed_status_of_yesterdays_spec_is_never_written(bench, server, play) -> None:
    server.script.append(play.refuses(500, "no"))
    server.otherwise = play.says(200, written())
    bench.engine.books.note_store(KEY, body(validation_result=2))
    await validate(bench)
    bench.engine.books.note_store(KEY, body(generation=2))

    await come_back(bench)

    assert ["False", "True"] == [ready(server, number)[0] for number in range(2)]
    assert {} == bench.engine.debts.stores


async def test_verdict_that_changes_while_a_status_is_owed_takes_its_place(bench, server, play) -> None:
    server.script.append(play.refuses(500, "no"))
    server.otherwise = play.says(200, written())
    troubles = [SpecError("for a moment")]

    def fail() -> None:
        if troubles:
            raise troubles.pop()

    bench.engine.providers["fake"] = Checked(fail)
    bench.engine.books.note_store(KEY, body())
    await validate(bench)
    await validate(bench)  # its auth Secret changed, before the status was tried again
    assert 1 == puts(server)

    await come_back(bench)

    assert ["False", "True"] == [ready(server, number)[0] for number in range(2)]


async def test_store_that_is_forgotten_takes_its_debt_with_it(bench, server, play) -> None:
    server.otherwise = play.refuses(500, "no")
    bench.engine.books.note_store(KEY, body())
    await validate(bench)

    forget_store(bench.engine, KEY)

    assert {} == bench.engine.debts.stores


async def test_store_that_is_gone_is_forgotten_and_those_who_use_it_learn_it(waiting, server, play) -> None:
    server.otherwise = play.refuses(404, "not found")
    waiting.engine.books.note_store(KEY, body())

    assert await validate(waiting) is None

    assert [(waiting.key, Lane.EVENT)] == await waiting.taken()
    assert waiting.due_in(KEY) is None


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        pytest.param({"secret_stores": False}, KEY, id="kind-switched-off"),
        pytest.param({"cluster_stores": False}, SHARED, id="cluster-kind-switched-off"),
        pytest.param({"controller_class": "ours"}, KEY, id="class-of-another"),
    ],
)
async def test_store_of_somebody_else_is_left_alone(bench, server, settings, key) -> None:
    bench.change_settings(**settings)
    bench.engine.books.note_store(key, body(key, controller="theirs"))

    record = await validate(bench, key)

    assert ([], None, False) == (server.seen, record.ready, record.ours)
    assert bench.engine.store_settled.is_set()


async def test_provider_that_is_not_there_yet_is_named(bench, server, play) -> None:
    server.otherwise = play.says(200, written())
    bench.engine.books.note_store(KEY, body(provider={"senhasegura": {"url": "https://example.com"}}))

    await validate(bench)

    assert 'provider "senhasegura" is not available yet' in ready(server)[2]


async def test_operator_of_one_namespace_tells_no_events_of_shared_stores(bench, server, play) -> None:
    """They are kept in the namespace "default", which is not its own."""
    bench.change_settings(namespace="team-0")
    server.otherwise = play.says(200, written())
    bench.engine.books.note_store(SHARED, body(SHARED))

    await validate(bench, SHARED)
    await bench.engine.events.flush(5)

    assert ["PUT"] == [seen.method for seen in server.seen]


# -- use


async def use(bench, key=KEY):
    return await use_store(bench.engine, SecretStoreRef(name=key.name, kind=key.kind), "team-0")


def known(bench, key=KEY, *, ready=True, **of_store):
    bench.engine.books.note_store(key, body(key, **of_store))
    bench.engine.books.stores[key].ready = ready


async def test_ready_store_is_used(bench) -> None:
    known(bench)

    assert KEY == (await use(bench)).key


async def test_store_that_is_not_there_is_named(bench, server, play) -> None:
    server.otherwise = play.refuses(404, "not found")

    with pytest.raises(NotReadyError, match='SecretStore "team-0/store" does not exist'):
        await use(bench)


async def test_store_created_a_moment_ago_is_found_and_validated_first(bench, server, play) -> None:
    server.otherwise = play.says(200, body())

    with pytest.raises(Unsettled):
        await use(bench)

    assert [(KEY, Lane.STORE)] == await bench.taken()


async def test_store_that_is_not_ready_is_not_asked_and_tells_its_cause(bench) -> None:
    known(bench, ready=False)
    bench.engine.books.stores[KEY].cause = "access denied"

    with pytest.raises(NotReadyError, match="access denied"):
        await use(bench)


async def test_without_the_flood_gate_a_store_is_asked_whatever_its_state(bench) -> None:
    bench.change_settings(flood_gate=False)
    known(bench, ready=False)

    assert KEY == (await use(bench)).key


@pytest.mark.parametrize(
    ("status", "error"),
    [
        pytest.param("True", None, id="ready"),
        pytest.param("False", NotReadyError, id="not-ready"),
        pytest.param(None, NotReadyError, id="not-validated"),
    ],
)
async def test_where_somebody_else_validates_the_condition_counts(bench, status, error) -> None:
    bench.change_settings(secret_stores=False)
    conditions = [{"type": "Ready", "status": status, "message": "told by another"}] if status else []
    bench.engine.books.note_store(KEY, body() | {"status": {"conditions": conditions}})

    if error is None:
        assert KEY == (await use(bench)).key
    else:
        with pytest.raises(error):
            await use(bench)


@pytest.mark.parametrize(
    ("of_store", "error"),
    [
        pytest.param({"controller": "theirs"}, Unsettled, id="class-of-another"),
        pytest.param({"provider": {}}, SpecError, id="no-provider"),
        pytest.param({"provider": {"senhasegura": {}}}, NotAvailableError, id="provider-not-there-yet"),
    ],
)
async def test_store_that_cannot_be_used_is_told_as_such(bench, of_store, error) -> None:
    known(bench, **of_store)

    with pytest.raises(error):
        await use(bench)


BY_LABEL = {"conditions": [{"namespaceSelector": {"matchLabels": {"stores": "yes"}}}]}


@pytest.mark.parametrize("labels", [{"stores": "yes"}, {"stores": "no"}], ids=["matching", "other"])
async def test_labels_of_the_namespace_decide_and_are_read_where_no_watch_tells(
    bench, server, play, labels
) -> None:
    known(bench, SHARED, **BY_LABEL)
    server.otherwise = play.says(200, {"metadata": {"name": "team-0", "labels": labels}})

    if labels["stores"] == "yes":
        assert SHARED == (await use(bench, SHARED)).key
    else:
        with pytest.raises(ForbiddenError):
            await use(bench, SHARED)

    assert ["/api/v1/namespaces/team-0"] == [seen.path for seen in server.seen]


@pytest.mark.parametrize("code", [403, 404])
async def test_labels_that_cannot_be_read_let_nobody_in(bench, server, play, code) -> None:
    known(bench, SHARED, **BY_LABEL)
    server.otherwise = play.refuses(code, "no")

    with pytest.raises(ForbiddenError):
        await use(bench, SHARED)


@pytest.mark.parametrize("code", [401, 429, 503])
async def test_labels_that_were_not_answered_are_no_denial(bench, server, play, code) -> None:
    """It is told as what it is, and tried again, where a denial would wait for a change."""
    known(bench, SHARED, **BY_LABEL)
    server.otherwise = play.refuses(code, "no")

    with pytest.raises(KubeError) as told:
        await use(bench, SHARED)

    assert RetryKind.ON_CHANGE is not told.value.retry.kind


@pytest.mark.parametrize(
    ("scope", "conditions", "retried"),
    [
        pytest.param("team-0", BY_LABEL, RetryKind.BACKOFF, id="labels-that-nobody-watches"),
        pytest.param("", BY_LABEL, RetryKind.ON_CHANGE, id="labels-that-are-watched"),
        pytest.param("team-0", {"conditions": [{"namespaces": ["other"]}]}, RetryKind.ON_CHANGE, id="names"),
    ],
)
async def test_denial_by_what_nobody_watches_is_tried_again(  # noqa: PLR0917
    bench, server, play, scope, conditions, retried
) -> None:
    bench.change_settings(namespace=scope)
    known(bench, SHARED, **conditions)
    server.otherwise = play.says(200, {"metadata": {"name": "team-0", "labels": {"stores": "no"}}})

    with pytest.raises(ForbiddenError) as told:
        await use(bench, SHARED)

    assert retried is told.value.retry.kind


async def test_labels_that_the_watch_tells_during_the_read_are_newer(bench, server) -> None:
    """What was read is nobody's to correct: the watch tells of a change against its own labels alone."""
    known(bench, SHARED, **BY_LABEL)

    async def tell_meanwhile(_):
        bench.engine.books.namespaces["team-0"] = {"stores": "yes"}
        return web.json_response({"metadata": {"name": "team-0", "labels": {"stores": "no"}}})

    server.otherwise = tell_meanwhile

    assert SHARED == (await use(bench, SHARED)).key


async def test_labels_that_a_watch_tells_are_not_read(bench, server) -> None:
    known(bench, SHARED, **BY_LABEL)
    bench.engine.books.namespaces["team-0"] = {"stores": "yes"}

    assert SHARED == (await use(bench, SHARED)).key
    assert [] == server.seen


class Unmaintained(FakeProvider):
    """A kind of store that nobody looks after."""

    maintenance = Maintenance.UNMAINTAINED


class Deprecated(FakeProvider):
    """A kind of store that will go."""

    maintenance = Maintenance.DEPRECATED


def recorded(bench):
    return [event.reason for event in bench.engine.events._waiting]


@pytest.mark.parametrize(
    ("provider", "annotations", "told"),
    [
        (Unmaintained, {}, ["StoreUnmaintained", "Valid"]),
        (Deprecated, {}, ["StoreDeprecated", "Valid"]),
        (Unmaintained, {"external-secrets.io/ignore-maintenance-checks": "true"}, ["Valid"]),
        (
            Unmaintained,
            {"external-secrets.io/ignore-maintenance-checks": "no"},
            ["StoreUnmaintained", "Valid"],
        ),
        (FakeProvider, {}, ["Valid"]),
    ],
    ids=["unmaintained", "deprecated", "waved-off", "not-waved-off", "maintained"],
)
async def test_kind_that_nobody_looks_after_is_told_once(
    bench, server, play, *, provider, annotations, told
) -> None:
    server.otherwise = play.says(200, written())
    bench.engine.providers = {"fake": provider()}
    made = body()
    made["metadata"]["annotations"] = annotations
    bench.engine.books.note_store(KEY, made)

    await validate(bench)
    await validate(bench)

    assert told == recorded(bench)
