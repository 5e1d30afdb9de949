"""A secret value is seen by `.reveal()` and by nothing else."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback

import msgspec
import orjson
import pytest

from keyferry.errors import AccessDenied
from keyferry.secretdata import REDACTED, SecretBytes, SecretData

CANARY = "hunter2"
VALUE = SecretBytes(CANARY)
DATA = SecretData({"password": CANARY, "user": b"hunter2-admin"})
HIDING = pytest.mark.parametrize(
    "hidden", [VALUE, DATA, [VALUE], {"k": DATA}], ids=["value", "data", "list", "dict"]
)


@dataclasses.dataclass
class Holder:
    value: object


@HIDING
@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        pprint.pformat,
        "{}".format,
        "{!r}".format,
        "{!s:>40}".format,
        "{!a}".format,
        lambda x: f"{x}",
        lambda x: f"{x!r:>40}",
        lambda x: "%s" % (x,),  # noqa: UP031 - one of the ways
        lambda x: "%r %a" % (x, x),  # noqa: UP031 - one of the ways
        lambda x: repr(Holder(x)),
        lambda x: repr(dataclasses.replace(Holder(x))),
        lambda x: repr(ValueError(x)),
        lambda x: str(AccessDenied(f"{x}")),
        lambda x: orjson.dumps(x, default=str, option=orjson.OPT_NON_STR_KEYS).decode(),
        lambda x: json.dumps(x, default=str),
        lambda x: msgspec.json.encode(x, enc_hook=str).decode(),
        lambda x: repr(dir(x)),
    ],
)  # fmt: skip
def test_no_way_of_showing_shows_the_value(show, hidden):
    shown = show(hidden)

    assert CANARY not in shown
    assert list(CANARY.encode()).__repr__()[1:-1] not in shown


@pytest.mark.parametrize("spec", ["", "s", ">40", "x", ".3", "!r", "%Y"])
@pytest.mark.parametrize("hidden", [VALUE, DATA])
def test_no_format_shows_the_value(hidden, spec):
    assert CANARY[:3] not in format(hidden, spec)


@HIDING
@pytest.mark.parametrize(
    "leak",
    [
        pickle.dumps,
        lambda x: pickle.dumps(x, 0),
        copy.deepcopy,
        json.dumps,
        orjson.dumps,
        msgspec.json.encode,
        msgspec.to_builtins,
    ],
)
def test_what_would_copy_the_value_out_fails_without_showing_it(leak, hidden):
    with pytest.raises((TypeError, ValueError)) as caught:
        leak(hidden)

    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("hidden", [VALUE, DATA])
@pytest.mark.parametrize(
    "leak",
    [
        copy.copy,
        vars,
        lambda x: x.__dict__,
        lambda x: x.__getstate__(),
        lambda x: x.__reduce__(),
        lambda x: x.__reduce_ex__(2),
        lambda x: "%d" % x,  # noqa: UP031 - one of the ways
        bytes,
        bytearray,
        memoryview,
        int,
        lambda x: b"%b" % x,
        lambda x: x + b"",
        lambda x: x[0],
        lambda x: dataclasses.asdict(Holder(x)),
    ],
)
def test_value_takes_part_in_nothing(leak, hidden):
    with pytest.raises((TypeError, AttributeError, KeyError)) as caught:
        leak(hidden)

    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_value_is_not_read_by_accident():
    with pytest.raises(TypeError):
        iter(VALUE)
    with pytest.raises(TypeError):
        b"".join([VALUE])
    with pytest.raises(TypeError):
        "h" in VALUE  # noqa: B015 - the membership test is the case


def test_logged_value_is_redacted(caplog):
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").error("value %s, data %r", VALUE, DATA)
        logging.getLogger("x").error("value %(v)s", {"v": VALUE})

    assert CANARY not in caplog.text
    assert REDACTED in caplog.text


def test_trace_with_locals_is_redacted():
    def fail():
        value, data = VALUE, DATA
        raise ValueError(value, data)

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is what is looked at
        fail()

    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert f"value = {REDACTED}" in told
    assert CANARY not in told


def test_missing_key_is_told_and_the_values_are_not():
    with pytest.raises(KeyError) as caught:
        DATA["nope"]

    assert caught.value.args == ("nope",)


def test_keys_are_shown():
    assert repr(DATA) == "SecretData({'password': [redacted], 'user': [redacted]})"


# -- what they are for


def test_value_is_revealed_on_request():
    assert (VALUE.reveal(), SecretBytes(b"\xff\x00").reveal(), SecretBytes("é").reveal()) == (
        b"hunter2",
        b"\xff\x00",
        b"\xc3\xa9",
    )


def test_value_is_copied_from_what_may_change():
    buffer = bytearray(b"abc")
    value = SecretBytes(buffer)
    buffer[0] = 0

    assert value.reveal() == b"abc"


def test_values_are_equal_by_their_bytes():
    assert SecretBytes("a") == SecretBytes(b"a")
    assert hash(SecretBytes("a")) == hash(SecretBytes(b"a"))
    assert SecretBytes("a") != SecretBytes("b")
    assert SecretBytes("a") != SecretBytes("aa")
    assert SecretBytes("a") != b"a"
    assert SecretBytes("a") != "a"


def test_hash_of_a_value_is_not_that_of_its_bytes():
    """Else a set of known hashes would give short values away in a dump of dictionaries."""
    assert hash(SecretBytes(b"a")) != hash(b"a")


def test_length_and_truth_are_those_of_the_bytes():
    assert [len(VALUE), bool(VALUE), bool(SecretBytes(b""))] == [7, True, False]


def test_data_is_a_mapping_in_its_order():
    assert list(SecretData({"z": b"1", "a": SecretBytes("2")})) == ["z", "a"]
    assert len(DATA) == 2
    assert "user" in DATA
    assert DATA["password"] is next(iter(DATA.values()))
    assert SecretData({"a": "1"}) == SecretData({"a": b"1"})
    assert SecretData({"a": "1"}) != SecretData({"a": "2"})
    assert dict(SecretData()) == dict(SecretData({})) == {}


def test_data_is_as_large_as_its_values():
    assert (DATA.size(), SecretData().size()) == (20, 0)


def test_data_does_not_follow_the_mapping_it_was_made_from():
    source = {"a": b"1"}
    data = SecretData(source)
    source["b"] = b"2"

    assert list(data) == ["a"]
