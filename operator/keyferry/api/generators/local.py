"""Generators that make values here: Password, UUID, SSHKey, Fake, MFA."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import field

from keyferry.api.meta import SecretKeySelector
from keyferry.api.model import Model, schema

PasswordEncoding = Literal["base64", "base64url", "base32", "hex", "raw"]
SSHKeyType = Literal["rsa", "ecdsa", "ed25519"]

DEFAULT_LENGTH: Final = 24
"""Characters of a password whose spec names no length."""
DEFAULT_MFA_LENGTH: Final = 6
"""Digits of a one-time password whose spec names no length."""
DEFAULT_MFA_PERIOD: Final = 30
"""Seconds that a one-time password lasts where the spec names none."""


class PasswordSpec(Model, frozen=True, kw_only=True):
    """A random password."""

    length: Annotated[int, schema(default=DEFAULT_LENGTH)] = DEFAULT_LENGTH
    """Number of characters, before encoding."""
    digits: int | None = None
    """Number of digits; a quarter of length if unset."""
    symbols: int | None = None
    """Number of symbols; a quarter of length if unset."""
    symbol_characters: str | None = None
    """Characters that symbols are drawn from; all ASCII punctuation but the apostrophe and the semicolon if
    unset."""
    no_upper: Annotated[bool, schema(default=False)] = False
    """Leaves out upper case letters."""
    allow_repeat: Annotated[bool, schema(default=False)] = False
    """Lets a character occur more than once."""
    secret_keys: tuple[str, ...] = ()
    """Keys to make, each with a password of its own; password if unset."""
    encoding: Annotated[PasswordEncoding, schema(default="raw")] = "raw"
    """How the password is written; raw writes it as it is."""


class UUIDSpec(Model, frozen=True, kw_only=True):
    """A random UUID (version 4) under the key uuid."""


class SSHKeySpec(Model, frozen=True, kw_only=True):
    """A key pair for SSH under the keys privateKey and publicKey."""

    key_type: Annotated[SSHKeyType, schema(default="rsa")] = "rsa"
    """Algorithm of the key."""
    key_size: Annotated[int | None, schema(minimum=256, maximum=8192)] = None
    """Bits of the key: 2048, 3072 or 4096 for rsa (2048 if unset), 256, 384 or 521 for ecdsa (256 if unset).
    Not used for ed25519."""
    comment: str = ""
    """Comment at the end of the public key."""


class FakeSpec(Model, frozen=True, kw_only=True):
    """Fixed values, for tests."""

    controller: str = ""
    """Class of the controller that serves this generator; another one leaves it alone. Every controller does
    if unset."""
    data: dict[str, str] = field(default_factory=dict)
    """The values by key."""


class MFASpec(Model, frozen=True, kw_only=True):
    """A one-time password after RFC 6238 under the key token, with timeLeft in seconds."""

    secret: SecretKeySelector
    """The seed, as base32."""
    length: int = DEFAULT_MFA_LENGTH
    """Number of digits; 6 if unset."""
    time_period: int = DEFAULT_MFA_PERIOD
    """Seconds that a token lasts; 30 if unset."""
    algorithm: str = ""
    """Hash algorithm: sha1, sha256 or sha512; sha1 if unset."""
    when: Annotated[str | None, schema(format="date-time")] = None
    """Makes the token of this moment instead of the present one."""
