"""Replication states: the newest of each cluster is sent along, and nothing that is none."""

from __future__ import annotations

import base64

import pytest

from keyferry.providers.vault.states import States


def state(cluster, local, replicated, version="v1"):
    return base64.b64encode(f"{version}:{cluster}:{local}:{replicated}:signature".encode()).decode()


def sent(*headers):
    states = States()
    for text in headers:
        states.note({"x-vault-index": text})
    return states.header


def test_nothing_is_sent_before_anything_was_told():
    assert "" == sent()


def test_newest_state_of_a_cluster_replaces_older_ones():
    assert state("a", 5, 0) == sent(state("a", 3, 0), state("a", 5, 0), state("a", 4, 0))


def test_each_cluster_has_a_state_of_its_own():
    assert f"{state('a', 3, 1)}, {state('b', 1, 1)}" == sent(state("a", 3, 1), state("b", 1, 1))


def test_clusters_are_bounded():
    many = [state(f"c{number}", 1, 1) for number in range(20)]

    assert ", ".join(many[-8:]) == sent(*many)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        state("a", 1, 1, version="v2"),
        base64.b64encode(b"v1:a:x:y:z").decode(),
        "x" * 9999,
        base64.b64encode(b"v1:a:1").decode(),
        base64.b64encode(b"\xff\xfe").decode(),
    ],
)
def test_what_is_no_state_is_not_sent_back(text):
    assert "" == sent(text)
