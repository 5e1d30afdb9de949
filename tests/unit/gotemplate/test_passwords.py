"""Hashes of passwords, and derived passwords; those of Go are in keystores.json."""

from __future__ import annotations

import bcrypt as library
import pytest

from keyferry.gotemplate.errors import Exhausted, SlowFunction
from keyferry.gotemplate.functions.passwords import HashAlgorithm, bcrypt, derive_password, group, htpasswd
from keyferry.gotemplate.signatures import NAMED_STRINGS
from keyferry.gotemplate.values import type_of
from keyferry.testing.leaks import canary


@pytest.mark.parametrize("password", [b"", b"a\0b", b"\xff\xfe", b"x" * 72])
def test_hash_is_one_of_the_password(run, password):
    made = bcrypt(run, password)

    assert made.startswith(b"$2a$10$")
    assert len(made) == 60
    assert library.checkpw(password, made)


def test_two_hashes_of_a_password_differ(run):
    assert bcrypt(run, b"a") != bcrypt(run, b"a")


def test_password_that_bcrypt_cannot_take_gives_gos_text_as_the_result(run):
    assert (
        bcrypt(run, b"x" * 73)
        == b"failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes"
    )


def test_htpasswd_has_a_line_for_the_user(run):
    password = canary("htpasswd").encode()

    user, _, made = htpasswd(run, b"me", password, HashAlgorithm(b"bcrypt")).partition(b":")

    assert user == b"me"
    assert library.checkpw(password, made)


def test_htpasswd_knows_sha(run):
    assert htpasswd(run, b"me", b"pw", HashAlgorithm(b"sha")) == b"me:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM="


def test_htpasswd_refuses_a_user_with_a_colon(run):
    assert htpasswd(run, b"a:b", b"pw", HashAlgorithm(b"sha")) == b"invalid username: a:b"


def test_only_the_named_type_is_a_hash_algorithm():
    assert group.functions["htpasswd"].signature.params[2] in NAMED_STRINGS
    assert type_of(HashAlgorithm(b"sha")) == "sprig.HashAlgorithm"


def test_derived_passwords_are_those_of_go(new_run, keystores):
    derived = [
        [kind, derive_password(new_run(), 7, kind.encode(), b"master", b"user", b"example.com").decode()]
        for kind, _ in keystores["derive_password"]
    ]

    assert derived == keystores["derive_password"]


def test_unknown_form_of_password_gives_gos_text_as_the_result(run):
    assert derive_password(run, 1, b"odd", b"a", b"b", b"c") == b"cannot find password template odd"


@pytest.mark.parametrize("name", ["bcrypt", "derivePassword"])
def test_slow_functions_ask_for_a_place_where_they_may_be_slow(new_run, name):
    arguments = [b"a"] if name == "bcrypt" else [1, b"pin", b"a", b"b", b"c"]

    with pytest.raises(SlowFunction):
        group.functions[name].call(new_run(allows_slow=False), *arguments)


def test_hashes_end_with_the_budget(run):
    run.crypto = 150
    bcrypt(run, b"a")
    bcrypt(run, b"a")

    with pytest.raises(Exhausted):
        bcrypt(run, b"a")
