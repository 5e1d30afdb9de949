"""Key pairs are what `ssh-keygen` would make: read back by the library, and where it is there by OpenSSH itself."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.api.generators.local import SSHKeySpec
from keyferry.api.model import convert
from keyferry.errors import SpecError
from keyferry.generators.ssh_key import SSHKeyGenerator, _make
from keyferry.ports import GeneratorView, ObjectKey


def view(**spec):
    return GeneratorView(ObjectKey("SSHKey", "team-a", "k"), "SSHKey", "team-a", convert(spec, SSHKeySpec))


async def make(**spec):
    generator = SSHKeyGenerator()
    try:
        generator.check(view(**spec))
        made = await generator.generate(view(**spec), None)
    finally:
        await generator.close()
    return made.data["privateKey"].reveal(), made.data["publicKey"].reveal()


def public_line(private):
    key = serialization.load_ssh_private_key(private, None).public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


KINDS = [
    pytest.param({}, "ssh-rsa", 2048, id="default"),
    pytest.param({"keySize": 3072}, "ssh-rsa", 3072, id="rsa-3072"),
    pytest.param({"keyType": "ecdsa"}, "ecdsa-sha2-nistp256", 256, id="ecdsa"),
    pytest.param({"keyType": "ecdsa", "keySize": 384}, "ecdsa-sha2-nistp384", 384, id="ecdsa-384"),
    pytest.param({"keyType": "ecdsa", "keySize": 521}, "ecdsa-sha2-nistp521", 521, id="ecdsa-521"),
    pytest.param({"keyType": "ed25519"}, "ssh-ed25519", None, id="ed25519"),
    pytest.param({"keyType": "ed25519", "keySize": 4096}, "ssh-ed25519", None, id="ed25519-has-one-size"),
]


@pytest.mark.parametrize(("spec", "name", "bits"), KINDS)
async def test_pair_is_of_the_kind_and_belongs_together(spec, name, bits):
    private, public = await make(**spec)

    assert private.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert f"{public_line(private)}\n".encode() == public
    assert name == public.split()[0].decode()
    assert bits == getattr(serialization.load_ssh_private_key(private, None), "key_size", None)


@pytest.mark.parametrize(("spec", "name", "bits"), KINDS[2:])
async def test_comment_ends_the_public_key(spec, name, bits):
    _, public = await make(comment="deploy@shop näher", **spec)

    assert public.decode().endswith(" deploy@shop näher\n")
    assert 1 == public.count(b"\n")


@given(comment=st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=40))
@settings(max_examples=40)
def test_private_key_with_any_comment_is_read_back(comment):
    """The comment moves the padding, which must be right for OpenSSH to take the key."""
    private, public = _make("ed25519", None, comment)

    assert public_line(private.encode()) == " ".join(public.rstrip("\n").split(" ")[:2])


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
@pytest.mark.parametrize("comment", ["", "deploy@shop", "with blanks in it"])
@pytest.mark.parametrize("key_type", ["rsa", "ecdsa", "ed25519"])
def test_openssh_itself_reads_the_pair(tmp_path, key_type, comment):
    private, public = _make(key_type, None, comment)
    file = tmp_path / "key"
    file.write_text(private)
    file.chmod(0o600)

    told = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True, check=True).stdout

    assert public.strip() == told.strip()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param({"keySize": 512}, "spec.keySize", id="rsa-too-small"),
        pytest.param({"keySize": 8193}, "spec.keySize", id="rsa-too-large"),
        pytest.param({"keyType": "ecdsa", "keySize": 2048}, "spec.keySize", id="no-curve"),
        pytest.param({"comment": "a\nssh-rsa AAAA attacker"}, "spec.comment", id="second-line"),
        pytest.param({"comment": "a\x1b[31m"}, "spec.comment", id="steers-terminals"),
    ],
)
async def test_spec_that_cannot_be_used_is_told_by_its_field(spec, says):
    with pytest.raises(SpecError) as failure:
        await make(**spec)

    assert failure.value.message.startswith(says)


async def test_making_a_large_key_holds_up_nobody():
    """While a key is made, the loop goes on: seconds would pass between two ticks otherwise."""
    generator = SSHKeyGenerator()
    ticks = 0
    making = asyncio.ensure_future(generator.generate(view(keySize=4096), None))
    while not making.done():
        await asyncio.sleep(0)
        ticks += 1
    await making
    await generator.close()

    assert ticks > 50


def test_library_is_imported_with_the_first_key_and_not_before():
    program = """
import sys
from keyferry.generators.registry import build_generators
from keyferry.providers.registry import ProviderSettings, build_generators as others, build_providers
settings = ProviderSettings()
kinds = [*build_generators(), *others(settings, build_providers(settings))]
print(len(kinds), "cryptography" in sys.modules)
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "13 False" == printed.strip()
