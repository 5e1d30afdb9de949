"""How long what Vault answers stays good: leases, tokens, certificates, rotated passwords, and what they end with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keyferry.errors import SpecError
from keyferry.lease import AtTheEnd, Lease
from keyferry.providers.vault.answers import Answer
from keyferry.providers.vault.document import LONGEST_S, decode
from keyferry.providers.vault.leasing import LentState, Parent, decode_state, lease_of, within

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def pem(end: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.example.com")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = made.not_valid_before(NOON - timedelta(1)).not_valid_after(end).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def told(**document) -> Lease | None:
    return lease_of(Answer(200, decode(json.dumps(document).encode())), NOON)


def lasting(seconds: float, at_the_end: AtTheEnd) -> Lease:
    return Lease(NOON, NOON + timedelta(seconds=seconds), at_the_end)


@pytest.mark.parametrize(
    ("renewable", "at_the_end"), [(True, AtTheEnd.RENEW), (False, AtTheEnd.REPLACE), (None, AtTheEnd.REPLACE)]
)
def test_lease_is_renewed_where_vault_says_so(renewable, at_the_end):
    found = told(lease_id="db/creds/app/x", lease_duration=60, renewable=renewable, data={"ttl": 5})

    assert lasting(60, at_the_end) == found


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        pytest.param({"renewable": True, "accessor": "a"}, AtTheEnd.RENEW, id="renewable"),
        pytest.param({"renewable": False, "accessor": "a"}, AtTheEnd.REPLACE, id="not-renewable"),
        pytest.param({"renewable": True, "accessor": ""}, AtTheEnd.REPLACE, id="without-an-accessor"),
    ],
)
def test_token_is_renewed_by_its_accessor(auth, expected):
    assert lasting(90, expected) == told(auth=auth | {"client_token": "t", "lease_duration": 90})


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"data": {"v": "1"}}, id="plain-data"),
        pytest.param({"data": {"v": "1"}, "lease_duration": 2764800}, id="advice-of-kv-1"),
        pytest.param({"data": {"ttl": 30}}, id="a-field-called-ttl"),
        pytest.param({"data": {"certificate": "no certificate"}}, id="a-field-called-certificate"),
        pytest.param({"data": {"expiration": "tomorrow"}}, id="an-expiration-that-is-none"),
        pytest.param({"data": {"expiration": 10**17}}, id="an-expiration-beyond-all"),
        pytest.param({"auth": {"client_token": "t", "lease_duration": 0, "renewable": True}}, id="for-ever"),
        pytest.param({"lease_id": "x/y", "lease_duration": 0}, id="lease-without-an-end"),
        pytest.param({"data": None}, id="no-data"),
        pytest.param({}, id="nothing"),
    ],
)
def test_what_has_no_end_is_not_acted_on(document):
    assert told(**document) is None


def test_no_lease_is_longer_than_a_century():
    found = told(lease_id="x/y", lease_duration=10**15, renewable=True)

    assert found is not None
    assert NOON + timedelta(seconds=LONGEST_S) == found.ends_at


@pytest.mark.parametrize("seconds", [0, 30])
def test_rotated_password_is_read_again(seconds):
    data = {"ttl": seconds, "last_vault_rotation": "2026-01-01T11:59:00Z", "password": "p", "username": "u"}

    assert lasting(seconds, AtTheEnd.READ_AGAIN) == told(data=data)


END = NOON + timedelta(days=30)


@pytest.mark.parametrize("key", ["certificate", "certificate_bundle"])
def test_certificate_says_itself_when_it_ends(key):
    data = {key: f"a comment\n{pem(END)}", "expiration": 4102444800}

    assert Lease(NOON, END, AtTheEnd.REPLACE) == told(data=data)


def test_expiration_counts_where_the_certificate_cannot_be_read():
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    found = told(data={"certificate": broken, "expiration": int(END.timestamp())})

    assert Lease(NOON, END, AtTheEnd.REPLACE) == found


@pytest.mark.parametrize(
    ("parent_end", "fixed", "expected"),
    [
        pytest.param(None, True, lasting(60, AtTheEnd.RENEW), id="for-ever"),
        pytest.param(NOON + timedelta(seconds=61), True, lasting(60, AtTheEnd.RENEW), id="longer"),
        pytest.param(NOON + timedelta(seconds=20), False, lasting(20, AtTheEnd.RENEW), id="renewed-too"),
        pytest.param(NOON + timedelta(seconds=20), True, lasting(20, AtTheEnd.REPLACE), id="ends-for-good"),
    ],
)
def test_lease_is_no_longer_than_its_parent(parent_end, fixed, expected):
    assert expected == within(lasting(60, AtTheEnd.RENEW), parent_end, fixed=fixed)


def test_state_is_read_as_it_was_written():
    state = LentState(
        "https://vault.example.com", "db/creds/app", lease_id="db/creds/app/x", parent=Parent("accessor")
    )
    assert state == decode_state(msgspec.json.encode(state))
    assert state.is_lent
    assert state.parent.end is None


@pytest.mark.parametrize("state", [b"", b"{}"])
def test_empty_state_tells_of_nothing(state):
    assert decode_state(state) is None


@pytest.mark.parametrize("state", [b'{"tokenID": 1}', b"[", b"[" * 100_000], ids=["other", "broken", "deep"])
def test_state_of_others_is_refused(state):
    with pytest.raises(SpecError, match="is none of a VaultDynamicSecret"):
        decode_state(state)
