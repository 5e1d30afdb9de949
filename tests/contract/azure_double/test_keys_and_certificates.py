"""Keys show their public part, certificates their policy; a certificate comes with a key and a secret of its name."""

import base64

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12


@pytest.fixture
def keys(admin, app, vault, client_for):
    admin.grant(vault, app, "Key Vault Crypto Officer")
    return client_for(vault, app, "keys")


@pytest.fixture
def certificates(admin, app, vault, client_for):
    admin.grant(vault, app, "Key Vault Certificates Officer")
    return client_for(vault, app, "certificates")


@pytest.fixture
def clients(client, keys, certificates):
    """Of the vault's secrets, keys and certificates."""
    return client, keys, certificates


def test_keys_are_shown_as_public_jwks(admin, vault, keys):
    version = admin.put_key(vault, "rsa", tags={"a": "b"})
    admin.put_key(vault, "ec", kty="EC", crv="P-384")

    shown, curved = keys.get_key("RSA"), keys.get_key("ec")

    numbers = rsa.RSAPublicNumbers(int.from_bytes(shown.key.e), int.from_bytes(shown.key.n))
    assert numbers.public_key().key_size == 2048
    assert (shown.key_type, shown.properties.version, shown.properties.tags) == ("RSA", version, {"a": "b"})
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(curved.key.x), int.from_bytes(curved.key.y), ec.SECP384R1()
    )
    assert point.public_key().key_size == 384
    assert shown.key.d is curved.key.d is None


def test_the_sdk_creates_imports_lists_and_deletes_keys(keys, rsa_keys):
    from azure.keyvault.keys import JsonWebKey

    numbers = rsa_keys[0].public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    jwk = JsonWebKey(kty="RSA", n=numbers.n.to_bytes(size), e=numbers.e.to_bytes(3))
    keys.import_key("mine", jwk)
    keys.create_ec_key("made", curve="P-256")

    assert int.from_bytes(keys.get_key("mine").key.n) == numbers.n
    assert [one.name for one in keys.list_properties_of_keys()] == ["made", "mine"]
    keys.begin_delete_key("mine").wait()
    with pytest.raises(ResourceNotFoundError):
        keys.get_key("mine")
    keys.begin_recover_deleted_key("mine").wait()
    assert keys.get_key("mine").name == "mine"


def test_disabled_keys_and_certificates_are_shown_and_say_so(clients, admin, vault, tls_pem):
    """Only what would use the private part is refused: the secret of a disabled certificate."""
    client, keys, certificates = clients
    admin.put_key(vault, "key")
    admin.put_certificate(vault, "cert", tls_pem)
    admin.change(vault, "key", kind="keys", enabled=False)
    admin.change(vault, "cert", kind="certificates", enabled=False)

    assert keys.get_key("key").properties.enabled is False
    assert certificates.get_certificate("cert").properties.enabled is False
    with pytest.raises(HttpResponseError) as error:
        client.get_secret("cert")
    assert error.value.error.innererror["code"] == "SecretDisabled"


def packed(key, certificate, password=b""):
    loaded = x509.load_pem_x509_certificate(certificate.encode())
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"app", key, loaded, None, protection)


@pytest.mark.parametrize("password", ["", "open"])
def test_a_pkcs12_certificate_comes_with_key_and_secret(password, clients, rsa_keys, make_certificate):
    client, keys, certificates = clients
    text = make_certificate(rsa_keys[0])
    certificates.import_certificate(
        "tls", packed(rsa_keys[0], text, password.encode()), password=password or None, tags={"a": "b"}
    )

    shown = certificates.get_certificate("TLS")
    secret = client.get_secret("tls")
    key = keys.get_key("tls")

    expected = x509.load_pem_x509_certificate(text.encode())
    assert x509.load_der_x509_certificate(bytes(shown.cer)) == expected
    assert shown.properties.tags == {"a": "b"}
    assert shown.policy.content_type == secret.properties.content_type == "application/x-pkcs12"
    inside = pkcs12.load_pkcs12(base64.b64decode(secret.value), None)
    assert inside.key.private_numbers() == rsa_keys[0].private_numbers()
    assert inside.cert.certificate == expected
    assert int.from_bytes(key.key.n) == rsa_keys[0].public_key().public_numbers().n
    assert secret.properties.key_id == key.id
    assert shown.secret_id == secret.id


def test_a_pem_certificate_keeps_its_text(clients, admin, vault, tls_pem):
    client, _, certificates = clients
    version = admin.put_certificate(vault, "tls", tls_pem)

    secret = client.get_secret("tls", version)

    assert (secret.value, secret.properties.content_type) == (tls_pem, "application/x-pem-file")
    assert admin.certificate(vault, "tls") == bytes(certificates.get_certificate("tls").cer)


def test_what_belongs_to_a_certificate_is_listed_as_managed_and_goes_with_it(clients, admin, vault, tls_pem):
    client, _, certificates = clients
    admin.put_certificate(vault, "tls", tls_pem)
    admin.put_secret(vault, "db", "value")

    listed = {one.name: one.managed for one in client.list_properties_of_secrets()}
    certificates.begin_delete_certificate("tls").wait()

    assert listed == {"db": None, "tls": True}
    assert [one.name for one in client.list_properties_of_secrets()] == ["db"]
    certificates.begin_recover_deleted_certificate("tls").wait()
    assert client.get_secret("tls").value


def test_text_that_is_no_certificate_is_refused(certificates):
    with pytest.raises(HttpResponseError) as error:
        certificates.import_certificate("tls", b"nonsense")

    assert (error.value.status_code, error.value.error.code) == (400, "BadParameter")
