"""AES encryption; what Go has encrypted is in keystores.json."""

from __future__ import annotations

import base64

import pytest

from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.aes import decrypt_aes, encrypt_aes
from keyferry.testing.leaks import canary


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
@pytest.mark.parametrize("password", [b"", b"short", b"x" * 31 + b"yz"])
def test_text_comes_back(run, password, size):
    text = (canary("aes").encode() * 20)[:size]

    assert decrypt_aes(run, password, encrypt_aes(run, password, text)) == text


def test_what_go_has_encrypted_is_read(run, keystores):
    read = [
        decrypt_aes(run, password.encode(), text.encode()).decode() for password, _, text in keystores["aes"]
    ]

    assert read == [text for _, text, _ in keystores["aes"]]


def test_only_the_first_32_bytes_of_a_password_count(run):
    assert decrypt_aes(run, b"x" * 40, encrypt_aes(run, b"x" * 32, b"text")) == b"text"


def test_text_is_encrypted_to_another_one_each_time(run):
    assert encrypt_aes(run, b"a", b"b") != encrypt_aes(run, b"a", b"b")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"no base64", "illegal base64 data"),
        (b"AAA", "illegal base64 data"),
        (base64.b64encode(bytes(15)), "too few to decrypt"),
        (base64.b64encode(bytes(16)), "too few to decrypt"),
        (base64.b64encode(bytes(33)), "input not full blocks"),
    ],
)
def test_what_cannot_be_decrypted_is_told(run, text, error):
    with pytest.raises(FunctionError, match=error):
        decrypt_aes(run, b"a", text)


def test_padding_longer_than_the_text_is_told(run):
    encrypted = base64.b64decode(encrypt_aes(run, b"a", b"x" * 15))
    vector = bytes([*encrypted[:15], encrypted[15] ^ 1 ^ 17])

    with pytest.raises(FunctionError, match="longer than the text"):
        decrypt_aes(run, b"a", base64.b64encode(vector + encrypted[16:]))
