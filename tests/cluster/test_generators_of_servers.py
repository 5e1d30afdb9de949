"""Generators that ask a server: what is in the Secret, how often they ask, and what they say when it fails."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Iterator

import pytest
from tests.cluster.servers import CASES, VALUE, Case, Servers, case_of, ours, wants

from keyferry.testing.aws import Administrator, StrictAws
from keyferry.testing.builders import external_secret, generated, generator, secret
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

pytestmark = pytest.mark.long

LOCAL = "--allow-address=127.0.0.1"


@pytest.fixture(params=CASES)
def case(
    request: pytest.FixtureRequest, servers: Servers, aws: StrictAws, administrator: Administrator
) -> Case:
    """Each generator with its server."""
    return case_of(request.param, servers, aws, administrator)


def _generated_events(tenant: Tenant) -> list[str]:
    return [message for _, reason, message in tenant.events("ExternalSecret", "app") if reason == "Generated"]


def _is_made(tenant: Tenant, case: Case) -> dict[str, str]:
    values = tenant.values("app")
    assert case.keys == set(values) - {"beside"}
    assert case.is_right(values)
    return values


def test_server_is_asked_once_and_never_for_what_is_no_reason(
    tenant: Tenant, servers_operator: OperatorProcess, case: Case
) -> None:
    """At creation; not for an edited label, drifted metadata or another key's drift."""
    tenant.create(
        ours(), *case.objects, generator(case.kind, "gen", **case.spec()), wants(case.kind, name="app")
    )
    tenant.wait_synced("app")
    made = _is_made(tenant, case)
    assert case.calls() == 1

    tenant.label("ExternalSecret", "app", {"team": "a"})
    eventually(lambda: tenant.get("Secret", "app")["metadata"]["labels"].get("team") == "a")
    tenant.label("Secret", "app", {"reconcile.external-secrets.io/managed": None})
    eventually(
        lambda: "reconcile.external-secrets.io/managed" in tenant.get("Secret", "app")["metadata"]["labels"]
    )
    tenant.edit("Secret", "app", {"data": {"beside": "eA=="}})
    tenant.wait_values("app", made)
    servers_operator.look_again()

    assert case.calls() == 1
    assert _generated_events(tenant) == []


@pytest.mark.parametrize("case", ["sts", "quay", "gitlab"], indirect=True)
def test_restart_asks_nothing(
    tenant: Tenant, private_operator: Callable[..., OperatorProcess], case: Case
) -> None:
    operator = private_operator(LOCAL)
    tenant.create(ours("private"), *case.objects, generator(case.kind, "gen", **case.spec()))
    tenant.create(wants(case.kind))
    tenant.wait_synced("app")
    made = _is_made(tenant, case)
    operator.kill()
    again = private_operator(LOCAL)
    again.look_again()

    assert tenant.values("app") == made
    assert case.calls() == 1


@pytest.mark.parametrize("case", ["ecr", "github", "quay"], indirect=True)
def test_interval_that_has_passed_asks_for_new_values(
    tenant: Tenant, servers_operator: OperatorProcess, case: Case
) -> None:
    tenant.create(ours(), *case.objects, generator(case.kind, "gen", **case.spec()))
    tenant.create(wants(case.kind, refreshInterval="2s"))
    tenant.wait_synced("app")
    first = tenant.values("app")
    eventually(lambda: tenant.values("app") != first)
    tenant.edit_spec("app", refreshInterval="1h")
    tenant.wait_synced("app")

    _is_made(tenant, case)
    assert case.calls() > 1
    assert _generated_events(tenant) == []


def test_changed_value_is_asked_for_anew_and_told(
    tenant: Tenant, servers_operator: OperatorProcess, case: Case
) -> None:
    tenant.create(ours(), *case.objects, generator(case.kind, "gen", **case.spec()), wants(case.kind))
    tenant.wait_synced("app")
    key = max(case.keys - {"username", "registry", "proxy_endpoint"})
    tenant.edit("Secret", "app", {"data": {key: "eA=="}})
    eventually(lambda: tenant.values("app")[key] != "x")

    _is_made(tenant, case)
    assert case.calls() == 2
    tenant.wait_event("ExternalSecret", "app", "Generated", holding="its data had been changed")


def test_role_that_is_refused_a_session_token_is_told(
    tenant: Tenant, servers_operator: OperatorProcess
) -> None:
    auth = {
        "accessKeyIDSecretRef": {"name": "aws-keys", "key": "id"},
        "secretAccessKeySecretRef": {"name": "aws-keys", "key": "secret"},
    }
    role = "arn:aws:iam::111122223333:role/none"
    spec = {"region": "eu-central-1", "auth": {"secretRef": auth}, "role": role}
    tenant.create(ours(), secret("aws-keys", {"id": "AKIDNOBODY", "secret": canary("aws-secret")}))
    tenant.create(generator("STSSessionToken", "gen", **spec), wants("STSSessionToken"))

    tenant.wait_failed("app", holding=f'STSSessionToken "{tenant.namespace}/gen"')


# Failures


FAULTS = {
    "401": {"kind": "status", "status": 401},
    "403": {"kind": "status", "status": 403},
    "429-with-retry-after": {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}},
    "500": {"kind": "status", "status": 500},
    "no-json": {"kind": "garbage"},
    "endless": {"kind": "huge"},
    "cut": {"kind": "cut"},
}
TOLD = {
    "401": ("refuses", "status 401"),
    "403": ("refuses", "status 403"),
    "429-with-retry-after": ("asks for fewer calls (status 429)", "raise refreshInterval"),
    "500": ("status 500", ""),
    "no-json": ("answer", ""),
    "endless": ("", ""),
    "cut": ("", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", ["github", "quay", "gitlab"], indirect=True)
def test_server_that_fails_is_told_and_the_secret_stays(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, case: Case, fault: str
) -> None:
    """The condition has entry, generator, server and cause; nothing of the server's own words."""
    tenant.create(ours(), *case.objects, generator(case.kind, "gen", **case.spec()))
    tenant.create(wants(case.kind, refreshInterval="1s"))
    tenant.wait_synced("app")
    doubles = {
        "GithubAccessToken": servers.github,
        "QuayAccessToken": servers.quay,
        "GitlabDeployToken": servers.gitlab,
    }
    double, kind = doubles[case.kind], dict(FAULTS[fault])
    double.fail(kind.pop("kind"), times=1000, body=canary("words-of-the-server"), **kind)
    tenant.wait_failed("app", holding=f'{case.kind} "{tenant.namespace}/gen"')
    kept = tenant.get("Secret", "app")
    message = tenant.told("app")[2]
    # Edited, so that it fails once more, and so that it comes to rest.
    tenant.edit_spec("app", refreshInterval="1h")

    for words in TOLD[fault]:
        assert words in message
    assert "spec.dataFrom[0].sourceRef.generatorRef" in message
    assert "127.0.0.1" in message
    assert tenant.get("Secret", "app")["data"] == kept["data"]
    double.clear_faults()
    tenant.wait_synced("app")


def test_server_that_is_down_is_told(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    servers.github.close()
    tenant.create(ours(), *servers.auth(), generator("GithubAccessToken", "gen", **servers.github_spec()))
    tenant.create(wants("GithubAccessToken"))

    tenant.wait_failed("app", holding="GitHub at 127.0.0.1 cannot be reached")
    assert tenant.find("Secret", "app") is None


WRONG = {
    "no-secret": (None, 'Secret "{ns}/{name}" does not exist'),
    "no-key": ({"other": canary("other")}, 'has no value under the key "{key}"'),
    "no-such-credential": ({"pem": canary("pem"), "token": canary("nobody")}, ""),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["GithubAccessToken", "GitlabDeployToken"])
def test_wrong_credential_is_told_with_the_secret_that_has_it(
    *, tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, kind: str, wrong: str
) -> None:
    data, words = WRONG[wrong]
    spec, name, key = {
        "GithubAccessToken": (servers.github_spec(), "github", "pem"),
        "GitlabDeployToken": (servers.gitlab_spec(), "gitlab", "token"),
    }[kind]
    if data is not None:
        tenant.create(secret(name, data))
    tenant.create(ours(), generator(kind, "gen", **spec), wants(kind))
    told = {
        "GithubAccessToken": f'key "pem" of Secret "{tenant.namespace}/github" is no RSA private key',
        "GitlabDeployToken": "The access token in the Secret may be revoked or expired",
    }[kind]

    expected = words.format(ns=tenant.namespace, name=name, key=key) or told
    tenant.wait_failed("app", holding=expected)
    assert tenant.find("Secret", "app") is None


def test_address_is_refused_where_the_operator_was_not_told_otherwise(
    tenant: Tenant, servers: Servers, private_operator: Callable[..., OperatorProcess]
) -> None:
    private_operator()
    tenant.create(ours("private"), *servers.auth())
    tenant.create(generator("GithubAccessToken", "gen", **servers.github_spec()), wants("GithubAccessToken"))

    tenant.wait_failed("app", holding="spec.url")
    assert [] == servers.github.calls


# ClusterGenerators


BLOCKS = {
    "ECRAuthorizationToken": "ecrAuthorizationTokenSpec",
    "STSSessionToken": "stsSessionTokenSpec",
    "GithubAccessToken": "githubAccessTokenSpec",
    "QuayAccessToken": "quayAccessTokenSpec",
    "GitlabDeployToken": "gitlabDeployTokenSpec",
}


@pytest.fixture
def elsewhere(kube: KubeClient) -> Iterator[Tenant]:
    """One in another namespace."""
    name = f"elsewhere-{random.token_hex(4)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield Tenant(kube, name)
    kube.delete(path_of("v1", "namespaces", name=name))


@pytest.fixture
def shared(tenant: Tenant) -> Iterator[str]:
    """The name of a ClusterGenerator, for the test to create."""
    name = f"gen-{random.token_hex(4)}"
    yield name
    if tenant.find("ClusterGenerator", name) is not None:
        tenant.delete("ClusterGenerator", name)


@pytest.mark.parametrize("where", ["its-own", "the-external-secrets"])
def test_cluster_generator_takes_its_credentials_from_where_it_says(
    *, tenant, elsewhere, servers, servers_operator, shared, case, where
) -> None:
    """A namespace that it names, or that of each ExternalSecret."""
    holder = elsewhere if where == "its-own" else tenant
    servers.federate(holder.namespace)
    holder.create(*case.objects)
    spec = case.spec(namespace=elsewhere.namespace) if where == "its-own" else case.spec()
    tenant.create(
        ours(),
        generator("ClusterGenerator", shared, kind=case.kind, generator={BLOCKS[case.kind]: spec}),
        external_secret("app", generated("ClusterGenerator", shared), refreshInterval="1h"),
    )
    tenant.wait_synced("app")

    _is_made(tenant, case)
    assert case.calls() == 1


def test_failure_of_a_cluster_generator_names_its_own_field(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, shared: str
) -> None:
    spec = servers.gitlab_spec(namespace="nowhere")
    tenant.create(
        ours(),
        generator(
            "ClusterGenerator",
            shared,
            kind="GitlabDeployToken",
            generator={BLOCKS["GitlabDeployToken"]: spec},
        ),
    )
    tenant.create(external_secret("app", generated("ClusterGenerator", shared)))

    tenant.wait_failed("app", holding=f'ClusterGenerator "{shared}"')
    assert 'Secret "nowhere/gitlab" does not exist' in tenant.told("app")[2]
    assert VALUE not in tenant.told("app")[2]
