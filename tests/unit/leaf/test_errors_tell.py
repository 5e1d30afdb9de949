"""The error tree: texts, schedules, and telling a failure anew."""

from __future__ import annotations

import copy
import pickle

import pytest

from keyferry import errors
from keyferry.errors import (
    BACKOFF,
    MAX_MESSAGE_CHARS,
    ON_CHANGE,
    AccessDenied,
    KeyferryError,
    KubeConflict,
    KubeError,
    NotReadyError,
    Retry,
    RetryKind,
    SpecError,
    after,
    one_line,
)


def _tree(root=KeyferryError):
    """The classes of the tree that `errors` itself defines."""
    if root.__module__ == errors.__name__:
        yield root
    for inner in root.__subclasses__():
        yield from _tree(inner)


TREE = list(_tree())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a b"),
        ("  a \n\t b\r\n", "a b"),
        ("a\u2028b\u2029c\x85d\x1ce", "a b c d e"),
        ("a\x00b\x1b[31mc\x7f\x9b", "a\ufffdb\ufffd[31mc\ufffd\ufffd"),
        ("abc\u202edef\u2066", "abc\ufffddef\ufffd"),
        ("half \ud800", "half \ufffd"),
        ("é 日本 😀 «»", "é 日本 😀 «»"),
        ("", ""),
        ("\n", ""),
    ],
)
def test_text_becomes_one_line_that_everybody_can_show(text, expected):
    assert one_line(text) == expected


@pytest.mark.parametrize(("length", "expected"), [(10, "x" * 10), (11, "x" * 9 + "…")])
def test_long_text_is_cut(length, expected):
    assert one_line("x" * length, 10) == expected


def test_messages_are_short_enough_for_events():
    """An event's message may have 1024 characters (Kubernetes API reference, Event v1)."""
    assert len(AccessDenied("x" * 5000).message) == MAX_MESSAGE_CHARS == 1024


def test_failure_without_an_answer_of_the_api_server_has_no_status():
    assert (KubeError("x").status, Retry(RetryKind.BACKOFF).seconds) == (0, 0.0)


def test_line_can_always_be_encoded():
    one_line("".join(map(chr, range(0x3000))) + "\ud800\udfff").encode()


@pytest.mark.parametrize("kind", TREE)
def test_every_failure_has_a_reason_and_a_schedule(kind):
    error = kind("a\nb", hint="c\nd")

    assert error.reason.isidentifier()
    assert error.reason[0].isupper()
    assert error.retry in (BACKOFF, ON_CHANGE)
    assert str(error) == "a b. c d"
    assert (error.message, error.hint) == ("a b", "c d")


@pytest.mark.parametrize("kind", TREE)
def test_schedule_of_a_single_failure_goes_before_its_class(kind):
    assert kind("x", retry=after(7)).retry == after(7)
    assert kind("x", retry=ON_CHANGE).retry == ON_CHANGE


def test_text_without_a_hint_is_the_message():
    assert str(AccessDenied("denied")) == "denied"


def test_after_names_its_seconds():
    assert (after(2.5).kind, after(2.5).seconds) == (RetryKind.AFTER, 2.5)


@pytest.mark.parametrize("kind", TREE)
def test_told_anew_a_failure_keeps_its_kind_schedule_and_hint(kind):
    first = kind("denied", hint="Ask the owner", retry=after(7))

    told = first.within("reading db")

    assert type(told) is kind
    assert (told.message, told.hint, told.retry) == ("reading db: denied", "Ask the owner", after(7))
    assert str(told) == "reading db: denied. Ask the owner"
    assert told.__cause__ is first
    assert (first.message, first.args) == ("denied", ("denied",))


def test_told_anew_twice_a_failure_names_both():
    told = AccessDenied("denied").within("inner").within("outer")

    assert told.message == "outer: inner: denied"


def test_told_anew_a_failure_keeps_what_its_kind_adds():
    told = KubeConflict("changed", status=409).within("writing")

    assert told.status == 409


def test_told_anew_the_message_stays_one_short_line():
    told = AccessDenied("x" * 2000).within("a\nb")

    assert told.message.startswith("a b: x")
    assert len(told.message) == MAX_MESSAGE_CHARS


def test_told_anew_a_failure_has_a_trace_of_its_own():
    """The first one is shared by all who asked: nothing may be added to it."""
    first = AccessDenied("denied")
    with pytest.raises(AccessDenied) as caught:
        raise first.within("reading")

    assert first.__traceback__ is None
    assert caught.value.__traceback__ is not None
    assert first.__context__ is None


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_copy_of_a_failure_is_the_same(copied):
    error = KubeError("x", status=503, hint="y", retry=after(3))

    twin = copied(error)

    assert (type(twin), twin.message, twin.hint, twin.retry, twin.status) == (
        KubeError,
        "x",
        "y",
        after(3),
        503,
    )


def test_what_waits_for_others_backs_off_and_what_is_wrong_waits_for_a_change():
    assert (NotReadyError("x").retry, SpecError("x").retry) == (BACKOFF, ON_CHANGE)
