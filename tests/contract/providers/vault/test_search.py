"""Searches in a KV engine: by folder, by name, by custom metadata; and what they need to be allowed."""

from __future__ import annotations

import pytest

from keyferry.errors import AccessDenied, ProviderError, SpecError
from keyferry.ports import Find, Read
from keyferry.providers.vault import find as module


@pytest.fixture
async def client(team, connect, provider):
    for key in ("app/db", "app/mail", "app/deep/er/key", "web/db", "top"):
        team.put(key, v=key)
    return await connect(provider, team.store())


async def names(client, **find):
    return [one.name for one in await client.find(Find(**find))]


async def test_folders_are_walked_to_their_end(client):
    assert ["app/db", "app/deep/er/key", "app/mail", "top", "web/db"] == await names(client, name="")


@pytest.mark.parametrize("path", ["app", "app/", "/app/"])
async def test_path_is_a_folder(client, path):
    assert ["app/db", "app/deep/er/key", "app/mail"] == await names(client, path=path)


async def test_path_may_begin_with_the_mount_and_names_do_then_too(client, team):
    found = await client.find(Find(path=f"{team.name}/web"))

    assert [f"{team.name}/web/db"] == [one.name for one in found]
    (answer,) = await client.read([found[0].answer])
    assert b'{"v":"web/db"}' == answer.value.reveal()


async def test_what_is_found_is_asked_for_like_any_key(client):
    assert [Read("app/mail")] == [one.answer for one in await client.find(Find(name="mail"))]


async def test_tags_are_custom_metadata_and_all_of_them_must_be_there(client, team):
    team.administrator.annotate(team.name, "app/db", {"env": "prod", "team": "a"})
    team.administrator.annotate(team.name, "web/db", {"env": "prod"})
    team.administrator.annotate(team.name, "top", {"env": "production"})

    assert ["app/db", "web/db"] == await names(client, tags=(("env", "prod"),))
    assert ["app/db"] == await names(client, tags=(("env", "prod"), ("team", "a")))
    assert ["web/db"] == await names(client, tags=(("env", "prod"),), name="^web")
    assert [] == await names(client, tags=(("env", "prod"),), path="app/deep")


async def test_deleted_secrets_are_listed_and_then_left_out(client, team):
    team.administrator.delete(team.name, "app/db")

    found = {one.name: one.answer for one in await client.find(Find(path="app"))}

    (answer,) = await client.read([found["app/db"]])
    assert "is deleted" in answer.message


async def test_store_without_a_path_searches_the_mount_that_the_path_names(client, team, connect, provider):
    other = await connect(provider, team.store(path=None))

    assert [f"{team.name}/web/db"] == await names(other, path=f"{team.name}/web")
    assert f"{team.name}/top" in await names(other, path=team.name)
    with pytest.raises(SpecError, match="path must be set"):
        await other.find(Find(name="db"))


async def test_version_1_is_searched_by_name_and_not_by_tags(team, connect, provider, unique):
    mount = f"{unique}-v1"
    team.administrator.mount_kv(mount, 1)
    team.administrator.put(mount, "app/db", {"v": "x"}, version=1)
    team.allow({f"{mount}/*": ["read", "list"]})
    client = await connect(provider, team.store(path=mount, version="v1"))

    assert ["app/db"] == await names(client, name="db")
    with pytest.raises(SpecError, match="tags need version v2"):
        await client.find(Find(tags=(("a", "b"),)))


async def test_folder_that_may_not_be_listed_fails_the_search(client, team):
    team.allow({f"{team.name}/metadata": ["list"], f"{team.name}/metadata/app": ["list"]})

    with pytest.raises(AccessDenied) as raised:
        await client.find(Find(name=""))

    assert 'path "' in raised.value.hint
    assert 'capabilities = ["list"]' in raised.value.hint


async def test_metadata_that_may_not_be_read_fails_a_search_by_tags(client, team):
    team.allow({f"{team.name}/metadata/*": ["list"]})

    with pytest.raises(AccessDenied, match="metadata of remote secret"):
        await client.find(Find(path="app", tags=(("a", "b"),)))


async def test_searches_are_bounded(client, monkeypatch):
    monkeypatch.setattr(module, "MOST_NAMES", 3)
    with pytest.raises(ProviderError, match="more than 3 names"):
        await client.find(Find(name=""))
    monkeypatch.setattr(module, "MOST_NAMES", 50)
    monkeypatch.setattr(module, "DEEPEST", 2)
    with pytest.raises(ProviderError, match="more than 2 deep"):
        await client.find(Find(name=""))
