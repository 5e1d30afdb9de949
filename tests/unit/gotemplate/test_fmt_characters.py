"""Characters: which ones Go prints as they are, and texts that are not cut within one."""

from __future__ import annotations

import hashlib

import pytest

from keyferry.gotemplate.text.fmt import quote
from keyferry.gotemplate.text.fmt_unicode import chunks, count_runes, first_runes, is_printable

KINDS = ("a", "é", "日", "😀")


def test_printable_characters_are_those_of_go():
    """The digest is that of Go's strconv.IsPrint for each code, a byte of 0 or 1 for each."""
    table = bytes(map(is_printable, range(0x110000)))

    assert sum(table) == 148_998
    digest = "a24a109bc8e347f9490466c59e4160d0dc9dd1006a5be9a4c91af71cd2e7fa99"
    assert digest == hashlib.sha256(table).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", range(5))
def test_no_piece_of_a_long_text_ends_within_a_character(kind, before):
    text = b"x" * before + kind.encode() * 50_000

    pieces = list(chunks(text))

    assert text == b"".join(pieces)
    assert all(len(piece) <= 1 << 16 for piece in pieces)
    assert text.decode() == "".join(piece.decode() for piece in pieces)


def test_pieces_of_what_is_no_utf_8_go_on():
    text = b"\x80" * 200_000

    assert text == b"".join(chunks(text))


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_is_quoted_as_a_short_one(kind):
    assert quote(kind.encode() * 70_000 + b"\n") == b'"' + kind.encode() * 70_000 + b'\\n"'


def test_bytes_that_are_no_utf_8_count_as_characters():
    text = b"\xe6\x97\xe6\x97\xa5\xff"

    assert count_runes(text) == 4
    assert [first_runes(text, count) for count in range(5)] == [
        b"",
        b"\xe6",
        b"\xe6\x97",
        b"\xe6\x97\xe6\x97\xa5",
        text,
    ]
