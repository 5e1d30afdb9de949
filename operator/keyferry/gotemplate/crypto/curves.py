"""The elliptic curves that Go knows, and whether a point is on one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from keyferry.gotemplate.crypto import der


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve y² = x³ - 3x + b modulo p, of order n.

    Args:
        name: as JSON web keys write it.
        hash_name: the hash that Go signs certificates with.
    """

    name: str
    hash_name: str
    oid: bytes
    p: int
    b: int
    n: int

    @property
    def size(self) -> int:
        """Bytes of a coordinate, and of a private key."""
        return (self.p.bit_length() + 7) // 8

    def has(self, x: int, y: int) -> bool:
        """Whether the point is on the curve."""
        p = self.p
        return 0 <= x < p and 0 <= y < p and (y * y - x * x * x + 3 * x - self.b) % p == 0

    def library(self) -> Any:
        """The curve in the cryptography package."""
        from cryptography.hazmat.primitives.asymmetric import ec

        classes: dict[str, Callable[[], Any]] = {
            "P-224": ec.SECP224R1,
            "P-256": ec.SECP256R1,
            "P-384": ec.SECP384R1,
            "P-521": ec.SECP521R1,
        }
        return classes[self.name]()


P256: Final = Curve(
    "P-256",
    "sha256",
    der.oid("1.2.840.10045.3.1.7"),
    0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
)
_ALL: Final = (
    Curve(
        "P-224",
        "sha256",
        der.oid("1.3.132.0.33"),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000000000000000000000001,
        0xB4050A850C04B3ABF54132565044B0B7D7BFD8BA270B39432355FFB4,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D,
    ),
    P256,
    Curve(
        "P-384",
        "sha384",
        der.oid("1.3.132.0.34"),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    Curve(
        "P-521",
        "sha512",
        der.oid("1.3.132.0.35"),
        (1 << 521) - 1,
        0x51953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
        0x1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
    ),
)
BY_OID: Final = {curve.oid: curve for curve in _ALL}
BY_NAME: Final = {curve.name: curve for curve in _ALL if curve.name != "P-224"}
"""The curves that JSON web keys may be on."""
