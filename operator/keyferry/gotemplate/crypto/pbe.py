"""Keys of passwords, and what is encrypted with them: the part of PKCS#5 and PKCS#12 that go-pkcs12 knows.

How many rounds it takes stands in the archive, which anybody may have written: they are charged before the first.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import der, rc2
from keyferry.gotemplate.errors import FunctionError

PBES2: Final = der.oid("1.2.840.113549.1.5.13")
PBKDF2: Final = der.oid("1.2.840.113549.1.5.12")
PBMAC1: Final = der.oid("1.2.840.113549.1.5.14")
HMAC_SHA256: Final = der.oid("1.2.840.113549.2.9")
SHA256: Final = der.oid("2.16.840.1.101.3.4.2.1")
AES256: Final = der.oid("2.16.840.1.101.3.4.1.42")
_HMACS: Final = {
    der.oid("1.2.840.113549.2.7"): "sha1",
    HMAC_SHA256: "sha256",
    der.oid("1.2.840.113549.2.11"): "sha512",
}
_DIGESTS: Final = {
    der.oid("1.3.14.3.2.26"): "sha1",
    SHA256: "sha256",
    der.oid("2.16.840.1.101.3.4.2.3"): "sha512",
}
_FUNCTIONS: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
_AES_KEY_BYTES: Final = {
    der.oid("2.16.840.1.101.3.4.1.2"): 16,
    der.oid("2.16.840.1.101.3.4.1.22"): 24,
    AES256: 32,
}
_OLD_KEY_BYTES: Final = {
    der.oid("1.2.840.113549.1.12.1.3"): 24,
    der.oid("1.2.840.113549.1.12.1.5"): 16,
    der.oid("1.2.840.113549.1.12.1.6"): 5,
}
"""Triple DES, and RC2 of two sizes, with keys made by SHA-1."""
_TRIPLE_DES_KEY: Final = 24
_AES_BLOCK: Final = 16
_DES_BLOCK: Final = 8
_KEY, _VECTOR, _MAC = 1, 2, 3
_MAX_ROUNDS: Final = 5_000_000
_MAX_KEY_BYTES: Final = 1_024
_ROUNDS_PER_UNIT: Final = 1_000
_RC2_BYTES_PER_UNIT: Final = 256


@dataclass(frozen=True, slots=True, repr=False)
class Password:
    """A password as the two generations of archives take it.

    Args:
        wide: two bytes a character, with two zero bytes at the end; or nothing at all.
        utf8: for the newer ones.
    """

    wide: bytes
    utf8: bytes


EMPTY: Final = Password(b"", b"")
"""How some programs take the empty password."""


@dataclass(frozen=True, slots=True)
class _Derivation:
    salt: bytes
    rounds: int
    key_bytes: int
    digest: str


def _spend_rounds(run: Run, rounds: int, blocks: int = 1) -> int:
    """Charge so many rounds for each block of the key, and give how many to do."""
    if rounds > _MAX_ROUNDS:
        raise FunctionError(f"the archive asks for more than {_MAX_ROUNDS} rounds of key derivation")
    rounds = max(rounds, 1)
    run.spend_crypto(rounds * blocks // _ROUNDS_PER_UNIT + 1)
    return rounds


def _repeated(text: bytes, block: int) -> bytes:
    """The text again and again, up to whole blocks."""
    size = -(-len(text) // block) * block
    return (text * -(-size // len(text)))[:size] if text else b""


def _old_key(run: Run, derivation: _Derivation, password: Password, purpose: int) -> bytes:
    """RFC 7292, appendix B.2."""
    digest = _FUNCTIONS[derivation.digest]
    size, block = digest().digest_size, digest().block_size
    blocks = -(-derivation.key_bytes // size)
    rounds = _spend_rounds(run, derivation.rounds, blocks)
    run.charge(2 * (len(derivation.salt) + len(password.wide)))
    mixed = _repeated(derivation.salt, block) + _repeated(password.wide, block)
    run.spend(len(mixed) // 16)
    key = b""
    while True:
        part = digest(bytes((purpose,)) * block + mixed).digest()
        for _ in range(rounds - 1):
            part = digest(part).digest()
        key += part
        if len(key) >= derivation.key_bytes:
            return key[: derivation.key_bytes]
        summand = int.from_bytes(_repeated(part, block)[:block], "big") + 1
        top = (1 << 8 * block) - 1
        mixed = b"".join(
            (int.from_bytes(mixed[at : at + block], "big") + summand & top).to_bytes(block, "big")
            for at in range(0, len(mixed), block)
        )


def _new_key(run: Run, derivation: _Derivation, password: Password) -> bytes:
    blocks = -(-derivation.key_bytes // hashlib.new(derivation.digest).digest_size)
    rounds = _spend_rounds(run, derivation.rounds, blocks)
    return hashlib.pbkdf2_hmac(
        derivation.digest, password.utf8, derivation.salt, rounds, derivation.key_bytes
    )


def _derivation(algorithm: der.Reader, key_bytes: int) -> _Derivation:
    """PBKDF2's parameters; 0 stands for a size of the key that they tell."""
    if algorithm.oid() != PBKDF2:
        raise FunctionError("pkcs12: only PBKDF2 is supported")
    fields = algorithm.read(der.SEQUENCE)
    if fields.peek() != der.OCTET_STRING:
        raise FunctionError("pkcs12: only octet string salts are supported")
    salt, rounds = fields.content(der.OCTET_STRING), fields.small_integer()
    size = fields.small_integer() if fields.peek() == der.INTEGER else 0
    digest: str | None = "sha1"
    if fields.peek() == der.SEQUENCE:
        digest = _HMACS.get(fields.read(der.SEQUENCE).oid())
    if digest is None:
        raise FunctionError("pkcs12: this pseudorandom function is not supported")
    if not key_bytes and not 0 < size <= _MAX_KEY_BYTES:
        raise FunctionError("pkcs12: PBMAC1 requires explicit KeyLength parameter in PBKDF2 parameters")
    return _Derivation(salt, rounds, key_bytes or size, digest)


@dataclass(frozen=True, slots=True)
class MacParameters:
    """How a message is authenticated.

    Args:
        algorithm: in DER; newer ones have parameters of their own, and salt and rounds do not count.
    """

    algorithm: bytes
    salt: bytes
    rounds: int


def mac(run: Run, parameters: MacParameters, password: Password, message: bytes) -> bytes:
    """The message's authentication code.

    Raises:
        FunctionError: the algorithm is not known.
    """
    algorithm = der.Reader(parameters.algorithm).read(der.SEQUENCE)
    kind = algorithm.oid()
    if kind == PBMAC1:
        fields = algorithm.read(der.SEQUENCE)
        derivation = _derivation(fields.read(der.SEQUENCE), 0)
        digest = _HMACS.get(fields.read(der.SEQUENCE).oid())
        if digest is None:
            raise FunctionError("pkcs12: this PBMAC1 algorithm is not supported")
        return hmac.digest(_new_key(run, derivation, password), message, digest)
    digest = _DIGESTS.get(kind)
    if digest is None:
        raise FunctionError("pkcs12: MAC digest algorithm not supported")
    size = hashlib.new(digest).digest_size
    key = _old_key(run, _Derivation(parameters.salt, parameters.rounds, size, digest), password, _MAC)
    return hmac.digest(key, message, digest)


def decrypt(run: Run, algorithm: der.Reader, password: Password, text: bytes) -> bytes:
    """What has been encrypted with the password.

    Raises:
        FunctionError: the algorithm is not known, or the password is another one.
    """
    kind = algorithm.oid()
    if kind == PBES2:
        plain = _decrypt_pbes2(run, algorithm.read(der.SEQUENCE), password, text)
        block = _AES_BLOCK
    elif kind in _OLD_KEY_BYTES:
        plain = _decrypt_old(run, algorithm.read(der.SEQUENCE), password, text, _OLD_KEY_BYTES[kind])
        block = _DES_BLOCK
    else:
        raise FunctionError("pkcs12: this pbe algorithm is not supported")
    padding = plain[-1]
    if not 0 < padding <= block or plain[-padding:] != bytes((padding,)) * padding:
        raise FunctionError("pkcs12: decryption error, incorrect padding")
    return plain[:-padding]


def _check_blocks(text: bytes, block: int) -> None:
    if not text:
        raise FunctionError("pkcs12: empty encrypted data")
    if len(text) % block:
        raise FunctionError("pkcs12: input is not a multiple of the block size")


def _decrypt_pbes2(run: Run, fields: der.Reader, password: Password, text: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    how, scheme = fields.read(der.SEQUENCE), fields.read(der.SEQUENCE)
    key_bytes = _AES_KEY_BYTES.get(scheme.oid())
    if key_bytes is None:
        raise FunctionError("pkcs12: this pbes2 algorithm is not supported")
    vector = scheme.any()[1] if scheme.more() else b""
    derivation = _derivation(how, key_bytes)
    if len(vector) != _AES_BLOCK:
        raise FunctionError("cipher.NewCBCDecrypter: IV length must equal block size")
    _check_blocks(text, _AES_BLOCK)
    key = _new_key(run, derivation, password)
    run.charge(len(text))
    cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return cipher.update(text) + cipher.finalize()


def _decrypt_old(run: Run, fields: der.Reader, password: Password, text: bytes, key_bytes: int) -> bytes:
    salt, rounds = fields.content(der.OCTET_STRING), fields.small_integer()
    _check_blocks(text, _DES_BLOCK)
    key = _old_key(run, _Derivation(salt, rounds, key_bytes, "sha1"), password, _KEY)
    vector = _old_key(run, _Derivation(salt, rounds, _DES_BLOCK, "sha1"), password, _VECTOR)
    run.charge(len(text))
    if key_bytes != _TRIPLE_DES_KEY:
        run.spend_crypto(len(text) // _RC2_BYTES_PER_UNIT)
        return rc2.decrypt(key, vector, text)
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    cipher = Cipher(TripleDES(key), modes.CBC(vector)).decryptor()
    return cipher.update(text) + cipher.finalize()


def encrypt(
    run: Run, password: Password, plain: bytes, *, rounds: int, salt_bytes: int
) -> tuple[bytes, bytes]:
    """The algorithm, and the text encrypted with AES-256 and a key of PBKDF2 with SHA-256."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    salt, vector = run.random_bytes(salt_bytes), run.random_bytes(_AES_BLOCK)
    key = _new_key(run, _Derivation(salt, rounds, _AES_KEY_BYTES[AES256], "sha256"), password)
    run.charge(2 * len(plain))
    padding = _AES_BLOCK - len(plain) % _AES_BLOCK
    cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    text = cipher.update(plain + bytes((padding,)) * padding) + cipher.finalize()
    how = der.algorithm(
        PBKDF2, der.sequence(der.octets(salt), der.integer(rounds), der.algorithm(HMAC_SHA256))
    )
    scheme = der.algorithm(AES256, der.octets(vector))
    return der.algorithm(PBES2, der.sequence(how, scheme)), text
