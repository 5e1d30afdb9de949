"""What searches in the fake store have of their own."""

from __future__ import annotations

import pytest

from keyferry.errors import SpecError
from keyferry.ports import Find
from keyferry.providers.fake import FakeProvider


@pytest.fixture
def client_of(connect, toolbox):
    async def make(*entries):
        data = [{"key": key, "version": version, "value": value} for key, version, value in entries]
        return await connect(FakeProvider(), toolbox.view("fake", {"data": data}))

    return make


def told(found):
    return [(one.name, one.answer.version, one.answer.value.reveal().decode()) for one in found]


async def test_of_several_versions_the_greatest_as_text_is_found(client_of):
    client = await client_of(("a", "v1", "one"), ("a", "v2", "two"), ("a", "", "none"), ("a", "v10", "ten"))

    assert [("a", "v2", "two")] == told(await client.find(Find(name="^a$")))


async def test_of_two_entries_with_one_version_the_last_is_found(client_of):
    client = await client_of(("a", "", "first"), ("a", "", "last"))

    assert [("a", "", "last")] == told(await client.find(Find(name="a")))


async def test_tags_are_refused_by_name(client_of):
    client = await client_of(("a", "", "value"))

    with pytest.raises(SpecError, match=r"find\.tags: a fake store has no tags"):
        await client.find(Find(name="a", tags=(("team", "a"),)))
