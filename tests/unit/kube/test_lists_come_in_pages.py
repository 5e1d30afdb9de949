# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import pytest

from keyferry.errors import KubeGone, KubeUnavailable
from keyferry.kube.listing import list_metadata, list_objects, served_plurals

PATH = "/apis/external-secrets.io/v1/externalsecrets"


def page(*names: str, next_: str = "") -> dict:
    items = [{"metadata": {"name": name, "uid": name}, "spec": {}} for name in names]
    return {"metadata": {"continue": next_}, "items": items}


async def test_metadata_of_all_pages(server, open_api, play) -> None:
    server.script.extend([play.says(200, page("a", "b", next_="t1")), play.says(200, page("c"))])

    found = [meta.name async for meta in list_metadata(open_api(), PATH)]

    assert ["a", "b", "c"] == found
    assert [{"limit": "500"}, {"limit": "500", "continue": "t1"}] == [seen.query for seen in server.seen]
    assert "as=PartialObjectMetadataList" in server.seen[0].headers["Accept"]


async def test_objects_of_all_pages(server, open_api, play) -> None:
    server.script.extend([play.says(200, page("a", next_="t1")), play.says(200, page("b"))])

    found = [body async for body in list_objects(open_api(), PATH)]

    assert ["a", "b"] == [body["metadata"]["name"] for body in found]
    assert [{"limit": "500"}, {"limit": "500", "continue": "t1"}] == [seen.query for seen in server.seen]


@pytest.mark.parametrize("list_", [list_metadata, list_objects])
async def test_null_is_an_empty_list(server, open_api, play, list_) -> None:
    server.otherwise = play.says(200, {"metadata": {}, "items": None})

    assert [] == [one async for one in list_(open_api(), PATH)]


@pytest.mark.parametrize("list_", [list_metadata, list_objects])
async def test_expired_page_is_told(server, open_api, play, list_) -> None:
    server.script.extend([play.says(200, page("a", next_="t1")), play.refuses(410, "expired")])

    with pytest.raises(KubeGone):
        [one async for one in list_(open_api(), PATH)]


APIS = {"resources": [{"name": "externalsecrets"}, {"name": "externalsecrets/status"}]}


@pytest.mark.parametrize(
    ("status", "body", "served"),
    [
        pytest.param(200, APIS, {"externalsecrets", "externalsecrets/status"}, id="some"),
        pytest.param(200, {"resources": None}, set(), id="none"),
        pytest.param(404, {"kind": "Status", "code": 404}, set(), id="no-such-version"),
    ],
)
async def test_discovery_tells_which_resources_there_are(
    server, open_api, play, status, body, served
) -> None:
    server.otherwise = play.says(status, body)

    assert served == await served_plurals(open_api(), "external-secrets.io/v1")
    assert "/apis/external-secrets.io/v1" == server.seen[0].path


async def test_discovery_that_fails_is_not_taken_for_no_resources(server, open_api, play) -> None:
    server.otherwise = play.refuses(503, "starting")

    with pytest.raises(KubeUnavailable):
        await served_plurals(open_api(), "external-secrets.io/v1")
