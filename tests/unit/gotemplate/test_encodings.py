"""Base64, base32, hexadecimal and checksums: the same bytes, and the same error texts as values."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted
from keyferry.gotemplate.functions.encodings import group


def new_run(**limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


AS_GO = [
    ("b64enc", [b"hello"], b"aGVsbG8="),
    ("b64enc", [b""], b""),
    ("b64enc", [b"\xff\xfe"], b"//4="),
    ("b64dec", [b"aGVsbG8="], b"hello"),
    ("b64dec", [b"aGVs\r\nbG8=\n"], b"hello"),
    ("b64dec", [b"aGVsbG8"], b"illegal base64 data at input byte 4"),
    ("b64dec", [b"aGVsbG8=x"], b"illegal base64 data at input byte 8"),
    ("b64dec", [b"aGVsbG9="], b"hello"),
    ("b64dec", [b"aGVs===="], b"illegal base64 data at input byte 4"),
    ("b64dec", [b"aG="], b"illegal base64 data at input byte 3"),
    ("b64dec", [b"a\nG=="], b"h"),
    ("b64dec", [b"aG=x"], b"illegal base64 data at input byte 2"),
    ("b64dec", [b"aG=\n"], b"illegal base64 data at input byte 4"),
    ("b64dec", [b"a"], b"illegal base64 data at input byte 0"),
    ("b64dec", [b"="], b"illegal base64 data at input byte 0"),
    ("b64dec", [b"a-b_"], b"illegal base64 data at input byte 1"),
    ("b64dec", [b""], b""),
    ("b64dec", [b"aGVsb\n"], b"illegal base64 data at input byte 5"),
    ("b32enc", [b""], b""),
    ("b32enc", [b"h"], b"NA======"),
    ("b32enc", [b"he"], b"NBSQ===="),
    ("b32enc", [b"hel"], b"NBSWY==="),
    ("b32enc", [b"hell"], b"NBSWY3A="),
    ("b32enc", [b"hello"], b"NBSWY3DP"),
    ("b32enc", [b"hello "], b"NBSWY3DPEA======"),
    ("b32dec", [b"NBSWY3DP"], b"hello"),
    ("b32dec", [b"NBSWY3DPEB3W64TMMQ======"], b"hello world"),
    ("b32dec", [b"NBSW\nY3DP\r\n"], b"hello"),
    ("b32dec", [b"NBSWY3D"], b"illegal base32 data at input byte 0"),
    ("b32dec", [b"NBSWY3D="], b"hell"),
    ("b32dec", [b"NB======x"], b"h"),
    ("b32dec", [b"NB=====x"], b"illegal base32 data at input byte 6"),
    ("b32dec", [b"NB===="], b"illegal base32 data at input byte 6"),
    ("b32dec", [b"NBS====="], b"illegal base32 data at input byte 3"),
    ("b32dec", [b"N======="], b"illegal base32 data at input byte 1"),
    ("b32dec", [b"nb"], b"illegal base32 data at input byte 0"),
    ("b32dec", [b"NBSWY3DP1"], b"illegal base32 data at input byte 8"),
    ("b32dec", [b""], b""),
    ("b32dec", [b"NB========"], b"h"),
    ("hexdec", [b"6869"], b"hi"),
    ("hexdec", [b"48656C6c6F"], b"Hello"),
    ("hexdec", [b"686"], b"encoding/hex: odd length hex string"),
    ("hexdec", [b"6g"], b"encoding/hex: invalid byte: U+0067 'g'"),
    ("hexdec", [b"6\xff"], b"encoding/hex: invalid byte: U+00FF '\xc3\xbf'"),
    ("hexdec", [b"6\x01"], b"encoding/hex: invalid byte: U+0001"),
    ("hexdec", [b"68 69"], b"encoding/hex: invalid byte: U+0020 ' '"),
    ("hexdec", [b""], b""),
    ("sha1sum", [b"hello"], b"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
    ("sha256sum", [b"hello"], b"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    (
        "sha512sum",
        [b"hello"],
        b"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
    ),
    ("adler32sum", [b"hello"], b"103547413"),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), AS_GO)
def test_encodings_as_go_does(name, arguments, expected):
    assert expected == call(name, *arguments)


@pytest.mark.parametrize("length", range(12))
def test_base32_is_undone(length):
    data = bytes(range(250, 250 + length)) if length < 6 else bytes(range(length))

    assert data == call("b32dec", call("b32enc", data))


@pytest.mark.parametrize("name", ["b32enc", "sha512sum", "b64enc"])
def test_much_to_read_is_charged(name):
    run = new_run()

    with pytest.raises(Exhausted):
        [call(name, b"x" * (4 << 20), run=run) for _ in range(10)]
