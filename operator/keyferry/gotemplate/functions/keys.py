"""New private keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import curves, pem, privatekeys
from keyferry.gotemplate.crypto.privatekeys import DsaKey, EcKey, Ed25519Key, PrivateKey, RsaKey
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup

group: Final = FunctionGroup("Keys and certificates")

_RSA_UNITS: Final = {2048: 120, 4096: 1_000}
_DSA_UNITS: Final = 700
_DSA_BITS: Final = 2_048
_SEED: Final = 32
_PUBLIC_EXPONENT: Final = 65_537
_SUFFIX: Final = b" PRIVATE KEY"


def new_rsa(run: Run, bits: int) -> RsaKey:
    """A new RSA key of 2,048 or 4,096 bits."""
    run.spend_crypto(_RSA_UNITS[bits])
    from cryptography.hazmat.primitives.asymmetric import rsa

    numbers = rsa.generate_private_key(_PUBLIC_EXPONENT, bits).private_numbers()
    public = numbers.public_numbers
    return RsaKey(public.n, public.e, numbers.d, numbers.p, numbers.q)


def _new_dsa(run: Run) -> DsaKey:
    run.spend_crypto(_DSA_UNITS)
    from cryptography.hazmat.primitives.asymmetric import dsa

    numbers = dsa.generate_private_key(_DSA_BITS).private_numbers()
    public = numbers.public_numbers
    group_numbers = public.parameter_numbers
    return DsaKey(group_numbers.p, group_numbers.q, group_numbers.g, public.y, numbers.x)


def _new_ec(run: Run) -> EcKey:
    run.spend_crypto(1)
    from cryptography.hazmat.primitives.asymmetric import ec

    numbers = ec.generate_private_key(curves.P256.library()).private_numbers()
    public = numbers.public_numbers
    return EcKey(curves.P256, numbers.private_value, public.x, public.y)


@group.add("genPrivateKey", "func(string) string")
def gen_private_key(run: Run, kind: bytes) -> bytes:
    """A new private key in PEM: rsa (4096 bits, also for an empty text), dsa, ecdsa (P-256) or ed25519.

    It is another one in every render.
    """
    key: PrivateKey
    if kind in {b"", b"rsa"}:
        key = new_rsa(run, 4096)
    elif kind == b"dsa":
        key = _new_dsa(run)
    elif kind == b"ecdsa":
        key = _new_ec(run)
    elif kind == b"ed25519":
        run.spend_crypto(1)
        key = Ed25519Key(run.random_bytes(_SEED))
    else:
        return b"Unknown type " + kind
    return to_pem(run, key)


def to_pem(run: Run, key: PrivateKey) -> bytes:
    """The key in the PEM form that Sprig writes: each kind in its own, the newer kinds in PKCS#8."""
    if isinstance(key, RsaKey):
        return pem.encode(run, b"RSA PRIVATE KEY", privatekeys.pkcs1(key))
    if isinstance(key, DsaKey):
        return pem.encode(run, b"DSA PRIVATE KEY", privatekeys.dsa(key))
    if isinstance(key, EcKey):
        return pem.encode(run, b"EC PRIVATE KEY", privatekeys.sec1(key, named=True))
    return pem.encode(run, pem.PRIVATE_KEY, privatekeys.pkcs8(key))


def from_pem(run: Run, text: bytes) -> PrivateKey:
    """The key of the first PEM block, in the form that the block's type names.

    Raises:
        FunctionError: there is none, or it is no such key.
    """
    block, _ = pem.decode(run, text)
    if block is None:
        raise FunctionError("no PEM data in input")
    content = block.payload
    if block.type == pem.PRIVATE_KEY:
        outer = "decoding PEM as PKCS#8"
        parse: Callable[[], PrivateKey] = partial(privatekeys.parse_pkcs8, run, content)
    elif not block.type.endswith(_SUFFIX):
        raise FunctionError("no private key data in PEM block of another type")
    else:
        kind = block.type.removesuffix(_SUFFIX)
        attempts: dict[bytes, Callable[[], PrivateKey]] = {
            b"RSA": partial(privatekeys.parse_pkcs1, content),
            b"EC": partial(privatekeys.parse_sec1, run, content),
            b"DSA": partial(privatekeys.parse_dsa, content),
        }
        if kind not in attempts:
            raise FunctionError("invalid private key type: there are RSA, EC and DSA")
        outer, parse = f"parsing {kind.decode()} private key from PEM", attempts[kind]
    try:
        return parse()
    except FunctionError as exc:
        raise FunctionError(f"{outer}: {exc}") from None
