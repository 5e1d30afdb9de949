"""Passwords are as their spec says, whatever it says; what no password can be is refused by its field."""

from __future__ import annotations

import base64
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.generators.local import PasswordSpec
from keyferry.api.model import convert
from keyferry.errors import SpecError
from keyferry.generators.password import DEFAULT_SYMBOLS, MAX_CHARS, PasswordGenerator
from keyferry.ports import GeneratorView, ObjectKey

GENERATOR = PasswordGenerator()


def view(**spec):
    return GeneratorView(
        ObjectKey("Password", "team-a", "p"), "Password", "team-a", convert(spec, PasswordSpec)
    )


async def make(**spec):
    GENERATOR.check(view(**spec))
    made = await GENERATOR.generate(view(**spec), None)
    return {key: value.reveal() for key, value in made.data.items()}


def run(coroutine):
    """The result of a coroutine that waits for nothing: Hypothesis calls plain functions."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError


def classes(text, symbols=DEFAULT_SYMBOLS):
    """(letters, digits, symbols) of a text whose symbols are neither letters nor digits."""
    return (
        sum(c in string.ascii_letters for c in text),
        sum(c in string.digits for c in text),
        sum(c in symbols for c in text),
    )


async def test_password_is_as_the_reference_makes_it_without_any_field():
    password = (await make())["password"].decode()

    assert (24, (12, 6, 6)) == (len(password), classes(password))
    assert 24 == len(set(password))


@pytest.mark.parametrize(("length", "share"), [(1, 0), (3, 0), (4, 1), (7, 1), (8, 2), (27, 6), (39, 9)])
async def test_a_quarter_are_digits_and_a_quarter_symbols_rounded_down(length, share):
    password = (await make(length=length))["password"].decode()

    assert (length - 2 * share, share, share) == classes(password)


@pytest.mark.parametrize("length", [0, -5])
async def test_no_length_means_the_default(length):
    assert 24 == len((await make(length=length))["password"])


async def test_empty_symbol_characters_mean_the_default():
    password = (await make(symbolCharacters=""))["password"].decode()

    assert 6 == classes(password)[2]


@given(
    letters=st.integers(0, 26),
    digits=st.integers(0, 10),
    symbols=st.integers(0, len(DEFAULT_SYMBOLS)),
    no_upper=st.booleans(),
    repeat=st.booleans(),
)
def test_each_class_has_its_number_and_nothing_repeats_unless_it_may(
    letters, digits, symbols, no_upper, repeat
):
    length = letters + digits + symbols
    if not length:
        return
    made = run(make(length=length, digits=digits, symbols=symbols, noUpper=no_upper, allowRepeat=repeat))
    password = made["password"].decode()

    assert (letters, digits, symbols) == classes(password)
    assert repeat or len(set(password)) == length
    assert not no_upper or password == password.lower()


@given(
    pool=st.text(st.sampled_from("abcxyz0123456789!?äΩ"), min_size=1, max_size=25),
    letters=st.integers(0, 26),
    digits=st.integers(0, 10),
    symbols=st.integers(0, 25),
)
def test_symbols_may_be_letters_and_digits_too(pool, letters, digits, symbols):
    """Then it is not told apart which is which; a spec is refused only where no password can be like that."""
    spec = {
        "length": letters + digits + symbols,
        "digits": digits,
        "symbols": symbols,
        "symbolCharacters": pool,
        "noUpper": True,
    }
    if not spec["length"]:
        return
    lower, numbers, own = set(string.ascii_lowercase), set(string.digits), set(pool)
    # Hall's theorem: every set of classes needs as many characters as it asks for.
    possible = (
        symbols <= len(own)
        and letters + symbols <= len(lower | own)
        and digits + symbols <= len(numbers | own)
        and letters + digits + symbols <= len(lower | numbers | own)
    )
    if not possible:
        with pytest.raises(SpecError, match=r"spec\.symbols"):
            run(make(**spec))
        return
    password = run(make(**spec))["password"].decode()

    assert len(password) == len(set(password)) == spec["length"]
    assert set(password) <= lower | numbers | own
    assert sum(c in own for c in password) >= symbols
    assert sum(c in lower for c in password) >= letters
    assert sum(c in numbers for c in password) >= digits


async def test_repeats_come_where_they_may():
    counts = Counter((await make(length=400, allowRepeat=True))["password"].decode())

    assert (400, True) == (counts.total(), max(counts.values()) > 1)


async def test_characters_stand_in_any_order():
    """A class that always came first would make passwords easier to guess."""
    firsts = {(await make())["password"][:1] for _ in range(60)}

    assert {True, False} == {first.isalpha() for first in firsts}


async def test_every_character_comes_up():
    seen = set("".join([(await make())["password"].decode() for _ in range(200)]))

    assert set(string.ascii_letters + string.digits + DEFAULT_SYMBOLS) == seen


async def test_each_key_has_a_password_of_its_own():
    made = await make(secretKeys=["admin", "reader"])

    assert ["admin", "reader"] == list(made)
    assert made["admin"] != made["reader"]


@pytest.mark.parametrize(
    ("encoding", "decode"),
    [
        pytest.param("raw", bytes, id="raw"),
        pytest.param("base64", lambda v: base64.b64decode(v, validate=True), id="base64"),
        pytest.param("base64url", lambda v: base64.b64decode(v, b"-_", validate=True), id="base64url"),
        pytest.param("base32", base64.b32decode, id="base32"),
        pytest.param("hex", lambda v: bytes.fromhex(v.decode()), id="hex"),
    ],
)
async def test_encoding_is_of_the_whole_password(encoding, decode):
    plain = decode((await make(encoding=encoding))["password"]).decode()

    assert (12, 6, 6) == classes(plain)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param({"length": 10, "digits": 6, "symbols": 6}, "spec.length", id="no-room"),
        pytest.param({"digits": -1}, "spec.digits", id="negative-digits"),
        pytest.param({"symbols": -1}, "spec.symbols", id="negative-symbols"),
        pytest.param({"length": 60, "digits": 11, "symbols": 0}, "spec.digits", id="digits-that-repeat"),
        pytest.param({"length": 60, "digits": 0, "symbols": 0}, "spec.length", id="letters-that-repeat"),
        pytest.param({"length": 30, "digits": 0, "symbols": 0, "noUpper": True}, "spec.length", id="lower"),
        pytest.param({"symbols": 3, "symbolCharacters": "!!??"}, "spec.symbols", id="symbols-that-repeat"),
        pytest.param({"length": 64}, "spec.digits", id="default-share-of-a-long-one"),
        pytest.param({"secretKeys": [""]}, "spec.secretKeys", id="empty-key"),
        pytest.param({"secretKeys": ["a", "a"]}, "spec.secretKeys", id="key-twice"),
        pytest.param({"length": MAX_CHARS + 1, "allowRepeat": True}, "spec.length", id="too-long"),
        pytest.param(
            {"length": MAX_CHARS // 2 + 1, "allowRepeat": True, "secretKeys": ["a", "b"]},
            "spec.length",
            id="too-long-together",
        ),
    ],
)
def test_spec_that_no_password_fulfils_is_refused_by_its_field(spec, says):
    with pytest.raises(SpecError) as failure:
        GENERATOR.check(view(**spec))

    assert failure.value.message.startswith(says)


async def test_longest_password_is_made():
    assert MAX_CHARS == len((await make(length=MAX_CHARS, allowRepeat=True))["password"])
