"""Searches in Parameter Store: values that come along, lists where they do not, what each costs, what fails how."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import json

import pytest

from keyferry.errors import (
    AccessDenied,
    Malformed,
    ProviderError,
    RateLimited,
    SpecError,
    Unavailable,
)
from keyferry.ports import Find, Read, RemoteValue

PATH, LIST, ONE, MANY = "GetParametersByPath", "DescribeParameters", "GetParameter", "GetParameters"


@pytest.fixture
def search(parameters_of, unique):
    """What a search finds: name and value, names without what all have in common. Keywords beside the search's
    change the store; `reads` says whether values may come along."""

    async def of(*, store=None, secret="keys", **find):
        client = await parameters_of(secret, **(store or {}))
        found = []
        for one in await client.find(Find(**find)):
            answer = one.answer
            if isinstance(answer, Read):
                (answer,) = await client.read([answer])
            assert isinstance(answer, RemoteValue), answer
            found.append((one.name.removeprefix(f"/{unique}/"), answer.value.reveal().decode()))
        return found

    return of


def named(*names):
    return [(name, name) for name in names]


@pytest.fixture
def finder(administrator, let, unique):
    """A user who may list and read, and read no path as a whole; its ARN."""
    actions = ["GetParameter", "GetParameters"]
    return let(administrator.parameter_policy([f"/{unique}/*", f"{unique}*"], actions, find=True))


@pytest.fixture
def own_account(aws, cluster, unique):
    """An account in which nobody else has parameters; its user may read all of them."""
    administrator = aws.administrator(region="eu-central-1", account=f"{int(unique[1:], 16) % 10**12:012}")
    keys = administrator.create_user("reader", policy=administrator.parameter_policy(["*"]))
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)
    return administrator


# Paths


async def test_values_of_a_path_come_along_ten_a_call(
    search, parameter_reader, put_parameters, parameter_calls, unique
):
    names = [f"{number:02}" for number in reversed(range(25))]
    put_parameters(*names, kind="SecureString")

    assert named(*sorted(names)) == await search(path=f"/{unique}")
    assert [PATH] * 3 == parameter_calls()


async def test_path_is_a_folder(search, parameter_reader, put_parameters, unique):
    put_parameters("app/db", "app/x/y", "apple", "App/db")

    for path in (f"/{unique}/app", f"/{unique}/app/", f"{unique}/app"):
        assert named("app/db", "app/x/y") == await search(path=path)


async def test_path_is_asked_for_as_a_policy_for_all_below_it_grants_it(
    search, let, administrator, put_parameters, aws, unique
):
    """A policy on `…parameter/app/*` covers `app/` and not `app`."""
    put_parameters("app/db")
    let(administrator.parameter_policy([f"/{unique}/app/*"], [PATH]))

    assert named("app/db") == await search(path=f"/{unique}/app")
    assert [[f"/{unique}/app/"]] == [call.secret_ids for call in aws.control.calls(action=PATH)]


async def test_expression_narrows_the_path(search, parameter_reader, put_parameters, aws, unique):
    put_parameters("app/db", "app/mail", "web/db")

    assert named("app/db") == await search(name=f"^/{unique}/app/d.$")
    assert named("app/db") == await search(name=f"^/{unique}/app/db$")
    assert named("app/db", "web/db") == await search(name=f"^/{unique}/.*db$")
    paths = [call.secret_ids for call in aws.control.calls(action=PATH)]
    assert [[f"/{unique}/app/"], [f"/{unique}/app/"], [f"/{unique}/"]] == paths


async def test_expression_without_a_path_searches_everything(search, own_account, aws, unique):
    for name in ("a", "b/c"):
        own_account.put_parameter(f"/{unique}/{name}", name)
    own_account.put_parameter(f"{unique}-flat", "flat")
    own_account.put_parameter("another", "x")

    assert [*named("a", "b/c"), (f"{unique}-flat", "flat")] == await search(name=unique)
    assert {"/"} == {name for call in aws.control.calls(action=PATH) for name in call.secret_ids}


async def test_latest_version_is_found_and_told(parameters_of, parameter_reader, put_parameters, unique):
    put_parameters("a")
    put_parameters("a")
    client = await parameters_of()

    (found,) = await client.find(Find(path=f"/{unique}"))

    assert "2" == found.answer.version


async def test_path_that_is_not_there_holds_nothing(search, parameter_reader, unique):
    assert [] == await search(path=f"/{unique}/none")


@pytest.mark.parametrize("path", ["/a b", "/ä", "/a:1"])
async def test_path_that_can_be_none_is_refused(search, parameter_reader, parameter_calls, path):
    with pytest.raises(SpecError, match=r"find\.path"):
        await search(path=path)

    assert [] == parameter_calls()


async def test_empty_page_is_not_the_last(scripted, scripted_parameters):
    """AWS gives between none and ten, and more may follow."""
    pages = [
        {"Parameters": [], "NextToken": "1"},
        {"Parameters": [{"Name": "/a/b", "Value": "c", "Version": 1}], "NextToken": "2"},
        {"Parameters": []},
    ]
    scripted.answers = [(200, json.dumps(page).encode()) for page in pages]

    assert ["/a/b"] == [one.name for one in await scripted_parameters.find(Find(path="/a"))]
    assert [PATH] * 3 == scripted.asked


async def test_more_than_a_secret_could_ever_hold_is_not_gathered(scripted, scripted_parameters):
    big = {"Name": "/a/b", "Value": "x" * (1 << 20), "Version": 1}
    scripted.answers = [(200, json.dumps({"Parameters": [big], "NextToken": "more"}).encode())]
    # The same page for ever: names that come again count again.

    with pytest.raises(ProviderError, match="more than 16 MiB"):
        await scripted_parameters.find(Find(path="/a"))

    assert 16 == len(scripted.asked)


async def test_policy_may_name_the_path_without_its_slash(
    parameters_of, let, administrator, put_parameters, parameter_calls, unique
):
    """As the established operator asks for it, where a manifest has none."""
    put_parameters("app/db")
    let(administrator.parameter_policy([f"/{unique}/app"], [PATH]))
    client = await parameters_of()

    first = await client.find(Find(path=f"/{unique}/app"))
    second = await client.find(Find(path=f"/{unique}/app/"))

    assert [f"/{unique}/app/db"] == [one.name for one in first] == [one.name for one in second]
    assert [PATH] * 3 == parameter_calls()


# Paths that are denied


async def test_denied_path_is_listed_and_read_in_batches(
    parameters_of, finder, put_parameters, parameter_calls, aws, unique
):
    names = [f"{number:02}" for number in range(12)]
    put_parameters(*names)
    client = await parameters_of()

    found = await client.find(Find(path=f"/{unique}"))
    calls = parameter_calls()
    aws.control.reset_calls()
    again = await client.find(Find(path=f"/{unique}"))

    assert [f"/{unique}/{name}" for name in names] == [one.name for one in found]
    assert {Read(f"/{unique}/{name}") for name in names} == {one.answer for one in found}
    assert ([PATH, PATH, LIST], [LIST]) == (calls, parameter_calls())
    assert found == again


async def test_list_of_a_path_asks_for_nothing_beside_it(
    parameters_of, finder, put_parameters, parameter_calls, unique
):
    put_parameters(*(f"app/{number:02}" for number in range(51)), "web/db")
    client = await parameters_of()

    found = await client.find(Find(path=f"/{unique}/app"))

    assert 51 == len(found)
    assert [PATH, PATH, LIST, LIST] == parameter_calls()


async def test_who_may_neither_way_is_told_what_to_grant(parameters_of, let, administrator, unique):
    who = let(administrator.parameter_policy([f"/{unique}/*"], ["GetParameter"]))
    client = await parameters_of()

    with pytest.raises(AccessDenied) as failure:
        await client.find(Find(path=f"/{unique}/app"))

    assert (
        f'{who} is not allowed to ssm:GetParametersByPath on path "/{unique}/app/"' == failure.value.message
    )
    assert f'Grant ssm:GetParametersByPath on path "/{unique}/app/"' in failure.value.hint


async def test_path_that_has_been_granted_meanwhile_is_read(
    parameters_of, let, administrator, put_parameters, unique
):
    """Only what could be done in another way is not tried again for an hour."""
    who = let(administrator.parameter_policy([f"/{unique}/*"], ["GetParameter"]))
    put_parameters("app/db")
    client = await parameters_of()
    with pytest.raises(AccessDenied):
        await client.find(Find(path=f"/{unique}/app"))
    policy = administrator.parameter_policy([f"/{unique}/*"], [PATH])
    administrator.client("iam").put_user_policy(
        UserName=who.rpartition("/")[2], PolicyName="more", PolicyDocument=policy
    )

    assert [f"/{unique}/app/db"] == [one.name for one in await client.find(Find(path=f"/{unique}/app"))]


async def test_who_may_not_list_is_told_so_where_only_a_list_answers(parameters_of, parameter_reader):
    client = await parameters_of()

    with pytest.raises(AccessDenied) as failure:
        await client.find(Find(tags=(("a", "b"),)))

    assert 'Grant ssm:DescribeParameters on resource "*"' in failure.value.hint


async def test_key_that_may_not_decrypt_does_not_matter_where_its_parameter_is_not_wanted(
    search, let, administrator, put_parameters, parameter_calls, unique
):
    put_parameters("open")
    put_parameters("locked", kind="SecureString", key_id=administrator.create_key())
    let(administrator.parameter_policy([f"/{unique}/*"], find=True))

    assert named("open") == await search(path=f"/{unique}", name="open$")
    assert [PATH, LIST, ONE] == parameter_calls()


# Tags


async def test_tags_are_matched_exactly_and_all_of_them(search, finder, put_parameters, unique):
    put_parameters("exact", tags={"env": "prod"})
    put_parameters("and-more", tags={"env": "prod", "team": "a"})
    put_parameters("longer", tags={"env": "production"})
    put_parameters("another-key", tags={"environment": "prod"})
    put_parameters("none")

    assert named("and-more", "exact") == await search(path=f"/{unique}", tags=(("env", "prod"),))
    assert named("and-more") == await search(path=f"/{unique}", tags=(("env", "prod"), ("team", "a")))
    assert [] == await search(path=f"/{unique}", tags=(("env", "prod"), ("team", "b")))


async def test_tags_alone_are_a_search(search, finder, put_parameters, parameter_calls, unique):
    put_parameters("a", tags={"owner": unique})
    put_parameters("b", tags={"owner": f"{unique}-b"})

    assert named("a") == await search(tags=(("owner", unique),))
    assert [LIST, ONE] == parameter_calls()


async def test_tags_name_and_path_must_all_fit(search, finder, put_parameters, unique):
    """The established operator ignores the tags where a name is given."""
    put_parameters("app/db", "app/mail", "web/db", tags={"env": "prod"})
    put_parameters("app/db-test", tags={"env": "test"})

    assert named("app/db") == await search(path=f"/{unique}/app", name="/db", tags=(("env", "prod"),))


@pytest.mark.parametrize("tag", [("a", ""), ("", "b"), ("x" * 129, "b")], ids=["value", "key", "long key"])
async def test_tag_that_aws_cannot_search_for_is_refused(search, parameter_reader, parameter_calls, tag):
    with pytest.raises(SpecError, match=r"find\.tags"):
        await search(tags=(tag,))

    assert [] == parameter_calls()


# The store's prefix


@pytest.mark.parametrize("user", ["parameter_reader", "finder"])
async def test_prefix_bounds_a_search_and_names_keep_it(request, search, put_parameters, unique, user):
    request.getfixturevalue(user)
    put_parameters("team-a/db", "team-a/mail", "team-b/db")
    store = {"prefix": f"/{unique}/team-a/"}

    assert named("team-a/db") == await search(store=store, name="db$")
    assert named("team-a/db", "team-a/mail") == await search(store=store, name=".*")


async def test_prefix_need_be_no_folder(search, parameter_reader, put_parameters, unique):
    put_parameters("dev-db", "dev-mail", "prod-db")

    assert named("dev-db") == await search(store={"prefix": f"/{unique}/dev-"}, name="db$")


async def test_prefix_bounds_a_search_by_tags(search, finder, put_parameters, unique):
    put_parameters("team-a/db", "team-b/db", tags={"env": "prod"})

    assert named("team-a/db") == await search(store={"prefix": f"/{unique}/team-a/"}, tags=(("env", "prod"),))


@pytest.mark.parametrize("path", ["/{}/team-a/app", "app", "/app/", "app/"])
async def test_path_lies_below_the_prefix_however_it_is_written(
    search, parameter_reader, put_parameters, unique, path
):
    put_parameters("team-a/app/db", "team-a/web/db", "team-b/app/db", "app/db")

    found = await search(store={"prefix": f"/{unique}/team-a/"}, path=path.format(unique))

    assert named("team-a/app/db") == found


@pytest.mark.parametrize("prefix", ["", "/", "{}", "/{}"], ids=["none", "root", "plain", "with a slash"])
async def test_key_of_what_is_found_is_the_one_that_a_data_entry_would_have(
    parameters_of, own_account, unique, prefix
):
    """Also of names in no folder, which may have a slash or not."""
    own_account.put_parameter(f"{unique}-db", "value")
    prefix = prefix.format(unique)
    client = await parameters_of(prefix=prefix)

    (found,) = await client.find(Find(name=f"{unique}-db"))
    (answer,) = await client.read([Read(found.remote_key)])

    assert f"{unique}-db" == found.name.removeprefix("/")
    assert f"{unique}-db" == (prefix + found.remote_key).removeprefix("/")
    assert b"value" == answer.value.reveal() == found.answer.value.reveal()


# Failures


FAILURES = [
    pytest.param({"code": "ThrottlingException"}, RateLimited, id="throttled"),
    pytest.param({"code": "InternalServerError"}, Unavailable, id="failing"),
    pytest.param({"code": "ParameterNotFound"}, Malformed, id="an answer to another question"),
]


@pytest.mark.parametrize(("fault", "expected"), FAILURES)
@pytest.mark.parametrize("action", [PATH, LIST])
async def test_failure_on_a_later_page_is_no_shorter_result(
    parameters_of, let, administrator, put_parameters, aws, unique, fault, expected, action
):
    who = let(
        administrator.parameter_policy([f"/{unique}/*"], [PATH] if action == PATH else [ONE], find=True)
    )
    put_parameters(*(f"{number:02}" for number in range(11 if action == PATH else 51)))
    client = await parameters_of()
    await client.find(Find(path=f"/{unique}"))
    calls = aws.control.count(action=action, principal=who)
    assert 2 == calls
    aws.control.fail(**fault, action=action, principal=who)

    with pytest.raises(expected):
        await client.find(Find(path=f"/{unique}"))


@pytest.mark.parametrize(
    "content", [b"{}", b'{"Parameters": [{"Name"', b'{"Parameters": [{"Name": "/a/b"}]}']
)
async def test_answer_that_cannot_be_read_is_never_an_empty_result(scripted, scripted_parameters, content):
    scripted.answers = [(200, content)]

    with pytest.raises(Malformed):
        await scripted_parameters.find(Find(path="/a"))
