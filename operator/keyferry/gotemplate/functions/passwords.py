"""Hashes of passwords, and passwords derived from one master password."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.signatures import NAMED_STRINGS, FunctionGroup
from keyferry.gotemplate.values import NamedString, register

group: Final = FunctionGroup("Passwords")

_BCRYPT_UNITS: Final = 75
_BCRYPT_PREFIX: Final = b"$2a$10$"
_BCRYPT_SALT: Final = 16
_BCRYPT_MAX: Final = 72
_TO_BCRYPT: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)
_SCRYPT_UNITS: Final = 250
_SCRYPT_COST: Final = 32_768
_SEED: Final = b"com.lyndir.masterpassword"
_UINT32: Final = 0xFFFFFFFF


@register
class HashAlgorithm(NamedString):
    """sprig.HashAlgorithm."""

    __slots__ = ()
    go_type = "sprig.HashAlgorithm"


NAMED_STRINGS[HashAlgorithm.go_type] = HashAlgorithm


@group.add("bcrypt", "func(string) string")
def bcrypt(run: Run, text: bytes) -> bytes:
    """The bcrypt hash of a password, at cost 10; a new one in every render."""
    if len(text) > _BCRYPT_MAX:
        return b"failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes"
    run.spend_crypto(_BCRYPT_UNITS)
    import bcrypt as library

    salt = base64.b64encode(run.random_bytes(_BCRYPT_SALT)).rstrip(b"=").translate(_TO_BCRYPT)
    return library.hashpw(text, _BCRYPT_PREFIX + salt)


@group.add("htpasswd", "func(string, string, sprig.HashAlgorithm) string")
def htpasswd(run: Run, user: bytes, password: bytes, algorithm: bytes) -> bytes:
    """A line of an htpasswd file for a user and password; the third argument is "bcrypt", or "sha" for SHA-1.

    It must stand in the template as text; a value of the data is not taken.
    """
    if b":" in user:
        return b"invalid username: " + user
    if algorithm == b"sha":
        digest = hashlib.sha1(password, usedforsecurity=False).digest()
        return user + b":{SHA}" + base64.b64encode(digest)
    return user + b":" + bcrypt(run, password)


_TEMPLATES: Final = {
    b"maximum": ("anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"),
    b"long": (
        "CvcvnoCvcvCvcv",
        "CvcvCvcvnoCvcv",
        "CvcvCvcvCvcvno",
        "CvccnoCvcvCvcv",
        "CvccCvcvnoCvcv",
        "CvccCvcvCvcvno",
        "CvcvnoCvccCvcv",
        "CvcvCvccnoCvcv",
        "CvcvCvccCvcvno",
        "CvcvnoCvcvCvcc",
        "CvcvCvcvnoCvcc",
        "CvcvCvcvCvccno",
        "CvccnoCvccCvcv",
        "CvccCvccnoCvcv",
        "CvccCvccCvcvno",
        "CvcvnoCvccCvcc",
        "CvcvCvccnoCvcc",
        "CvcvCvccCvccno",
        "CvccnoCvcvCvcc",
        "CvccCvcvnoCvcc",
        "CvccCvcvCvccno",
    ),
    b"medium": ("CvcnoCvc", "CvcCvcno"),
    b"short": ("Cvcn",),
    b"basic": ("aaanaaan", "aannaaan", "aaannaaa"),
    b"pin": ("nnnn",),
}
"""The forms of passwords of the Master Password algorithm, whose letters are keys of the next table."""
_VOWELS: Final = "AEIOU"
_CONSONANTS: Final = "BCDFGHJKLMNPQRSTVWXYZ"
_LETTERS: Final = _VOWELS + _VOWELS.lower() + _CONSONANTS + _CONSONANTS.lower()
_DIGITS: Final = "0123456789"
_CHARACTERS: Final = {
    "V": _VOWELS,
    "C": _CONSONANTS,
    "v": _VOWELS.lower(),
    "c": _CONSONANTS.lower(),
    "a": _LETTERS,
    "n": _DIGITS,
    "o": "@&%?,=[]_:-+*$#!'^~;()/.",
    "x": _LETTERS + _DIGITS + "!@#$%^&*()",
}


def _sized(text: bytes) -> bytes:
    return (len(text) & _UINT32).to_bytes(4, "big") + text


@group.add("derivePassword", "func(uint32, string, string, string, string) string")
def derive_password(  # noqa: PLR0917  these are Sprig's arguments
    run: Run, counter: int, kind: bytes, password: bytes, user: bytes, site: bytes
) -> bytes:
    """The password for a site that the Master Password algorithm derives; the same in every render.

    The arguments are a counter, the form (maximum, long, medium, short, basic or pin), the master password,
    the user and the site: `derivePassword 1 "pin" "example" "user" "example.com"` is `9299`.
    """
    templates = _TEMPLATES.get(kind)
    if templates is None:
        return b"cannot find password template " + kind
    run.spend_crypto(_SCRYPT_UNITS)
    run.charge(2 * (len(user) + len(site)))
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    key = Scrypt(salt=_SEED + _sized(user), length=64, n=_SCRYPT_COST, r=8, p=2).derive(password)
    message = _SEED + _sized(site) + (counter & _UINT32).to_bytes(4, "big")
    seed = hmac.digest(key, message, "sha256")
    template = templates[seed[0] % len(templates)]
    characters = (_CHARACTERS[one] for one in template)
    return "".join(some[byte % len(some)] for some, byte in zip(characters, seed[1:], strict=False)).encode()
