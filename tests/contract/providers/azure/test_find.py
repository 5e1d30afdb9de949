"""Searches in a vault: lists in pages of 25, without a value, and what of them is left out."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import pytest

from keyferry.errors import AccessDenied, Malformed
from keyferry.metrics import provider_calls
from keyferry.ports import Find


@pytest.fixture
def names(client_of):
    async def of(**find):
        client = await client_of()
        return [one.name for one in await client.find(Find(**find))]

    return of


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (25, 1), (26, 2), (60, 3)])
async def test_all_pages_are_read(names, azure_administrator, vault, azure, count, pages):
    for number in range(count):
        azure_administrator.put_secret(vault, f"s{number:03}", "v")
    azure.control.reset_calls()
    counted = provider_calls["Azure/KeyVault", "GetSecrets", "success"]

    assert [f"s{number:03}" for number in range(count)] == await names(name="^s")
    assert pages == azure.control.count(service="vault", path="/secrets", status=200)
    assert pages == provider_calls["Azure/KeyVault", "GetSecrets", "success"] - counted
    assert 0 == azure.control.count(service="vault", path="/secrets/*")


async def test_empty_page_is_not_the_end(names, azure_administrator, vault):
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.configure_vault(vault, sparse=True)

    assert ["db"] == await names(name="")


async def test_disabled_and_deleted_secrets_are_left_out(names, azure_administrator, vault):
    for name in ("disabled", "deleted", "there"):
        azure_administrator.put_secret(vault, name, "v")
    azure_administrator.change(vault, "disabled", enabled=False)
    azure_administrator.delete(vault, "deleted")

    assert ["there"] == await names(name="d|there")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"team": "a"}, ["both", "one"]),
        ({"team": "a", "env": "prod"}, ["both"]),
        ({"team": "prod"}, []),
        ({"Team": "a"}, []),
    ],
)
async def test_all_tags_must_be_there_to_the_letter(names, azure_administrator, vault, tags, expected):
    azure_administrator.put_secret(vault, "both", "v", tags={"team": "a", "env": "prod"})
    azure_administrator.put_secret(vault, "one", "v", tags={"team": "a"})
    azure_administrator.put_secret(vault, "none", "v")

    assert expected == await names(tags=tuple(sorted(tags.items())))


async def test_search_needs_to_list_and_says_so(client_of, azure_administrator, vault, app):
    azure_administrator.revoke(vault, app)
    azure_administrator.grant(vault, app, "secrets/getSecret/action")
    client = await client_of()

    with pytest.raises(AccessDenied) as failure:
        await client.find(Find(name="x"))

    assert "secrets/list" in failure.value.message
    assert "Key Vault Secrets User" in failure.value.hint


async def test_list_without_end_is_ended(client_of, azure_administrator, vault, monkeypatch):
    monkeypatch.setattr("keyferry.providers.azure.key_vault.MOST_PAGES", 20)
    azure_administrator.configure_vault(vault, endless=True)

    with pytest.raises(Malformed):
        await (await client_of()).find(Find(name="x"))


@pytest.mark.parametrize("kind", ["garbled", "empty", "cut-body"])
async def test_page_that_is_none_finds_nothing_by_halves(client_of, azure_administrator, vault, azure, kind):
    for number in range(30):
        azure_administrator.put_secret(vault, f"s{number:03}", "v")
    client = await client_of()
    await client.find(Find(name="x"))
    azure.control.fail(service="vault", kind=kind)

    with pytest.raises(Malformed):
        await client.find(Find(name="x"))
