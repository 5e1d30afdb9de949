"""Old and odd objects: unknown fields and nulls are fine, a broken rule fails that object with a clear text."""

from __future__ import annotations

import json

import msgspec
import pytest

from keyferry.api.external_secret import ExternalSecretSpec, Target
from keyferry.api.model import convert, decode
from keyferry.api.secret_store import SecretStoreSpec

ENTRY = {"secretKey": "k", "remoteRef": {"key": "db"}}


def external_secret(**spec):
    return decode(json.dumps(spec), ExternalSecretSpec)


def store(**spec):
    return decode(json.dumps(spec), SecretStoreSpec)


def test_unknown_fields_are_ignored():
    spec = external_secret(data=[{**ENTRY, "later": 1}], later={"a": 1})

    assert external_secret(data=[ENTRY]) == spec


def test_nulls_count_as_absent_fields():
    spec = external_secret(
        data=[ENTRY],
        dataFrom=None,
        refreshInterval=None,
        secretStoreRef={"name": "aws", "kind": None},
        target={"creationPolicy": None, "template": None},
    )

    assert external_secret(data=[ENTRY], secretStoreRef={"name": "aws"}) == spec


def test_nulls_count_as_absent_fields_in_parsed_manifests_too():
    assert ExternalSecretSpec() == convert({"data": None, "target": {"name": None}}, ExternalSecretSpec)


def test_unset_fields_have_the_meaning_of_the_api():
    spec = ExternalSecretSpec()

    assert Target(creation_policy="Owner", deletion_policy="Retain") == spec.target
    assert spec.refresh_interval == "1h0m0s"
    assert spec.refresh_policy == "Periodic"
    assert (spec.secret_store_ref.name, spec.secret_store_ref.kind) == ("", "SecretStore")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param({"refreshInterval": "1d"}, 'refreshInterval "1d": not a duration', id="interval"),
        pytest.param(
            {"syncWindows": {"kind": "deny", "windows": [{"schedule": "@daily", "duration": "1d"}]}},
            'duration "1d": not a duration such as "1h", "30m" or "1h30m0s" - at `$.syncWindows.windows[0]`',
            id="window",
        ),
        pytest.param({"target": {"creationPolicy": "Own"}}, "at `$.target.creationPolicy`", id="enum"),
        pytest.param({"secretStoreRef": {"name": "A b"}}, "at `$.secretStoreRef.name`", id="name"),
        pytest.param({"data": [{"secretKey": "k"}]}, "required field `remoteRef`", id="required"),
        pytest.param({"data": [{**ENTRY, "secretKey": None}]}, "required field `secretKey`", id="null"),
        pytest.param({"data": [{**ENTRY, "secretKey": 5}]}, "at `$.data[0].secretKey`", id="type"),
    ],
)
def test_a_broken_rule_names_the_field_of_an_external_secret(spec, told):
    with pytest.raises(msgspec.ValidationError) as raised:
        external_secret(**spec)

    assert told in str(raised.value)


FAKE = {"fake": {"data": []}}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param({"provider": {}}, "exactly one provider must be set, found none", id="none"),
        pytest.param(
            {"provider": {"later": {}}}, "exactly one provider must be set, found none", id="unknown"
        ),
        pytest.param(
            {"provider": {**FAKE, "chef": {}}}, "exactly one provider must be set, found fake, chef", id="two"
        ),
        pytest.param(
            {"provider": FAKE, "refreshInterval": "often"}, 'refreshInterval "often"', id="interval"
        ),
        pytest.param(
            {"provider": {"webhook": {"url": "https://x", "timeout": "soon"}}},
            'timeout "soon": not a duration',
            id="timeout",
        ),
    ],
)
def test_a_broken_rule_names_the_field_of_a_store(spec, told):
    with pytest.raises(msgspec.ValidationError) as raised:
        store(**spec)

    assert told in str(raised.value)


@pytest.mark.parametrize("interval", [0, 300, "", "0", "5m", "1h30m0s"])
def test_a_store_takes_seconds_or_a_duration(interval):
    assert interval == store(provider=FAKE, refreshInterval=interval).refresh_interval


def test_a_long_wrong_duration_is_cut_in_the_text():
    with pytest.raises(msgspec.ValidationError) as raised:
        external_secret(refreshInterval="x" * 100_000)

    assert len(str(raised.value)) < 200


def test_the_chosen_provider_is_told_by_its_wire_name():
    assert store(provider={"onepasswordSDK": {"vault": "a"}}).provider.chosen() == (
        "onepasswordSDK",
        {"vault": "a"},
    )


def test_text_that_is_no_json_is_no_validation_error():
    with pytest.raises(msgspec.DecodeError) as raised:
        decode("{", ExternalSecretSpec)

    assert msgspec.DecodeError is type(raised.value)
