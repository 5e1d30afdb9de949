"""What an object of a vault gives: values, public keys, certificates, their metadata, in every form of a key."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from keyferry.api.external_secret import RemoteRef
from keyferry.api.model import convert
from keyferry.errors import PropertyNotFound, ProviderError, RemoteSecretNotFound, RenderError, SpecError
from keyferry.ports import Read, RemoteValue
from keyferry.testing.leaks import canary

EVERYTHING = ("Key Vault Secrets User", "Key Vault Crypto User", "Key Vault Certificate User")


@pytest.fixture
async def client(client_of, azure_administrator, vault, app):
    azure_administrator.grant(vault, app, *EVERYTHING)
    return await client_of()


@pytest.fixture
def select(client, provider):
    """What a reference takes out of the answer, as text; members where no property is meant."""

    async def of(key, *, members=False, **reference):
        remote = convert({"key": key, **reference}, RemoteRef)
        read = Read(key, remote.version, metadata=remote.metadata_policy == "Fetch")
        (answer,) = await client.read([read])
        assert isinstance(answer, RemoteValue), answer
        taken = provider.reading.select(answer.value, remote, members)
        if members:
            return {name: one.reveal().decode() for name, one in taken.items()}
        return taken.reveal().decode()

    return of


@pytest.mark.parametrize("key", ["db", "secret/db", "DB", "secret/Db"])
async def test_secret_is_meant_with_and_without_prefix_and_in_any_case(
    value, client, azure_administrator, vault, key
):
    azure_administrator.put_secret(vault, "db", canary("azure-value"))

    assert canary("azure-value") == await value(client, key)


@pytest.mark.parametrize("kty", ["RSA", "EC"])
async def test_key_gives_its_public_part_as_json_web_key(value, client, azure_administrator, vault, kty):
    version = azure_administrator.put_key(vault, "sign", kty=kty)

    key = json.loads(await value(client, "key/sign"))

    members = {"RSA": ["kid", "kty", "key_ops", "n", "e"], "EC": ["kid", "kty", "key_ops", "crv", "x", "y"]}[
        kty
    ]
    assert members == list(key)
    assert (f"https://{vault}.vault.azure.net/keys/sign/{version}", kty) == (key["kid"], key["kty"])
    assert "=" not in "".join(key.get(name, "") for name in "nexy")


async def test_member_of_a_key_is_a_property(select, azure_administrator, vault):
    azure_administrator.put_key(vault, "sign", kty="EC")

    assert "P-256" == await select("key/sign", property="crv")
    assert "EC" == (await select("key/sign", members=True))["kty"]


async def test_certificate_gives_its_bytes_and_its_secret_the_whole(
    client, value, azure_administrator, vault, pem
):
    public, private = pem
    azure_administrator.put_certificate(vault, "tls", public + private)
    (answer,) = await client.read([Read("cert/tls")])

    der = x509.load_pem_x509_certificate(public.encode()).public_bytes(serialization.Encoding.DER)
    assert der == answer.value.reveal()
    assert "PRIVATE KEY" in await value(client, "tls")
    assert "RSA" == json.loads(await value(client, "key/tls"))["kty"]


async def test_certificate_out_of_a_pkcs12_file_is_read_as_such(
    client, value, azure_administrator, vault, pem
):
    public, private = pem
    key = serialization.load_pem_private_key(private.encode(), None)
    certificate = x509.load_pem_x509_certificate(public.encode())
    packed = pkcs12.serialize_key_and_certificates(
        b"tls", key, certificate, None, serialization.NoEncryption()
    )
    azure_administrator.put_certificate(vault, "tls", packed)

    assert base64.b64decode(await value(client, "tls")).startswith(b"\x30")


@pytest.mark.parametrize("kind", ["secret", "key", "cert"])
async def test_versions_of_every_kind_are_read(value, client, azure_administrator, vault, pem, kind):
    def put(number):
        match kind:
            case "secret":
                return azure_administrator.put_secret(vault, "x", f"value {number}")
            case "key":
                return azure_administrator.put_key(vault, "x", kty="EC")
        return azure_administrator.put_certificate(vault, "x", "".join(pem))

    first, second = put(1), put(2)
    answers = [(await client.read([Read(f"{kind}/x", version)]))[0] for version in (first, second, "")]

    assert [first, second, second] == [answer.version for answer in answers]


# Properties


@pytest.mark.parametrize(
    ("property_", "expected"),
    [
        pytest.param("user", "app", id="key"),
        pytest.param("host.name", "by path", id="path-goes-before-the-literal-key"),
        pytest.param("tls.crt", "by key", id="literal-key"),
        pytest.param("list.1", "b", id="place-in-a-list"),
        pytest.param("port", "5432", id="number"),
        pytest.param("host", '{"name":"by path"}', id="object"),
    ],
)
async def test_property_is_a_path_and_then_one_key(select, azure_administrator, vault, property_, expected):
    text = '{"user":"app","port":5432,"host":{"name":"by path"},"host.name":"by key","tls.crt":"by key","list":["a","b"]}'
    azure_administrator.put_secret(vault, "db", text)

    assert expected == await select("db", property=property_)


async def test_property_that_is_missing_is_told_as_it_was_written(select, azure_administrator, vault):
    azure_administrator.put_secret(vault, "db", {"user": "app"})

    with pytest.raises(PropertyNotFound, match=r"'tls\.crt'; it has 'user'"):
        await select("db", property="tls.crt")


async def test_members_of_a_secret_are_extracted(select, azure_administrator, vault):
    azure_administrator.put_secret(vault, "db", {"user": "app", "port": 5432, "none": None})
    azure_administrator.put_secret(vault, "plain", "text")

    assert {"user": "app", "port": "5432", "none": ""} == await select("db", members=True)
    with pytest.raises(RenderError):
        await select("plain", members=True)


# Metadata


@pytest.fixture
def tagged(azure_administrator, vault, pem):
    tags = {
        "owner": "team-a",
        "conf": '{"a": {"b": "deep"}, "flat": "x"}',
        "pair": '{"one": "1", "two": "2"}',
    }
    azure_administrator.put_secret(
        vault, "db", "v", tags=tags, expires=datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    azure_administrator.put_key(vault, "db", kty="EC", tags=tags)
    azure_administrator.put_certificate(vault, "cer", "".join(pem), tags=tags)


@pytest.mark.usefixtures("tagged")
@pytest.mark.parametrize("key", ["db", "key/db", "cert/cer"])
@pytest.mark.parametrize(
    ("property_", "expected"),
    [("owner", "team-a"), ("pair", '{"one": "1", "two": "2"}'), ("conf.a.b", "deep"), ("pair.two", "2")],
)
async def test_tag_is_had_by_its_name_and_a_path_into_it(select, key, property_, expected):
    assert expected == await select(key, metadataPolicy="Fetch", property=property_)


@pytest.mark.usefixtures("tagged")
async def test_moments_stand_among_the_tags(select):
    found = json.loads(await select("db", metadataPolicy="Fetch"))

    assert ["attribute.created", "attribute.expires", "attribute.updated", "conf", "owner", "pair"] == list(
        found
    )
    assert "2099-01-02T03:04:05Z" == found["attribute.expires"]
    assert "2099-01-02T03:04:05Z" == await select("db", metadataPolicy="Fetch", property="attribute.expires")


@pytest.mark.usefixtures("tagged")
async def test_extracted_tags_have_the_name_in_front(select):
    found = await select("secret/db", members=True, metadataPolicy="Fetch")

    assert {
        "db_owner": "team-a",
        "db_conf": '{"a": {"b": "deep"}, "flat": "x"}',
        "db_pair_one": "1",
        "db_pair_two": "2",
        "db_attribute.expires": "2099-01-02T03:04:05Z",
    } == {name: text for name, text in found.items() if "created" not in name and "updated" not in name}
    assert {"db_owner": "team-a"} == await select(
        "db", members=True, metadataPolicy="Fetch", property="owner"
    )


@pytest.mark.usefixtures("tagged")
@pytest.mark.parametrize("property_", ["nothing", "owner.x", "nothing.x", "attribute"])
async def test_tag_that_is_missing_is_told(select, property_):
    with pytest.raises(PropertyNotFound):
        await select("db", metadataPolicy="Fetch", property=property_)


# States


async def test_disabled_secret_is_told_and_does_not_count_as_absent(fail, client, azure_administrator, vault):
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.change(vault, "db", enabled=False)

    error = await fail(client)

    assert ProviderError is type(error)
    assert "disabled" in error.message
    assert "Enable it" in error.hint


async def test_secret_out_of_its_time_is_given_and_told_once(
    value, client, azure_administrator, vault, caplog
):
    past = datetime(2020, 1, 2, tzinfo=UTC)
    azure_administrator.put_secret(vault, "old", "still there", expires=past)
    azure_administrator.put_secret(
        vault, "young", "already there", not_before=datetime.now(UTC) + timedelta(days=1)
    )

    with caplog.at_level(logging.WARNING):
        values = [await value(client, name) for name in ("old", "old", "young")]

    assert ["still there", "still there", "already there"] == values
    told = [record.getMessage() for record in caplog.records if "expired" in record.getMessage()]
    expected = (
        f'remote secret "old" in Azure Key Vault {vault}.vault.azure.net has expired (2020-01-02T00:00:00Z): '
        "Key Vault still gives it, and it is still synced"
    )
    assert [expected] == told


@pytest.mark.parametrize(("kind", "prefix"), [("secrets", ""), ("keys", "key/"), ("certificates", "cert/")])
@pytest.mark.parametrize("purge", [False, True], ids=["deleted", "purged"])
async def test_deleted_object_is_absent_with_a_hint_to_recover_it(
    *, fail, value, client, azure_administrator, vault, pem, kind, prefix, purge
):
    match kind:
        case "secrets":
            azure_administrator.put_secret(vault, "x", "v")
        case "keys":
            azure_administrator.put_key(vault, "x")
        case _:
            azure_administrator.put_certificate(vault, "x", "".join(pem))
    azure_administrator.delete(vault, "x", kind=kind, purge=purge)

    error = await fail(client, f"{prefix}x")

    assert RemoteSecretNotFound is type(error)
    assert f"az keyvault {kind.removesuffix('s')} recover" in error.hint
    if not purge:
        azure_administrator.recover(vault, "x", kind=kind)
        (answer,) = await client.read([Read(f"{prefix}x")])
        assert isinstance(answer, RemoteValue)


# Keys that mean nothing


@pytest.mark.parametrize(
    "key",
    [
        "storage/x",
        "secret/a/b",
        "a_b",
        "..",
        "secret/..",
        "",
        "key/",
        "a b",
        "a?b",
        "x" * 128,
        "secret/%2e%2e",
    ],
)
async def test_key_that_no_object_can_have_asks_nobody(fail, provider, view_of, client, azure, key):
    azure.control.reset_calls()

    error = await fail(client, key)

    assert ProviderError is type(error)
    assert error.hint
    assert [] == azure.control.calls()
    with pytest.raises(SpecError):
        provider.canonical(view_of(), key)


@pytest.mark.parametrize("version", ["..", "a/b", "x?y", "a b"])
async def test_version_that_no_object_can_have_asks_nobody(fail, client, azure, version):
    azure.control.reset_calls()

    assert "version" in (await fail(client, "db", version)).message
    assert [] == azure.control.calls()


@pytest.mark.parametrize(
    ("key", "canonical"),
    [
        ("DB", "db"),
        ("secret/Db", "db"),
        ("db", "db"),
        ("key/Sign", "key/sign"),
        ("cert/TLS", "cert/tls"),
    ],
)
def test_policies_about_keys_see_one_form_of_each(provider, view_of, key, canonical):
    assert canonical == provider.canonical(view_of(), key)
