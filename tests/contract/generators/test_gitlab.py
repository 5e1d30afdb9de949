"""Deploy tokens of GitLab: made, told of in the state, revoked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from keyferry.errors import AccessDenied, AuthFailed, ForbiddenError, ProviderError, SpecError, Unavailable
from keyferry.testing.gitlab import GitlabDouble
from keyferry.testing.leaks import canary

KIND = "GitlabDeployToken"


async def clean(world, spec, state):
    view = world.view(KIND, spec)
    world.generators[KIND].check(view)
    await world.generators[KIND].cleanup(view, state, world.cluster)


async def test_token_is_the_one_that_gitlab_gave(world, spec_of):
    values = await world.values(KIND, spec_of("gitlab-project"))

    (token,) = world.gitlab.tokens.values()
    assert {"username": f"gitlab+deploy-token-{token.id}", "token": token.value} == values
    assert ("projects/7", "pull", ("read_registry",), None) == (
        token.place,
        token.name,
        token.scopes,
        token.expires_at,
    )


async def test_user_name_may_be_chosen(world, spec_of):
    values = await world.values(KIND, spec_of("gitlab-group"))

    assert "puller" == values["username"]


async def test_state_tells_where_the_token_is_as_the_established_operator_writes_it(world, spec_of):
    made = await world.generate(KIND, spec_of("gitlab-project"))

    (number,) = world.gitlab.tokens
    expected = {"url": world.gitlab.url, "projectID": "shop/web", "tokenID": number}
    assert expected == json.loads(made.state)


async def test_token_ends_when_the_spec_says(world, spec_of):
    await world.values(KIND, spec_of("gitlab-project", expiresAt="2100-01-31T12:00:00+02:00"))

    (token,) = world.gitlab.tokens.values()
    assert datetime(2100, 1, 31, 10, tzinfo=UTC) == token.expires_at


async def test_each_token_gets_the_same_time(world, spec_of):
    await world.values(KIND, spec_of("gitlab-project", expiresAfter="48h"))

    (token,) = world.gitlab.tokens.values()
    left = token.expires_at - datetime.now(UTC)
    assert timedelta(hours=47) < left <= timedelta(hours=48)


@pytest.mark.parametrize("name", ["gitlab-project", "gitlab-group"])
async def test_cleanup_revokes_the_token_and_no_other(world, spec_of, name):
    spec = spec_of(name)
    made, other = [await world.generate(KIND, spec) for _ in range(2)]

    await clean(world, spec, made.state)

    assert [json.loads(other.state)["tokenID"]] == list(world.gitlab.tokens)


async def test_token_that_is_gone_already_is_fine(world, spec_of):
    spec = spec_of("gitlab-project")
    made = await world.generate(KIND, spec)

    await clean(world, spec, made.state)
    await clean(world, spec, made.state)

    assert {} == world.gitlab.tokens
    assert [201, 204, 404] == [call.status for call in world.gitlab.calls]


async def test_failed_cleanup_is_told_and_can_be_tried_again(world, spec_of):
    spec = spec_of("gitlab-project")
    made = await world.generate(KIND, spec)
    world.gitlab.fail(status=500)

    with pytest.raises(Unavailable):
        await clean(world, spec, made.state)
    assert 1 == len(world.gitlab.tokens)

    await clean(world, spec, made.state)
    assert {} == world.gitlab.tokens


async def test_access_token_is_not_sent_to_an_address_from_the_state(world, spec_of):
    """Whoever can write a GeneratorState must not get the token of a ClusterGenerator's owner."""
    spec = spec_of("gitlab-project")
    made = await world.generate(KIND, spec)
    with GitlabDouble() as elsewhere:
        state = json.loads(made.state) | {"url": elsewhere.url}

        with pytest.raises(ForbiddenError, match="another address"):
            await clean(world, spec, json.dumps(state).encode())

        assert [] == elsewhere.calls


@pytest.mark.parametrize("elsewhere", [{"projectID": "shop/api"}, {"projectID": "", "groupID": "9"}])
async def test_token_of_a_place_that_the_generator_does_not_name_is_not_revoked(world, spec_of, elsewhere):
    """Nor must they have tokens revoked that the ClusterGenerator cannot have made."""
    spec = spec_of("gitlab-project")
    made = await world.generate(KIND, spec)

    with pytest.raises(ForbiddenError, match="does not name"):
        await clean(world, spec, json.dumps(json.loads(made.state) | elsewhere).encode())

    assert [201] == [call.status for call in world.gitlab.calls]


@pytest.mark.parametrize("state", [b"no json", b"[]", b'{"tokenID": "7"}'])
async def test_state_of_something_else_is_refused(world, spec_of, state):
    with pytest.raises(SpecError, match="state"):
        await clean(world, spec_of("gitlab-project"), state)


@pytest.mark.parametrize(
    ("roles", "scopes", "error"),
    [
        pytest.param({"projects/7": "developer"}, ("api",), AccessDenied, id="role-too-low"),
        pytest.param({}, ("api",), ProviderError, id="project-that-is-not-to-be-seen"),
        pytest.param({"projects/7": "owner"}, ("read_api",), AccessDenied, id="scope-too-small"),
    ],
)
async def test_access_token_that_may_not_is_told(*, world, spec_of, leaks, roles, scopes, error):
    world.gitlab.let_in(canary("gitlab-access"), scopes=scopes, **roles)

    with pytest.raises(error) as failure:
        await world.values(KIND, spec_of("gitlab-project"))

    assert error is type(failure.value)
    assert 'project "shop/web"' in failure.value.message
    assert failure.value.hint
    assert [] == leaks.look_at_error("failure", failure.value)


async def test_access_token_that_gitlab_does_not_know_is_told(world, spec_of, leaks):
    world.cluster.put_secret("team-a", "gitlab", token=canary("unknown"))

    with pytest.raises(AuthFailed) as failure:
        await world.values(KIND, spec_of("gitlab-project"))

    assert [] == leaks.look_at_error("failure", failure.value)


@pytest.mark.parametrize("token", [b"\xff\xfe", "line\nbreak", "pâté"], ids=["bytes", "two-lines", "accents"])
async def test_secret_that_holds_no_access_token_is_told(world, spec_of, token):
    world.cluster.put_secret("team-a", "gitlab", token=token)

    with pytest.raises(AuthFailed, match="is no access token"):
        await world.values(KIND, spec_of("gitlab-project"))

    assert [] == world.gitlab.calls


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"groupID": "9"}, "exactly one of projectID or groupID", id="project-and-group"),
        pytest.param({"projectID": None}, "exactly one of projectID or groupID", id="neither"),
        pytest.param({"expiresAt": "tomorrow"}, "spec.expiresAt", id="no-moment"),
        pytest.param({"expiresAfter": "23h"}, "spec.expiresAfter", id="too-short"),
        pytest.param(
            {"expiresAfter": "24h", "expiresAt": "2100-01-01T00:00:00Z"}, "mutually exclusive", id="two-ends"
        ),
    ],
)
async def test_spec_that_cannot_be_used_is_told_by_its_field(world, spec_of, changes, says):
    view = world.view(KIND, spec_of("gitlab-project", **changes))

    with pytest.raises(SpecError) as failure:
        world.generators[KIND].check(view)

    assert says in failure.value.message


async def test_path_of_a_project_cannot_lead_elsewhere(world, spec_of):
    with pytest.raises(ProviderError):
        await world.values(KIND, spec_of("gitlab-project", projectID="../../user"))

    assert ["/api/v4/projects/..%2F..%2Fuser/deploy_tokens"] == [call.path for call in world.gitlab.calls]
