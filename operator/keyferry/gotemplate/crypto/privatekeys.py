"""Private keys: read and written as Go's crypto/x509 does, byte for byte, and used to sign and decrypt.

Keys come from templates and their data, hence from anybody: sizes are bounded, and what makes a key costly to
use is refused or charged before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import curves, der
from keyferry.gotemplate.crypto.curves import Curve
from keyferry.gotemplate.errors import FunctionError

RSA: Final = der.oid("1.2.840.113549.1.1.1")
EC: Final = der.oid("1.2.840.10045.2.1")
ED25519: Final = der.oid("1.3.101.112")
X25519: Final = der.oid("1.3.101.110")
DSA: Final = der.oid("1.2.840.10040.4.1")
_SEED: Final = 32
_MAX_RSA_BITS: Final = 8_192
_MIN_RSA_BITS: Final = 1_024
_MAX_EXPONENT: Final = (1 << 31) - 1
_STEPS: Final = 200
"""What reading a key costs, beside its bytes."""
_BYTES_PER_STEP: Final = 8
_COULD_NOT: Final = "unable to parse private key type"


@dataclass(frozen=True, slots=True, repr=False)
class RsaKey:
    """An RSA key whose numbers fit each other."""

    n: int
    e: int
    d: int
    p: int
    q: int


@dataclass(frozen=True, slots=True, repr=False)
class EcKey:
    """A key on an elliptic curve, with the public key's point."""

    curve: Curve
    d: int
    x: int
    y: int


@dataclass(frozen=True, slots=True, repr=False)
class Ed25519Key:
    """An Ed25519 key: its seed."""

    seed: bytes


@dataclass(frozen=True, slots=True, repr=False)
class X25519Key:
    """An X25519 key, which can be stored but signs nothing."""

    seed: bytes


@dataclass(frozen=True, slots=True, repr=False)
class DsaKey:
    """A DSA key, which can be stored but signs no certificates."""

    p: int
    q: int
    g: int
    y: int
    x: int


PrivateKey: TypeAlias = RsaKey | EcKey | Ed25519Key | X25519Key | DsaKey


def rsa_key(numbers: list[int]) -> RsaKey:
    """The key of n, e, d, p, q and, where known, d mod p-1, d mod q-1 and 1/q mod p.

    Raises:
        FunctionError: the numbers make no key, by Go's rules.
    """
    n, e, d, p, q = numbers[:5]
    if min(numbers) <= 0:
        raise FunctionError("x509: private key contains zero or negative value")
    if max(numbers).bit_length() > _MAX_RSA_BITS:
        raise FunctionError(f"an RSA key has more than {_MAX_RSA_BITS} bits")
    if not n & 1 or not e & 1 or not 2 <= e <= _MAX_EXPONENT:
        raise FunctionError("crypto/rsa: invalid public key")
    if p * q != n or min(p, q) < 3:
        raise FunctionError("crypto/rsa: p * q != n")
    if d >= n or e * d % (p - 1) != 1 or e * d % (q - 1) != 1:
        raise FunctionError("crypto/rsa: invalid CRT exponent")
    half = n.bit_length() // 2
    if abs(p - q).bit_length() <= half - 100 or p == q:
        raise FunctionError("crypto/rsa: |p - q| too small")
    if d.bit_length() <= half:
        raise FunctionError("crypto/rsa: d too small")
    key = RsaKey(n, e, d, p, q)
    if len(numbers) == 8 and tuple(numbers[5:]) != _crt(key):
        raise FunctionError("crypto/rsa: invalid CRT coefficient")
    return key


def _crt(key: RsaKey) -> tuple[int, int, int]:
    try:
        inverse = pow(key.q, -1, key.p)
    except ValueError:
        raise FunctionError("crypto/rsa: invalid CRT coefficient") from None
    return key.d % (key.p - 1), key.d % (key.q - 1), inverse


def ec_key(run: Run, curve: Curve, d: int) -> EcKey:
    """The key of this number, with its public key.

    Raises:
        FunctionError: no key has this number.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    if not 0 < d < curve.n:
        raise FunctionError("ecdsa: private key is zero or too large")
    run.spend_crypto(1)
    point = ec.derive_private_key(d, curve.library()).public_key().public_numbers()
    return EcKey(curve, d, point.x, point.y)


def parse_pkcs1(content: bytes) -> RsaKey:
    """An RSA key as PKCS#1 has it."""
    outer = der.Reader(content)
    try:
        inner = outer.read(der.SEQUENCE)
        version = inner.small_integer()
        numbers = [inner.integer(), inner.small_integer(), *(inner.integer() for _ in range(3))]
        while len(numbers) < 8 and inner.peek() == der.INTEGER:
            numbers.append(inner.integer())
        many = inner.peek() == der.SEQUENCE
    except der.DerError:
        raise FunctionError("x509: failed to parse an RSA private key") from None
    if outer.more():
        raise FunctionError("asn1: syntax error: trailing data")
    if version > 1:
        raise FunctionError("x509: unsupported private key version")
    if many:
        raise FunctionError("an RSA key of more than two primes is not supported")
    return rsa_key(numbers)


def parse_sec1(run: Run, content: bytes, curve_oid: bytes | None = None) -> EcKey:
    """A key on an elliptic curve as SEC 1 has it; around it may stand which curve that is."""
    try:
        inner = der.Reader(content).read(der.SEQUENCE)
        version = inner.small_integer()
        number = inner.content(der.OCTET_STRING)
        named = inner.optional(0xA0)
        if curve_oid is None and named is not None:
            curve_oid = named.oid()
        public = inner.optional(0xA1)
        if public is not None:
            # It is derived anew, as in Go, and only has to be well formed.
            public.bit_string()
        if inner.more():
            inner.any()
    except der.DerError:
        raise FunctionError("x509: failed to parse EC private key") from None
    if version != 1:
        raise FunctionError("x509: unknown EC private key version")
    curve = curves.BY_OID.get(curve_oid or b"")
    if curve is None:
        raise FunctionError("x509: unknown elliptic curve")
    number = number.lstrip(b"\x00")
    if len(number) > curve.size:
        raise FunctionError("x509: invalid private key length")
    return ec_key(run, curve, int.from_bytes(number, "big"))


def _wrapped(content: bytes) -> tuple[bytes, bytes, bytes]:
    """What PKCS#8 wraps: the algorithm, its parameters as they are encoded, and the key."""
    try:
        inner = der.Reader(content).read(der.SEQUENCE)
        inner.small_integer()
        algorithm = inner.read(der.SEQUENCE)
        kind = algorithm.oid()
        parameters = algorithm.any_element() if algorithm.more() else b""
        return kind, parameters, inner.content(der.OCTET_STRING)
    except der.DerError:
        raise FunctionError("x509: failed to parse a PKCS#8 private key") from None


def parse_pkcs8(run: Run, content: bytes) -> PrivateKey:
    """A key as PKCS#8 has it, not encrypted."""
    run.spend(_STEPS + len(content) // _BYTES_PER_STEP)
    kind, parameters, key = _wrapped(content)
    if kind == RSA:
        return parse_pkcs1(key)
    if kind == EC:
        try:
            named: bytes | None = der.Reader(parameters).oid()
        except der.DerError:
            named = None
        return parse_sec1(run, key, named)
    if kind not in {ED25519, X25519}:
        raise FunctionError("x509: PKCS#8 wrapping contained private key with unknown algorithm")
    name = "Ed25519" if kind == ED25519 else "X25519"
    if parameters:
        raise FunctionError(f"x509: invalid {name} private key parameters")
    try:
        seed = der.Reader(key).content(der.OCTET_STRING)
    except der.DerError:
        raise FunctionError(f"x509: invalid {name} private key") from None
    if len(seed) != _SEED:
        raise FunctionError(f"x509: invalid {name} private key length: {len(seed)}")
    return Ed25519Key(seed) if kind == ED25519 else X25519Key(seed)


def parse_dsa(content: bytes) -> DsaKey:
    """A DSA key as OpenSSL has it."""
    try:
        inner = der.Reader(content).read(der.SEQUENCE)
        inner.small_integer()
        p, q, g, y, x = (inner.integer() for _ in range(5))
    except der.DerError:
        raise FunctionError("asn1: syntax error") from None
    if min(p, q, g, y, x) < 0:
        raise FunctionError("a DSA key contains a negative value")
    return DsaKey(p, q, g, y, x)


def parse(run: Run, content: bytes) -> PrivateKey:
    """A key in one of the three usual forms: PKCS#1, PKCS#8, SEC 1.

    Raises:
        FunctionError: it is in none of them.
    """
    run.spend(_STEPS + len(content) // _BYTES_PER_STEP)
    attempts: tuple[Callable[[], PrivateKey], ...] = (
        partial(parse_pkcs1, content),
        partial(parse_pkcs8, run, content),
        partial(parse_sec1, run, content),
    )
    for attempt in attempts:
        with suppress(FunctionError):
            return attempt()
    raise FunctionError(_COULD_NOT)


def pkcs1(key: RsaKey) -> bytes:
    """The key as PKCS#1 has it."""
    numbers = (0, key.n, key.e, key.d, key.p, key.q, *_crt(key))
    return der.sequence(*(der.integer(one) for one in numbers))


def point(key: EcKey) -> bytes:
    """The public key, not compressed."""
    size = key.curve.size
    return b"\x04" + key.x.to_bytes(size, "big") + key.y.to_bytes(size, "big")


def sec1(key: EcKey, *, named: bool) -> bytes:
    """The key as SEC 1 has it, with or without its curve."""
    curve = (der.write(0xA0, der.identifier(key.curve.oid)),) if named else ()
    number = der.octets(key.d.to_bytes(key.curve.size, "big"))
    return der.sequence(der.integer(1), number, *curve, der.write(0xA1, der.bits(point(key))))


def pkcs8(key: PrivateKey) -> bytes:
    """The key as PKCS#8 has it.

    Raises:
        FunctionError: it is a DSA key, which Go does not write so.
    """
    if isinstance(key, RsaKey):
        algorithm, content = der.algorithm(RSA, der.NULL_VALUE), pkcs1(key)
    elif isinstance(key, EcKey):
        algorithm, content = (
            der.algorithm(EC, der.identifier(key.curve.oid)),
            sec1(key, named=False),
        )
    elif isinstance(key, DsaKey):
        raise FunctionError("x509: unknown key type while marshaling PKCS#8: *dsa.PrivateKey")
    else:
        kind = ED25519 if isinstance(key, Ed25519Key) else X25519
        algorithm, content = der.algorithm(kind), der.octets(key.seed)
    return der.sequence(der.integer(0), algorithm, der.octets(content))


def dsa(key: DsaKey) -> bytes:
    """The key as OpenSSL has it."""
    return der.sequence(*(der.integer(one) for one in (0, key.p, key.q, key.g, key.y, key.x)))


def rsa_units(key: RsaKey) -> int:
    """Milliseconds that using the key takes, if its p or q is no prime: else a sixth of them."""
    return (key.n.bit_length() // 1024) ** 3 * 2 // 5 + 1


def usable_rsa(run: Run, key: RsaKey) -> Any:
    """The key in the cryptography package; the work of using it once is charged.

    Raises:
        FunctionError: it is shorter than Go allows.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa

    if key.n.bit_length() < _MIN_RSA_BITS:
        raise FunctionError(f"crypto/rsa: {key.n.bit_length()}-bit keys are insecure")
    run.spend_crypto(rsa_units(key))
    numbers = rsa.RSAPrivateNumbers(key.p, key.q, key.d, *_crt(key), rsa.RSAPublicNumbers(key.e, key.n))
    try:
        # Whether p and q are primes is not looked at, as in Go: it takes long, and a signature is checked.
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)
    except ValueError:
        raise FunctionError("crypto/rsa: invalid private key") from None
