"""The same searches in every store: what is found, under which name, with which value, in which order."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.providers.backends.base import trait

from keyferry.errors import SpecError
from keyferry.ports import Find, Read, RemoteValue
from keyferry.testing.leaks import canary


@pytest.fixture(autouse=True)
def backend_finds(backend):
    if not backend.finds:
        pytest.skip("this store cannot be searched, which is told where its own tests are")


@pytest.fixture
def found(backend, connect, unique, whole):
    """Put remote secrets `<unique>/<name>`, each with its name as its value, and search among them.

    Gives name and value of what is found, names without what all have in common.
    """

    async def search(names, **find):
        for name in names:
            backend.put(f"{unique}/{name}", name)
        client = await connect(backend.provider, backend.view())
        results = []
        for one in await client.find(Find(**find)):
            answer = one.answer
            if isinstance(answer, Read):
                (answer,) = await client.read([answer])
            assert isinstance(answer, RemoteValue), answer
            name = one.name.removeprefix(f"{whole}/")
            results.append((name, answer.value.reveal().decode()))
        return results

    return search


@pytest.fixture
def whole(backend, unique):
    """How the names begin that are found."""
    return f"{trait(backend, 'root')}{unique}"


def named(*names):
    return [(name, name) for name in names]


async def test_what_lies_below_a_path_is_found_in_the_order_of_names(found, unique):
    names = ["b", "C", "a/z", "a", "D"]

    assert named("C", "D", "a", "a/z", "b") == await found(names, path=f"{unique}/")


async def test_regular_expression_may_match_anywhere_in_the_name(found, unique):
    names = ["db-prod", "db-test", "prod/cache", "mail"]

    assert named("db-prod", "prod/cache") == await found(names, name=f"{unique}/.*prod")


async def test_anchors_bind_a_regular_expression_to_the_whole_name(found, whole):
    names = ["db", "db2", "my-db"]

    assert named("db") == await found(names, name=f"^{whole}/db$")


@pytest.mark.parametrize(
    ("expression", "matching"),
    [
        pytest.param("^{}/dbs*$", ["db", "dbs"], id="a repeated last character"),
        pytest.param("^{}/dbs?$", ["db", "dbs"], id="an optional last character"),
        pytest.param("^{}/dbs{{0,1}}$", ["db", "dbs"], id="a counted last character"),
        pytest.param("^{}/d.s$", ["dbs", "dos"], id="a dot"),
        pytest.param("^{}/db$|^{}/mail$", ["db", "mail"], id="an alternative"),
        pytest.param("^{}/(db|mail)$", ["db", "mail"], id="an alternative in a group"),
        pytest.param("(?i)^{}/MAIL$", ["mail"], id="any case"),
        pytest.param(r"^{}\/db$", ["db"], id="an escape"),
        pytest.param("", ["db", "dbs", "dos", "mail"], id="nothing at all"),
    ],
)
async def test_regular_expressions_find_all_that_they_match(found, unique, whole, expression, matching):
    """Whatever a store makes of one to search faster."""
    names = ["db", "dbs", "dos", "mail"]

    assert named(*matching) == await found(names, name=expression.format(whole, whole), path=f"{unique}/")


async def test_path_is_the_beginning_of_a_name_or_a_folder(found, backend, unique):
    names = ["app/db", "apple", "App", "my/app"]
    expected = ["app/db"] if trait(backend, "folders") else ["app/db", "apple"]

    assert named(*expected) == await found(names, path=f"{unique}/app")


async def test_path_and_regular_expression_must_both_fit(found, unique, whole):
    names = ["app/db", "app/mail", "web/db"]

    assert named("app/db") == await found(names, path=f"{unique}/app/", name="db$")
    assert [] == await found([], path=f"{unique}/app/", name=f"^{whole}/web")


async def test_nothing_that_fits_is_no_failure(found, whole):
    assert [] == await found(["a"], name=f"^{whole}/none$")


async def test_latest_value_is_found(found, backend, unique):
    backend.put(f"{unique}/a", "before")

    assert named("a") == await found(["a"], path=unique)


async def test_search_for_nothing_in_particular_is_refused(backend, connect, unique):
    backend.put(unique, "value")
    client = await connect(backend.provider, backend.view())

    for nothing in (Find(), Find(path="")):
        with pytest.raises(SpecError, match="must be set"):
            await client.find(nothing)


async def test_expression_that_is_none_is_refused(backend, connect, unique):
    backend.put(unique, "value")
    client = await connect(backend.provider, backend.view())

    with pytest.raises(SpecError, match="regular expression"):
        await client.find(Find(name="("))


async def test_searches_may_be_made_at_the_same_time(backend, connect, unique, whole):
    for name in "ab":
        backend.put(f"{unique}/{name}/db", name)
    client = await connect(backend.provider, backend.view())

    both = await asyncio.gather(*(client.find(Find(path=f"{unique}/{name}")) for name in "ab"))

    assert [[f"{whole}/a/db"], [f"{whole}/b/db"]] == [[one.name for one in found] for found in both]


async def test_what_is_found_does_not_show_its_value(backend, connect, unique, leaks):
    backend.put(f"{unique}/a", canary("contract-found"))
    client = await connect(backend.provider, backend.view())

    found = await client.find(Find(path=f"{unique}/"))

    assert 1 == len(found)
    assert [] == leaks.look("found", f"{found!r} {found}")
