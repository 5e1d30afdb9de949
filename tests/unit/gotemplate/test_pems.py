"""PEM texts taken apart, as Go's encoding/pem and crypto/x509 do it."""

from __future__ import annotations

import base64

import pytest

from keyferry.gotemplate.crypto import der, pem, x509
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.pems import cert_sans, filter_cert_chain, filter_pem

A = b"-----BEGIN A-----\nQUJD\n-----END A-----\n"
B = b"-----BEGIN B-----\nRA==\n-----END B-----\n"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (b"A", A + B + A, A + A),
        (b"a", A + B, A),
        (b"C", A + B, b""),
        (b"A", b"", b""),
        (b"A", b"junk" + A, A),
        (b"A", b"junk\n" + A + b"junk", A),
        (b"A", b"-----BEGIN A-----\r\nQU\r\n JD\r\n-----END A-----\r\n", A),
        (b"A", b"-----BEGIN A-----\n-----BEGIN A-----\nQUJD\n-----END A-----", A),
        (b"A", b"-----BEGIN B-----\nQUJD\n-----END A-----\n" + A, A),
        (b"A", b"-----BEGIN A-----\nQU!D\n-----END A-----\n" + A, A),
        (b"A", b"-----BEGIN A-----\nQUJD\n-----END A-----x\n" + A, A),
        (b"A", b"-----BEGIN A-----\n-----END A-----", b"-----BEGIN A-----\n-----END A-----\n"),
        (
            b"A",
            b"-----BEGIN A-----\nb: 2\n a : 1\nProc-Type: 4\n\nQUJD\n-----END A-----\n",
            b"-----BEGIN A-----\nProc-Type: 4\na: 1\nb: 2\n\nQUJD\n-----END A-----\n",
        ),
    ],
)
def test_blocks_of_one_type_are_left(run, kind, text, expected):
    assert filter_pem(run, kind, text) == expected


def test_long_block_gets_lines_of_64_characters(run):
    text = b"-----BEGIN A-----\n" + base64.b64encode(bytes(100)) + b"\n-----END A-----\n"

    lines = filter_pem(run, b"A", text).split(b"\n")

    assert [len(line) for line in lines[1:-2]] == [64, 64, 8]


@pytest.mark.parametrize("text", [b"junk", A + b"junk", b"-----BEGIN A-----"])
def test_junk_without_a_block_of_the_type_is_an_error(run, text):
    with pytest.raises(FunctionError, match="error filtering pem: found junk"):
        filter_pem(run, b"B", text)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_parts_of_a_chain_are_found_in_any_order(run, keystores, order):
    parts = [keystores[name].encode() for name in ("leaf", "intermediate", "root")]
    text = b"".join(parts[at] for at in order)

    assert [filter_cert_chain(run, kind, text) for kind in (b"leaf", b"intermediate", b"root", b"odd")] == [
        *parts,
        b"",
    ]


def test_chain_without_a_root_has_none(run, keystores):
    text = (keystores["leaf"] + keystores["intermediate"]).encode()

    assert filter_cert_chain(run, b"root", text) == b""
    assert filter_cert_chain(run, b"intermediate", text) == keystores["intermediate"].encode()


def test_root_alone_is_no_leaf(run, keystores):
    text = keystores["root"].encode()

    assert filter_cert_chain(run, b"leaf", text) == b""
    assert filter_cert_chain(run, b"root", text) == text


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ((), "no leaf certificate found"),
        (("leaf", "root"), "found multiple leaf or disjunct certificates"),
        (("root", "root"), "no leaf certificate found"),
    ],
)
def test_certificates_that_make_no_chain_are_told(run, keystores, names, error):
    with pytest.raises(FunctionError, match=error):
        filter_cert_chain(run, b"leaf", "".join(keystores[name] for name in names).encode())


def test_other_block_in_a_chain_is_told(run):
    with pytest.raises(FunctionError, match="x509: malformed certificate"):
        filter_cert_chain(run, b"leaf", A)


def test_alternative_names_are_listed_by_kind(run, keystores):
    text = b"junk " + keystores["leaf"].encode()

    assert [name.decode() for name in cert_sans(run, text)] == keystores["sans"]


def test_certificate_without_alternative_names_has_none(run, keystores):
    assert cert_sans(run, keystores["root"].encode()) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [(b"", "failed to decode PEM block"), (A, "failed to parse certificate: x509: malformed certificate")],
)
def test_what_is_no_certificate_is_told_with_gos_sentence(run, text, error):
    with pytest.raises(FunctionError, match=error):
        cert_sans(run, text)


def test_subjects_are_written_as_go_writes_them(run, keystores):
    names = [
        x509.name_text(x509.parse_blocks(run, keystores[kind].encode())[0].name)
        for kind in ("root", "intermediate", "leaf")
    ]

    assert names == keystores["names"]


def test_every_changed_byte_is_refused_or_changes_nothing_else(new_run, keystores):
    """A certificate with one wrong bit is an error or another certificate; nothing else is ever raised."""
    content = pem.decode_all(new_run(), keystores["leaf"].encode())[0].payload
    refused = 0
    for at in range(len(content)):
        changed = content[:at] + bytes((content[at] ^ 1 << at % 8,)) + content[at + 1 :]
        try:
            x509.parse(new_run(), changed)
        except FunctionError:
            refused += 1

    assert 100 < refused < len(content)


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN A-----\n-----END A-----\n" * 100_000,
        b"\n-----END A-----" * 500_000,
        b"-----BEGIN A-----\n" + b"a:\n" * 1_000_000 + A[17:],
    ],
    ids=["blocks", "ends", "headers"],
)
def test_hostile_text_ends_with_the_budget(run, text):
    with pytest.raises(Exhausted):
        filter_pem(run, b"A", text)


def test_very_many_certificates_end_with_the_budget(run, keystores):
    with pytest.raises(Exhausted):
        filter_cert_chain(run, b"leaf", keystores["leaf"].encode() * 5_000)


def test_many_names_in_a_subject_end_with_the_budget(run, keystores):
    fields = der.Reader(pem.decode_all(run, keystores["leaf"].encode())[0].payload).read(der.SEQUENCE)
    inner = fields.read(der.SEQUENCE)
    parts = [inner.any_element() for _ in range(8)]
    one = der.write(der.SET, der.sequence(der.identifier(b"\x2a"), der.write(der.UTF8_STRING, b"a")))
    parts[5] = der.sequence(one * 400_000)
    content = der.sequence(der.sequence(*parts), fields.rest())

    with pytest.raises(Exhausted):
        x509.parse(run, content)
