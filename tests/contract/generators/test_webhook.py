"""What the Webhook generator has of its own: requests as those of the store, without a reference."""

from __future__ import annotations

import pytest

from keyferry.errors import (
    ForbiddenError,
    KeyferryError,
    Malformed,
    NotAvailableError,
    ProviderError,
    RateLimited,
    RenderError,
    SpecError,
    after,
)
from keyferry.testing.leaks import canary


@pytest.fixture
def failure_of(world, spec_of):
    async def of(*, cluster_wide=False, namespace="team-a", **changes):
        with pytest.raises(KeyferryError) as failure:
            await world.generate(
                "Webhook", spec_of("webhook", **changes), cluster_wide=cluster_wide, namespace=namespace
            )
        return failure.value

    return of


async def test_members_of_the_answer_become_keys(world, spec_of):
    made = await world.values("Webhook", spec_of("webhook"))

    assert {"token": world.webhook.given[0], "number": "1", "scopes": '["read"]'} == made


async def test_whole_answer_is_taken_without_a_path(world, spec_of):
    made = await world.values("Webhook", spec_of("webhook", result=None))

    assert ["result"] == list(made)


async def test_path_is_no_template_here(failure_of):
    """As with the established operator: a generator's path stands as it is."""
    failure = await failure_of(result={"jsonPath": "{{ .auth.path }}"})

    assert "spec.result.jsonPath is no JSONPath" in failure.message


async def test_there_is_no_reference(failure_of, world):
    failure = await failure_of(url=f"{world.webhook.url}/{{{{ .remoteRef.key }}}}")

    assert RenderError is type(failure)
    assert "spec.url, line 1: there is no remoteRef" in failure.message


async def test_secrets_are_those_of_the_external_secrets_namespace(world, spec_of):
    """Of a ClusterGenerator too: its selectors name no namespace."""
    world.cluster.put_secret("team-b", "webhook", token=canary("webhook-access"), scope="of-b")
    world.cluster.label_secret("team-b", "webhook", type="webhook")

    made = await world.values("Webhook", spec_of("webhook"), cluster_wide=True, namespace="team-b")

    assert '["of-b"]' == made["scopes"]


@pytest.mark.parametrize(
    ("cluster_wide", "path"), [(False, "spec"), (True, "spec.generator.webhookSpec")], ids=["own", "cluster"]
)
async def test_secret_without_the_label_is_refused(world, failure_of, cluster_wide, path):
    world.cluster.label_secret("team-a", "webhook")

    failure = await failure_of(cluster_wide=cluster_wide)

    assert ForbiddenError is type(failure)
    assert f'{path}.secrets[0].secretRef: Secret "team-a/webhook" has no label' in failure.message
    assert 0 == world.calls()


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        pytest.param({"url": "{{ if }}"}, SpecError, "spec.url, line 1", id="no-template"),
        pytest.param({"url": "http://169.254.169.254/"}, ForbiddenError, "spec.url", id="metadata"),
        pytest.param({"method": "a b"}, SpecError, "spec.method", id="method"),
        pytest.param(
            {"secrets": [{"name": "a", "secretRef": {}}]}, SpecError, "spec.secrets[0]", id="secret"
        ),
        pytest.param({"body": "{{ .auth.none }}"}, RenderError, "spec.body, line 1", id="no-key"),
        pytest.param({"url": "{{ .auth.token }}"}, RenderError, "spec.url", id="no-address"),
        pytest.param(
            {
                "auth": {
                    "ntlm": {
                        "usernameSecret": {"name": "a", "key": "b"},
                        "passwordSecret": {"name": "a", "key": "b"},
                    }
                }
            },
            NotAvailableError,
            "spec.auth.ntlm",
            id="ntlm",
        ),
    ],
)
async def test_request_that_cannot_be_sent_is_told_by_its_field(
    *, world, failure_of, leaks, changes, expected, words
):
    failure = await failure_of(**changes)

    assert isinstance(failure, expected)
    assert words in failure.message
    assert [] == leaks.look_at_error("failure", failure)
    assert 0 == world.calls()


async def test_server_that_knows_no_such_thing_leaves_the_secret_alone(world, failure_of):
    """Else deletionPolicy would take the Secret away because of a mistyped address."""
    failure = await failure_of(url=f"{world.webhook.url}/nothing")

    assert ProviderError is type(failure)
    assert "does not take the request (status 404)" in failure.message


@pytest.mark.parametrize("path", ["$.result.token", "$.result.scopes"])
async def test_answer_without_members_is_told(failure_of, leaks, path):
    failure = await failure_of(result={"jsonPath": path})

    assert Malformed is type(failure)
    assert [] == leaks.look_at_error("failure", failure)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500])
async def test_status_is_told_and_nothing_else_of_the_answer(world, failure_of, leaks, status):
    world.webhook.fail(status=status, times=2, body=canary("server-text"))

    failure = await failure_of()

    assert isinstance(failure, ProviderError)
    assert f"(status {status})" in failure.message
    assert "127.0.0.1" in failure.message
    assert [] == leaks.look_at_error("failure", failure)


async def test_pause_that_the_server_asks_for_is_kept(world, failure_of):
    world.webhook.throttle("120")

    failure = await failure_of()

    assert (RateLimited, after(120)) == (type(failure), failure.retry)
