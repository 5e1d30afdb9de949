"""What is read of Vault's KV engine, in which forms, and what is said where there is nothing."""

from __future__ import annotations

import pytest

from keyferry.api.external_secret import RemoteRef
from keyferry.errors import (
    KeyferryError,
    PropertyNotFound,
    ProviderError,
    RemoteSecretNotFound,
)
from keyferry.ports import Read
from keyferry.providers.vault.provider import select
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import canary

VALUE = canary("vault-read")


@pytest.mark.parametrize("form", ["app/db", "{}/app/db", "{}/data/app/db", "/app//db"])
async def test_every_form_of_a_key_reads_the_same(team, ask, form):
    team.put("app/db", password=VALUE, port=5432)

    assert f'{{"password":"{VALUE}","port":5432}}' == await ask(team.store(), form.format(team.name))


@pytest.mark.parametrize("form", ["{}/app/db", "{}/data/app/db"])
async def test_store_without_a_path_takes_the_mount_from_the_key(team, ask, form):
    team.put("app/db", password=VALUE)

    assert f'{{"password":"{VALUE}"}}' == await ask(team.store(path=None), form.format(team.name))


async def test_version_1_is_read_without_versions(team, ask, unique):
    mount = f"{unique}-v1"
    team.administrator.mount_kv(mount, 1)
    team.administrator.put(mount, "app/db", {"password": VALUE}, version=1)
    team.allow({f"{mount}/*": ["read"]})

    expected = f'{{"password":"{VALUE}"}}'
    assert expected == await ask(team.store(path=mount, version="v1"), "app/db")
    assert expected == await ask(team.store(path=mount, version="v1"), f"{mount}/app/db")
    assert expected == await ask(team.store(path=None, version="v1"), f"{mount}/app/db")


async def test_openbao_is_asked_like_vault_under_its_own_name(team, ask, make_provider):
    from keyferry.providers.vault import OpenBaoProvider

    team.put("app", password=VALUE)
    provider = make_provider("127.0.0.1", kind=OpenBaoProvider)

    assert f'{{"password":"{VALUE}"}}' == await ask(team.store(provider="openBao"), "app", provider=provider)
    error = await ask(team.store(provider="openBao", server="https://127.0.0.1:1"), "app", provider=provider)
    assert "OpenBao at 127.0.0.1" in error.message


async def test_numbers_and_text_come_as_vault_keeps_them(team, ask):
    team.administrator.api.send(
        "POST",
        f"{team.name}/data/odd",
        {
            "data": {
                "big": 9007199254740991,
                "html": "<a & b>",
                "list": [1, None, True],
                "o": {"z": 1, "a": 2},
            }
        },
    )

    assert (
        '{"big":9007199254740991,"html":"\\u003ca \\u0026 b\\u003e","list":[1,null,true],"o":{"a":2,"z":1}}'
        == await ask(team.store(), "odd")
    )


# -- versions


async def test_each_version_is_read_by_its_number(team, connect, provider):
    first, second = team.put("db", v="one"), team.put("db", v="two")
    client = await connect(provider, team.store())

    answers = [(await client.read([Read("db", version)]))[0] for version in (str(first), str(second), "")]

    assert [("1", b'{"v":"one"}'), ("2", b'{"v":"two"}'), ("2", b'{"v":"two"}')] == [
        (answer.version, answer.value.reveal()) for answer in answers
    ]


async def test_deleted_version_is_absent_and_can_come_back(team, ask):
    team.put("db", v="one")
    team.put("db", v="two")
    team.administrator.delete(team.name, "db")

    latest, old = await ask(team.store(), "db"), await ask(team.store(), "db", "1")
    team.administrator.undelete(team.name, "db", 2)

    assert RemoteSecretNotFound is type(latest)
    assert f'version 2 of remote secret "{team.name}/db" is deleted' == latest.message
    assert f"vault kv undelete -mount={team.name}" in latest.hint
    assert '{"v":"one"}' == old
    assert '{"v":"two"}' == await ask(team.store(), "db")


async def test_destroyed_version_is_absent_for_good(team, ask):
    team.put("db", v="one")
    team.put("db", v="two")
    team.administrator.destroy(team.name, "db", 1)

    error = await ask(team.store(), "db", "1")

    assert RemoteSecretNotFound is type(error)
    assert f'version 1 of remote secret "{team.name}/db" is destroyed' == error.message


async def test_version_that_is_no_number_is_told(team, ask):
    team.put("db", v="one")

    error = await ask(team.store(), "db", "latest")

    assert ProviderError is type(error)
    assert 'version "latest"' in error.message


# -- metadata


async def test_metadata_is_what_the_engine_and_people_say_of_a_secret(team, ask):
    team.put("db", v="one")
    team.administrator.annotate(
        team.name, "db", {"owner": "team-a", "current_version": "mine"}, delete_version_after="1h0m0s"
    )

    text = await ask(team.store(), "db", metadata=True)
    metadata = select(SecretBytes(text), RemoteRef(key="db"), True)

    assert {"created_time", "current_version", "delete_version_after", "owner"} == set(metadata)
    assert [b"team-a", b"mine", b"1h0m0s"] == [
        metadata[key].reveal() for key in ("owner", "current_version", "delete_version_after")
    ]


async def test_metadata_of_an_absent_secret_is_absent(team, ask):
    assert RemoteSecretNotFound is type(await ask(team.store(), "nothing", metadata=True))


async def test_version_1_has_no_metadata(team, ask, unique):
    team.administrator.mount_kv(f"{unique}-v1", 1)

    error = await ask(team.store(path=f"{unique}-v1", version="v1"), "db", metadata=True)

    assert ProviderError is type(error)
    assert "needs version v2" in error.message


# -- properties


@pytest.mark.parametrize(
    ("property_", "expected"),
    [
        ("plain", b"text"),
        ("a.b", b"literal"),
        ("nested.inner", b"deep"),
        ("nested", b'{"inner":"deep"}'),
        ("list.1", b"2"),
        ("odd|*?#key", b"odd"),
        ("@this", b"at"),
        ("price", b"1.50"),
        ("nothing", b""),
    ],
)
def test_property_is_a_key_first_and_a_path_then(property_, expected):
    value = SecretBytes(
        '{"plain":"text","a.b":"literal","a":{"b":"path"},"nested":{"inner":"deep"},"list":[1,2],'
        '"odd|*?#key":"odd","@this":"at","price":1.50,"nothing":null}'
    )

    assert expected == select(value, RemoteRef(key="x", property=property_), False).reveal()


def test_members_of_a_property_are_those_of_its_object():
    value = SecretBytes('{"inner":{"a":"1","b":2},"text":"{\\"c\\":\\"3\\"}"}')

    inner, text = (select(value, RemoteRef(key="x", property=name), True) for name in ("inner", "text"))

    assert {"a": b"1", "b": b"2"} == {key: one.reveal() for key, one in inner.items()}
    assert {"c": b"3"} == {key: one.reveal() for key, one in text.items()}


def test_missing_property_names_those_there_are():
    with pytest.raises(PropertyNotFound, match="'user'"):
        select(SecretBytes('{"user":"x"}'), RemoteRef(key="x", property="password"), False)


# -- failures


async def test_failure_names_the_secret_in_its_one_form(team, ask):
    errors = [
        await ask(team.store(), form) for form in ("none", f"{team.name}/none", f"{team.name}/data/none")
    ]

    assert {f'remote secret "{team.name}/none" does not exist'} == {
        error.message for error in errors if isinstance(error, KeyferryError)
    }
