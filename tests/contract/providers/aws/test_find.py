"""Searches in Secrets Manager: which calls they cost, what AWS's filters let pass wrongly, what fails how."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import asyncio
import json

import pytest

from keyferry.errors import AccessDenied, AuthFailed, Malformed, RateLimited, Unavailable, after
from keyferry.planner.cache import Freshness
from keyferry.planner.planner import Planner
from keyferry.ports import Find, Read
from keyferry.testing.aws import Fault


@pytest.fixture
def reader(administrator, cluster, unique):
    """As the folder's, and may list."""
    policy = administrator.read_policy([f"{unique}*"], find=True)
    keys = administrator.create_user(f"reader-{unique}", policy=policy)
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)
    return keys


@pytest.fixture
def put(administrator, aws, unique):
    """Make secrets `<unique>/<name>` with the tags given, each with its name as its value. Forgets the calls."""

    def make(*names, **tags):
        sm = administrator.client("secretsmanager")
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        for name in names:
            sm.create_secret(Name=f"{unique}/{name}", SecretString=name, Tags=listed)
        aws.control.reset_calls()

    return make


@pytest.fixture
def names_of(client_of, unique):
    """What a search finds, names without what all have in common; keywords that are no search's change the store."""

    async def search(*, store=None, **find):
        client = await client_of(**(store or {}))
        return [one.name.removeprefix(f"{unique}/") for one in await client.find(Find(**find))]

    return search


def actions(aws):
    return [call.action for call in aws.control.calls(service="secretsmanager")]


# Pages and filters


async def test_more_than_a_hundred_are_found_over_pages(names_of, put, aws, unique):
    names = [f"{number:03}" for number in reversed(range(105))]
    put(*names)

    assert sorted(names) == await names_of(path=f"{unique}/")
    assert ["ListSecrets"] * 2 == actions(aws)


async def test_beginning_of_an_anchored_expression_spares_pages(names_of, put, aws, unique):
    """AWS lists what begins with it, not all that is there."""
    put(*(f"{number:03}" for number in range(105)), "db/main")

    assert ["db/main"] == await names_of(name=f"^{unique}/db/.*")
    assert ["ListSecrets"] == actions(aws)


async def test_tags_are_matched_exactly_and_as_pairs(names_of, put, aws, unique):
    put("exact", env="prod")
    put("and-more", env="prod", team="a")
    put("longer", environment="production")
    put("longer-value", env="production")
    put("crossed", env="test", stage="prod")
    put("none")

    assert ["and-more", "exact"] == await names_of(path=unique, tags=(("env", "prod"),))
    assert ["and-more"] == await names_of(path=unique, tags=(("env", "prod"), ("team", "a")))
    assert [] == await names_of(path=unique, tags=(("env", "prod"), ("team", "b")))


async def test_tags_alone_are_a_search(names_of, put, aws, unique):
    put("a", owner=unique)
    put("b", owner=f"{unique}-b")

    assert ["a"] == await names_of(tags=(("owner", unique),))


async def test_tags_name_and_path_must_all_fit(names_of, put, unique):
    put("app/db", "app/mail", "web/db", env="prod")
    put("app/db-test", env="test")

    found = await names_of(path=f"{unique}/app", name="/db", tags=(("env", "prod"),))

    assert ["app/db"] == found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("env", "", id="empty"),
        pytest.param("env", "!prod", id="with AWS's sign for not"),
        pytest.param("env", "größe", id="not in AWS's alphabet"),
        pytest.param("!env", "prod", id="a key with AWS's sign for not"),
        pytest.param("env", "a b@c:d", id="with blanks and signs"),
        pytest.param("env", "x" * 256, id="as long as can be"),
    ],
)
async def test_tags_that_no_filter_can_hold_are_found_too(names_of, put, unique, key, value):
    put("a", **{key: value})
    put("b", **{key: "another"})

    assert ["a"] == await names_of(path=unique, tags=((key, value),))


async def test_more_tags_than_aws_takes_filters_are_all_matched(names_of, put, unique):
    tags = {f"tag{number}": "x" for number in range(8)}
    put("all", **tags)
    put("but-one", **(tags | {"tag7": "y"}))

    assert ["all"] == await names_of(path=unique, tags=tuple(tags.items()))


async def test_path_that_no_filter_can_hold_is_compared_here(names_of, put, unique):
    put("a")

    assert [] == await names_of(path=f"!{unique}")
    assert [] == await names_of(path=f"{unique}/ü")
    assert [] == await names_of(path="x" * 600)


async def test_secrets_marked_for_deletion_are_not_found(names_of, put, administrator, unique):
    put("kept", "marked", "gone")
    administrator.delete_secret(f"{unique}/marked", recovery_days=7)
    administrator.delete_secret(f"{unique}/gone")

    assert ["kept"] == await names_of(path=unique)


# The store's prefix


async def test_prefix_bounds_a_search_and_names_keep_it(names_of, put, unique):
    put("team-a/db", "team-a/mail", "team-b/db")
    store = {"prefix": f"{unique}/team-a/"}

    assert ["team-a/db"] == await names_of(store=store, name="db$")
    assert ["team-a/db", "team-a/mail"] == await names_of(store=store, name=".*")


async def test_prefix_bounds_a_search_by_tags(names_of, put, unique):
    put("team-a/db", "team-b/db", env="prod")

    assert ["team-a/db"] == await names_of(store={"prefix": f"{unique}/team-a/"}, tags=(("env", "prod"),))


@pytest.mark.parametrize("whole", [True, False], ids=["with the prefix", "without the prefix"])
async def test_path_lies_below_the_prefix_however_it_is_written(names_of, put, unique, whole):
    put("team-a/app/db", "team-a/web/db", "team-b/app/db", "app/db")
    prefix = f"{unique}/team-a/"

    found = await names_of(store={"prefix": prefix}, path=f"{prefix if whole else ''}app/")

    assert ["team-a/app/db"] == found


async def test_value_is_asked_for_without_the_prefix(client_of, put, unique):
    """The client puts it in front of every key; so the question is the one that a data entry would ask."""
    put("team-a/db")
    client = await client_of(prefix=f"{unique}/team-a/")

    (found,) = await client.find(Find(path="db"))
    (answer,) = await client.read([found.answer])

    assert (f"{unique}/team-a/db", Read("db")) == (found.name, found.answer)
    assert b"team-a/db" == answer.value.reveal()


# Failures


@pytest.fixture
def failure(client_of, unique):
    async def of(kind):
        client = await client_of()
        with pytest.raises(kind) as caught:
            await client.find(Find(path=unique))
        return caught.value

    return of


async def test_missing_right_is_named(failure, administrator, cluster, unique):
    keys = administrator.create_user(f"other-{unique}", allow=[f"{unique}*"])
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)

    error = await failure(AccessDenied)

    assert (
        f"arn:aws:iam::123456789012:user/other-{unique} is not allowed to secretsmanager:ListSecrets"
        == error.message
    )
    assert (
        'Grant secretsmanager:ListSecrets on resource "*" in its identity-based policy; that is what decided'
        == error.hint
    )


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        pytest.param({"code": "ThrottlingException"}, RateLimited, "asks for fewer calls", id="throttled"),
        pytest.param({"code": "InternalServiceError"}, Unavailable, "failed at its own side", id="aws-fails"),
        pytest.param({"code": "InvalidSignatureException"}, AuthFailed, "credentials", id="refused"),
        pytest.param({"code": "ResourceNotFoundException"}, Malformed, "cannot be read", id="not-found"),
        pytest.param({"kind": "cut-body"}, Malformed, "cannot be read", id="cut"),
        pytest.param({"kind": "malformed"}, Malformed, "cannot be read", id="malformed"),
        pytest.param({"kind": "cut-before"}, Unavailable, "cannot be reached", id="connection-lost"),
    ],
)
async def test_failures_are_those_of_any_call(failure, put, aws, fault, kind, words):
    put("a")
    aws.control.add_fault(Fault(action="ListSecrets", **fault))

    error = await failure(kind)

    assert kind is type(error)
    assert words in error.message
    assert ["ListSecrets"] == actions(aws)


async def test_aws_says_how_long_to_wait(failure, aws):
    aws.control.throttle(action="ListSecrets", retry_after_s=7)

    assert after(7) == (await failure(RateLimited)).retry


async def test_failure_of_a_later_page_fails_the_search(scripted, scripted_client):
    """Half a list would look like secrets that were deleted."""
    page = {"SecretList": [{"Name": "a", "ARN": "arn"}], "NextToken": "more"}
    failed = {"__type": "InternalServiceError", "message": "An error occurred on the server side."}
    scripted.answers = [(200, json.dumps(page).encode()), (500, json.dumps(failed).encode())]

    with pytest.raises(Unavailable):
        await scripted_client.find(Find(path="a"))
    assert ["ListSecrets"] * 2 == scripted.asked


async def test_empty_page_is_not_the_end(scripted, scripted_client):
    """AWS may answer so where a filter lets nothing of a page pass."""
    pages = [{"SecretList": [], "NextToken": "more"}, {"SecretList": [{"Name": "a", "ARN": "arn"}]}]
    scripted.answers = [(200, json.dumps(page).encode()) for page in pages]

    assert ["a"] == [one.name for one in await scripted_client.find(Find(path="a"))]


# Through the planner, as the operator searches


@pytest.fixture
async def search(provider, cluster, toolbox, reader):
    """Search an aws store through a planner: name and text of what is found, or the failure."""
    planner = Planner({"aws": provider}, cluster, lambda store: None)

    async def once(**find):
        view = toolbox.view("aws", toolbox.aws_block(auth=toolbox.key_auth("keys")))
        binding = await planner.bind(view, "team-a")
        now = asyncio.get_running_loop().time()
        values = await binding.session.find(Find(**find), Freshness(now, now), ())
        if not isinstance(values, tuple):
            return values
        return [(name, value.reveal().decode()) for name, value in values]

    yield once
    await planner.close()


async def test_two_who_search_alike_cost_one_list_and_one_batch(search, put, aws, unique):
    put("a", "b", "c")

    both = await asyncio.gather(search(path=unique), search(path=unique))

    assert [[(f"{unique}/{name}", name) for name in "abc"]] * 2 == both
    assert ["ListSecrets", "BatchGetSecretValue"] == actions(aws)


async def test_forty_five_secrets_cost_one_list_and_three_batches(search, put, aws, unique):
    put(*(f"{number:02}" for number in range(45)))

    assert 45 == len(await search(path=unique))
    assert ["ListSecrets", *["BatchGetSecretValue"] * 3] == actions(aws)


async def test_secret_that_may_not_be_read_fails_the_search_by_name(
    search, put, administrator, cluster, unique
):
    put("a", "b")
    policy = administrator.read_policy([f"{unique}/a"], find=True)
    keys = administrator.create_user(f"half-{unique}", policy=policy)
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)

    failure = await search(path=unique)

    assert AccessDenied is type(failure)
    assert f'not allowed to secretsmanager:GetSecretValue on remote secret "{unique}/b"' in failure.message


async def test_secret_without_a_value_is_left_out(search, put, administrator, unique):
    put("a")
    administrator.client("secretsmanager").create_secret(Name=f"{unique}/empty")

    assert [(f"{unique}/a", "a")] == await search(path=unique)
