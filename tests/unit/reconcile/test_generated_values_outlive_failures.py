"""What a generator made elsewhere, when something fails around the write of the Secret that holds it."""

from __future__ import annotations

import json

import pytest
from tests.unit.reconcile.tokens import KEY, Cluster

from keyferry.core.hashing import created_by_hash
from keyferry.reconcile.books import SecretRecord
from keyferry.reconcile.finish import forget
from keyferry.testing.builders import entry, generated, renamed
from keyferry.testing.leaks import canary


@pytest.fixture
def cluster(bench, server, play) -> Cluster:
    bench.engine.books.forget_external_secret(bench.key)
    return Cluster(bench, server, play)


async def test_secret_that_was_written_without_an_answer_keeps_good_values(cluster) -> None:
    """The connection broke after the write: what the Secret holds now must not be taken back."""
    cluster.lost = {"POST"}
    cluster.put(generated("Fake", "gen"))
    await cluster.look()
    cluster.lost = set()
    await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert cluster.tokens.made == 1


async def test_interval_that_passed_is_no_reason_to_write_twice(cluster) -> None:
    """The same where the values are made because they are due: the write without an answer was theirs."""
    cluster.put(generated("Fake", "gen"), refreshInterval="1h")
    await cluster.look()
    cluster.tell_of_secret()
    cluster.lost = {"PUT"}
    await cluster.look()
    cluster.lost = set()
    cluster.tell_of_secret()
    await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert cluster.tokens.made == 2
    assert cluster.told.reason == "SecretSynced"


@pytest.mark.parametrize("what", ["cut", "refused"])
async def test_values_that_no_secret_holds_are_taken_back(cluster, what) -> None:
    setattr(cluster, what, {"POST"})
    cluster.put(generated("Fake", "gen"))
    await cluster.look()

    assert cluster.tokens.made == 1
    assert cluster.tokens.good == []
    assert cluster.states == {}


async def test_values_of_which_nobody_can_tell_stay_good(cluster) -> None:
    """Their state is still noted: once the object is synced, what is not in the Secret is taken back."""
    cluster.lost, cluster.cut_after_loss = {"POST"}, {"GET"}
    cluster.put(generated("Fake", "gen"))
    await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert len(cluster.states) == 1


@pytest.mark.parametrize("order", [("gen", "other"), ("other", "gen")])
async def test_nothing_is_made_where_another_generator_is_missing(cluster, order) -> None:
    """It is looked for every minute: what is made each time would be taken back each time."""
    cluster.put(*(generated("Fake", name, renamed("token", name)) for name in order))
    for _ in range(3):
        await cluster.look()
    made = cluster.tokens.made
    cluster.generators.add("other")
    await cluster.look()

    assert made == 0
    assert cluster.tokens.made == 2
    assert cluster.secrets["app"]["data"].keys() == set(order)


async def test_store_is_not_asked_where_a_generator_is_missing(cluster) -> None:
    """Stores bill by the call."""
    cluster.put_store({"db": canary("db")})
    cluster.put(entry("v", "db"), generated("Fake", "other"))
    await cluster.look()

    assert "does not exist" in cluster.told.message
    assert cluster.engine.planner.calls == (0, 0)


async def test_refresh_time_in_the_future_does_not_keep_values_for_ever(cluster) -> None:
    """A clock was wrong. From the next look on the interval counts again."""
    cluster.put(generated("Fake", "gen"), refreshInterval="1h")
    await cluster.look()
    cluster.tell_of_secret()
    record = cluster.engine.books.external_secrets[KEY]
    record.refreshed_at += 365 * 86400
    cluster.engine.queue.unschedule(KEY)
    await cluster.look()
    assert cluster.tokens.made == 1
    assert cluster.bench.due_in(KEY) <= 3600
    await cluster.look()

    assert cluster.tokens.made == 2


async def test_secret_whose_former_one_cannot_be_removed_keeps_good_values(cluster) -> None:
    """They are in the Secret already, and are not made again at each try to remove the other one."""
    old = ("team-0", "old")
    owner = {"kind": "ExternalSecret", "name": "app", "uid": "u-1", "controller": True}
    cluster.secrets["old"] = {"metadata": {"uid": "s-0", "ownerReferences": [owner]}}
    created_by = created_by_hash("team-0", "app")
    cluster.engine.books.secrets[old] = SecretRecord(
        "s-0", "1", managed=True, created_by=created_by, data_hash=""
    )
    cluster.engine.books.owned.add(("team-0", created_by), "old")
    cluster.refused = {"DELETE"}
    cluster.put(generated("Fake", "gen"))
    for _ in range(3):
        await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert cluster.tokens.made == 1


async def test_values_of_another_generator_are_not_kept_while_their_state_ends(cluster) -> None:
    """The entry names another generator now: what the former one made is taken back."""
    cluster.generators.add("other")
    cluster.put(generated("Fake", "gen"))
    await cluster.look()
    cluster.tell_of_secret()
    cluster.engine.queue.unschedule(KEY)
    cluster.put(generated("Fake", "other"), version=2)
    await cluster.look()

    assert cluster.tokens.made == 2
    assert len(cluster.engine.books.generator_states.deadlines) == 1


async def test_values_of_a_former_external_secret_are_not_kept_without_their_state(cluster) -> None:
    """It went, its state went with it, and the Secret stayed: an Orphan."""
    cluster.put(generated("Fake", "gen"), target={"creationPolicy": "Orphan"})
    await cluster.look()
    cluster.tell_of_secret()
    (name,) = cluster.states
    state = cluster.states.pop(name)["spec"]["state"]
    await cluster.tokens.cleanup(None, json.dumps(state).encode(), None)
    forget(cluster.engine, KEY)
    cluster.put(generated("Fake", "gen"), target={"creationPolicy": "Orphan"})
    cluster.engine.books.external_secrets[KEY].uid = "u-2"
    await cluster.look()

    assert cluster.told.reason == "SecretSynced"
    assert cluster.token() in cluster.tokens.good


async def test_write_that_is_refused_again_and_again_makes_values_once(cluster) -> None:
    """A quota or a policy may refuse for days: from the second try on it is asked before anything is made."""
    cluster.refused = {"POST"}
    cluster.put(generated("Fake", "gen"))
    for _ in range(5):
        await cluster.look()
    made = cluster.tokens.made
    cluster.refused = set()
    await cluster.look()

    assert (made, cluster.tokens.made) == (1, 2)
    assert cluster.token() in cluster.tokens.good


async def test_entry_that_is_new_is_no_changed_data(cluster) -> None:
    cluster.put(generated("Fake", "gen"))
    await cluster.look()
    cluster.tell_of_secret()
    cluster.engine.queue.unschedule(KEY)
    cluster.put(generated("Fake", "gen"), generated("Fake", "gen", renamed("token", "second")), version=2)
    await cluster.look()

    assert cluster.secrets["app"]["data"].keys() == {"token", "second"}
    assert cluster.reasons == ["Created", "Updated"]
