"""SSHKey: a key pair as `ssh-keygen` makes it."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from keyferry.aio import ThreadDoor
from keyferry.api.generators.local import SSHKeySpec
from keyferry.api.model import Model
from keyferry.core.generator_spec import spec_path, typed
from keyferry.errors import SpecError
from keyferry.generators.offline import Offline
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.secretdata import SecretData

RSA_DEFAULT_BITS: Final = 2048
RSA_BITS: Final = (1024, 8192)
"""Least and most; more than the most would take minutes."""
EC_DEFAULT_BITS: Final = 256
EC_BITS: Final = (256, 384, 521)
THREADS: Final = 2
"""Keys that are made at once: a large RSA key takes seconds of a processor."""

_BEGIN: Final = "-----BEGIN OPENSSH PRIVATE KEY-----"
_END: Final = "-----END OPENSSH PRIVATE KEY-----"
_LINE: Final = 70
_BLOCK: Final = 8
_MAGIC: Final = b"openssh-key-v1\0"


class SSHKeyGenerator(Offline):
    """See the module's docstring."""

    kind: ClassVar[str] = "SSHKey"
    spec: ClassVar[type[Model]] = SSHKeySpec

    def __init__(self) -> None:
        self._door = ThreadDoor("ssh-key", THREADS)

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, SSHKeySpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        bits = spec.key_size
        if spec.key_type == "rsa" and bits is not None and not RSA_BITS[0] <= bits <= RSA_BITS[1]:
            raise SpecError(f"{path}.keySize of an rsa key must be from {RSA_BITS[0]} to {RSA_BITS[1]}")
        if spec.key_type == "ecdsa" and bits is not None and bits not in EC_BITS:
            raise SpecError(f"{path}.keySize of an ecdsa key must be one of {', '.join(map(str, EC_BITS))}")
        if not spec.comment.isprintable():
            # A line break would begin another entry in an authorized_keys file.
            raise SpecError(f"{path}.comment must be one line of printable characters")

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("privateKey", "publicKey")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:  # noqa: ARG002
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, SSHKeySpec)
        private, public = await self._door.run(_make, spec.key_type, spec.key_size, spec.comment)
        return Generated(SecretData({"privateKey": private, "publicKey": public}))

    async def close(self) -> None:
        """Let go of the threads."""
        self._door.close()


def _make(key_type: str, bits: int | None, comment: str) -> tuple[str, str]:
    """A new key pair: the private key as OpenSSH's PEM, the public one as a line of authorized_keys."""
    from cryptography.hazmat.primitives import serialization

    key = _new_key(key_type, bits)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    line = f"{public.decode()} {comment}" if comment else public.decode()
    return _with_comment(private.decode(), comment), f"{line}\n"


def _new_key(key_type: str, bits: int | None) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if key_type == "ecdsa":
        curves = dict(zip(EC_BITS, (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()), strict=True))
        return ec.generate_private_key(curves[bits or EC_DEFAULT_BITS])
    return rsa.generate_private_key(65537, bits or RSA_DEFAULT_BITS)


def _with_comment(pem: str, comment: str) -> str:
    """The private key with a comment, for which the library has no parameter.

    The format (PROTOCOL.key of OpenSSH): a header, and at its end a string that holds the key, the comment
    and a padding of 1, 2, 3, … to full blocks.
    """
    body = base64.b64decode("".join(pem.strip().splitlines()[1:-1]))
    at = len(_MAGIC)
    for _ in range(3):  # cipher, key derivation and its options
        at += 4 + _uint32(body, at)
    at += 4  # the number of keys: one
    at += 4 + _uint32(body, at)  # the public key
    private = body[at + 4 :]
    while private[-1]:  # the padding; before it the comment, which is empty: four bytes of zeros
        private = private[:-1]
    text = comment.encode()
    private = private[:-4] + struct.pack(">I", len(text)) + text
    private += bytes(range(1, 1 + -len(private) % _BLOCK))
    encoded = base64.b64encode(body[:at] + struct.pack(">I", len(private)) + private).decode()
    lines = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
    return "\n".join((_BEGIN, *lines, _END, ""))


def _uint32(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])
