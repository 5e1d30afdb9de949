"""RSA decryption."""

from __future__ import annotations

from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import pem, privatekeys
from keyferry.gotemplate.crypto.privatekeys import RsaKey
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup

group: Final = FunctionGroup("Encryption")


@group.add("rsaDecrypt", "func(string, string, string, string) (string, error)")
def rsa_decrypt(run: Run, scheme: bytes, hash_name: bytes, text: bytes, private_key: bytes) -> bytes:
    """What has been encrypted with RSA for a private key in PEM.

    The scheme is "RSA-OAEP" (or "None": the text as it is), the hash SHA1, SHA256 or SHA512; any other stands
    for SHA256: `{{ rsaDecrypt "RSA-OAEP" "SHA256" (.message | b64dec) .key }}`.
    """
    if scheme == b"None":
        return text
    if scheme != b"RSA-OAEP":
        raise FunctionError("decryption scheme is not supported: there are None and RSA-OAEP")
    block, _ = pem.decode(run, private_key)
    if block is None:
        raise FunctionError("failed to decode PEM block")
    try:
        key = privatekeys.parse(run, block.payload)
    except FunctionError as exc:
        raise FunctionError(f"could not parse private key: {exc}") from None
    if not isinstance(key, RsaKey):
        raise FunctionError("could not parse RSA private key")
    return _decrypted(run, key, hash_name, text)


def _decrypted(run: Run, key: RsaKey, hash_name: bytes, text: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    kind = {b"SHA1": hashes.SHA1, b"SHA512": hashes.SHA512}.get(hash_name, hashes.SHA256)
    how = padding.OAEP(mgf=padding.MGF1(kind()), algorithm=kind(), label=None)
    try:
        usable = privatekeys.usable_rsa(run, key)
        # Go takes shorter texts for numbers with zeros in front.
        plain: bytes = usable.decrypt(text.rjust((key.n.bit_length() + 7) // 8, b"\x00"), how)
    except FunctionError as exc:
        raise FunctionError(f"error decrypting data with RSA: {exc}") from None
    except ValueError:
        raise FunctionError("error decrypting data with RSA: crypto/rsa: decryption error") from None
    return plain
