"""GeneratorState: what was made elsewhere is noted at once, and taken back when nobody needs it any more."""

from __future__ import annotations

import re
import secrets as random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cluster.servers import (
    FOR_GENERATORS,
    OTHER_PROJECT,
    PROJECT,
    VALUE,
    Servers,
    deploy_tokens,
    ours,
    wants,
)

from keyferry.api import names
from keyferry.api.generators.kinds import AVAILABLE
from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import (
    Object,
    entry,
    external_secret,
    generated,
    generator,
    owner_reference,
    renamed,
    secret,
)
from keyferry.testing.eventually import eventually
from keyferry.testing.gitlab import GitlabDouble
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, soon

pytestmark = pytest.mark.long

LOCAL, SHORT = "--allow-address=127.0.0.1", "--generator-gc-grace-period=2s"
KIND = "GitlabDeployToken"
Start = Callable[..., OperatorProcess]


def _deadline(state: Object) -> datetime:
    return datetime.fromisoformat(state["spec"]["garbageCollectionDeadline"])


def _former(servers: Servers, number: int) -> Object:
    """The state of a deploy token, as soon as it has a deadline."""

    def has_one() -> Object:
        state = servers.state_of(number)
        _deadline(state)
        return state

    return soon(has_one)


def _wait_cleanup_failed(servers: Servers, number: int, holding: str) -> str:
    """The name of the state of a deploy token, as soon as its condition and an event have these words."""

    def is_told() -> str:
        state = servers.state_of(number)
        (ready,) = state["status"]["conditions"]
        assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "CleanupFailed")
        if holding not in ready["message"]:
            raise LookupError(ready["message"])
        return str(state["metadata"]["name"])

    name = soon(is_told)
    servers.tenant.wait_event("GeneratorState", name, "CleanupFailed", holding=holding)
    return name


# While it is in use


def test_state_tells_what_was_made_for_whom_and_no_value(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, leaks: LeakDetector
) -> None:
    owner = deploy_tokens(servers)

    (state,) = servers.states()
    metadata = state["metadata"]
    resource, made = state["spec"]["resource"], state["spec"]["state"]
    assert re.fullmatch(r"[0-9a-f]{56}", metadata["labels"][names.LABEL_GENERATOR_OWNER])
    assert metadata["finalizers"] == [names.FINALIZER_GENERATOR_STATE]
    assert metadata["ownerReferences"] == [owner_reference(owner, controller=False)]
    assert metadata["annotations"] == {names.ANNOTATION_CONTROLLER_CLASS: "servers"}
    assert (resource["kind"], resource["metadata"]) == (KIND, {"name": "gen", "namespace": tenant.namespace})
    assert made == {"url": servers.gitlab.url, "projectID": PROJECT, "tokenID": servers.held()}
    assert "garbageCollectionDeadline" not in state["spec"]
    assert leaks.look("GeneratorState", state) == []


@pytest.mark.parametrize("reason", ["interval", "deleted"])
def test_former_token_stays_good_for_the_grace_period_and_is_revoked_then(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, reason: str
) -> None:
    deploy_tokens(servers, refreshInterval="3s" if reason == "interval" else "1h")
    first = servers.held()
    if reason == "deleted":
        tenant.delete("Secret", "app")
    former = _former(servers, first)
    assert first in servers.gitlab.tokens
    tenant.edit_spec("app", refreshInterval="1h")
    tenant.wait_synced("app")
    eventually(lambda: first not in servers.gitlab.tokens)

    assert datetime.now(UTC) >= _deadline(former)
    servers.wait_tokens(servers.held())
    (state,) = servers.wait_states(1)
    assert state["spec"]["state"]["tokenID"] == servers.held()


def test_entry_that_is_removed_has_its_token_revoked(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    tenant.create(ours(), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()), wants(KIND))
    tenant.wait_synced("app")
    tenant.edit_spec("app", dataFrom=None)

    tenant.wait_values("app", {"beside": VALUE})
    servers.wait_tokens()
    servers.wait_states(0)


def test_entries_of_one_generator_have_tokens_of_their_own(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    """Whatever their places: when the first goes, the second keeps its token."""
    first, second = [generated(KIND, "gen", renamed("^(.*)$", f"{one}-$1")) for one in "ab"]
    tenant.create(ours(), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()))
    tenant.create(external_secret("app", first, second))
    tenant.wait_synced("app")
    made = tenant.values("app")
    owners = {one["metadata"]["labels"][names.LABEL_GENERATOR_OWNER] for one in servers.wait_states(2)}
    assert len(owners) == 2
    assert servers.tokens() == [1, 2]
    tenant.edit_spec("app", dataFrom=[second, first])
    tenant.wait_synced("app")
    assert all("garbageCollectionDeadline" not in one["spec"] for one in servers.states())
    tenant.edit_spec("app", dataFrom=[second])

    tenant.wait_values("app", {key: value for key, value in made.items() if key.startswith("b-")})
    servers.wait_tokens(2)
    servers.wait_states(1)


def test_same_entry_twice_keeps_the_token_that_is_in_the_secret(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    twice = [generated(KIND, "gen"), generated(KIND, "gen")]
    tenant.create(ours(), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()))
    tenant.create(external_secret("app", *twice))
    tenant.wait_synced("app")
    tenant.label("ExternalSecret", "app", {"team": "a"})
    eventually(lambda: tenant.get("Secret", "app")["metadata"]["labels"].get("team") == "a")

    assert servers.tokens() == [1, 2]
    assert all("garbageCollectionDeadline" not in one["spec"] for one in servers.states())


def test_state_of_the_established_operator_stays_while_its_value_does(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    """It names entries in its own way: its state ends when everything was made anew."""
    deploy_tokens(servers)
    first = servers.held()
    theirs = {
        "labels": {names.LABEL_GENERATOR_OWNER: "theirs"},
        "annotations": {names.ANNOTATION_CONTROLLER_CLASS: None},
    }
    tenant.edit("GeneratorState", servers.state_of(first)["metadata"]["name"], {"metadata": theirs})
    tenant.label("ExternalSecret", "app", {"team": "a"})
    eventually(lambda: tenant.get("Secret", "app")["metadata"]["labels"].get("team") == "a")
    servers_operator.look_again()
    assert "garbageCollectionDeadline" not in servers.state_of(first)["spec"]
    tenant.delete("Secret", "app")
    soon(lambda: servers.held() != first)

    servers.wait_tokens(servers.held())
    servers.wait_states(1)


def test_state_is_left_to_the_operator_of_its_class(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, operator: OperatorProcess
) -> None:
    deploy_tokens(servers)
    (state,) = servers.states()
    tenant.delete("ExternalSecret", "app")
    servers.wait_tokens()
    servers.wait_states(0)
    operator.look_again()

    assert state["metadata"]["name"] not in operator.log


# Nothing is made that nobody will see


def test_target_that_is_anothers_has_no_token_made(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    other = tenant.create(external_secret("other", entry("v", "x"), store="not-there"))
    tenant.create(secret("app", {"x": "y"}, owners=[owner_reference(other)]))
    tenant.create(ours(), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()))
    tenant.create(wants(KIND, beside=False))

    tenant.wait_failed("app", holding="is owned by another ExternalSecret")
    assert [] == servers.gitlab.calls
    assert tenant.values("app") == {"x": "y"}


def test_target_that_is_not_there_to_merge_into_has_no_token_made_until_it_is(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    tenant.create(ours(), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()))
    tenant.create(wants(KIND, beside=False, target={"creationPolicy": "Merge"}))
    tenant.wait_told("app", "SecretMissing")
    assert [] == servers.gitlab.calls
    tenant.create(secret("app", {"x": "y"}))

    eventually(lambda: "token" in tenant.values("app"))
    assert servers.tokens() == [servers.held()]


def test_immutable_secret_keeps_its_token(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    deploy_tokens(servers, refreshInterval="1s", target={"immutable": True})
    tenant.wait_refreshes(servers_operator, "app", tenant.sync_calls(servers_operator, "app") + 2)
    tenant.edit_spec("app", refreshInterval="1h")
    tenant.wait_synced("app")

    assert 1 == servers.made()
    assert servers.tokens() == [servers.held()]
    assert "garbageCollectionDeadline" not in servers.states()[0]["spec"]


# What was made and not written


@pytest.mark.parametrize("status", [403, 422, 500])
def test_token_for_a_secret_that_cannot_be_written_is_taken_back_at_once(
    *, tenant: Tenant, servers: Servers, private_operator: Start, api_proxy, proxied_kubeconfig, status: int
) -> None:
    operator = private_operator(LOCAL, kubeconfig=proxied_kubeconfig)
    fault = api_proxy.answer(status, resource="secrets", verb="create", namespace=tenant.namespace)
    tenant.create(ours("private"), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()))
    tenant.create(wants(KIND, beside=False))
    tenant.wait_failed("app")
    eventually(lambda: servers.made() and not servers.gitlab.tokens)
    servers.wait_states(0)
    api_proxy.remove(fault)
    operator.look_again()
    tenant.wait_synced("app")

    assert servers.tokens() == [servers.held()]


def test_token_that_cannot_be_noted_is_taken_back_at_once(
    *, tenant: Tenant, servers: Servers, private_operator: Start, api_proxy, proxied_kubeconfig
) -> None:
    private_operator(LOCAL, kubeconfig=proxied_kubeconfig)
    fault = api_proxy.answer(403, resource="generatorstates", verb="create")
    tenant.create(ours("private"), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()))
    tenant.create(wants(KIND, beside=False))
    tenant.wait_failed("app", holding="what was made could not be noted in a GeneratorState")
    eventually(lambda: servers.made() and not servers.gitlab.tokens)
    assert tenant.find("Secret", "app") is None
    api_proxy.remove(fault)
    tenant.annotate("ExternalSecret", "app", {names.ANNOTATION_FORCE_SYNC: "1"})
    tenant.wait_synced("app")

    assert servers.tokens() == [servers.held()]
    servers.wait_states(1)


def test_operator_that_is_killed_before_the_secret_is_written_forgets_no_token(
    *, tenant: Tenant, servers: Servers, private_operator: Start, api_proxy: ApiProxy, proxied_kubeconfig
) -> None:
    killed = private_operator(LOCAL, SHORT, kubeconfig=proxied_kubeconfig)
    api_proxy.hold(resource="secrets", verb="create", namespace=tenant.namespace)
    tenant.create(ours("private"), *servers.auth(), generator(KIND, "gen", **servers.gitlab_spec()))
    tenant.create(wants(KIND, beside=False))
    api_proxy.wait_for_requests(1, resource="secrets", verb="create", namespace=tenant.namespace)
    assert tenant.find("Secret", "app") is None
    servers.wait_states(1)
    killed.kill()
    private_operator(LOCAL, SHORT)
    tenant.wait_synced("app")

    assert servers.held() == 2
    servers.wait_tokens(2)
    servers.wait_states(1)


def test_deadline_that_cannot_be_set_makes_no_further_token(
    *, tenant: Tenant, servers: Servers, private_operator: Start, api_proxy: ApiProxy, proxied_kubeconfig
) -> None:
    """The Secret is right: that the former token's end could not be noted is no failure of it."""
    private_operator(LOCAL, SHORT, kubeconfig=proxied_kubeconfig)
    deploy_tokens(servers, controller="private")
    fault = api_proxy.answer(500, resource="generatorstates", verb="patch")
    tenant.delete("Secret", "app")
    soon(lambda: servers.held() == 2)
    tenant.wait_synced("app")
    api_proxy.wait_for_requests(1, resource="generatorstates", verb="patch")
    api_proxy.remove(fault)

    assert 2 == servers.made()


def test_deadline_is_kept_over_a_restart(tenant: Tenant, servers: Servers, private_operator: Start) -> None:
    grace = "--generator-gc-grace-period=8s"
    operator = private_operator(LOCAL, grace)
    deploy_tokens(servers, controller="private")
    tenant.delete("Secret", "app")
    former = _former(servers, 1)
    operator.kill()
    private_operator(LOCAL, "--generator-gc-grace-period=1h")

    assert servers.state_of(1)["spec"] == former["spec"]
    servers.wait_tokens(2)
    assert datetime.now(UTC) >= _deadline(former)
    servers.wait_states(1)


# The end of the ExternalSecret


def test_deleted_external_secret_has_its_token_revoked(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    deploy_tokens(servers)
    tenant.delete("ExternalSecret", "app")

    servers.wait_tokens()
    servers.wait_states(0)


def test_token_is_revoked_when_its_external_secret_went_while_nobody_looked(
    tenant: Tenant, servers: Servers, private_operator: Start
) -> None:
    operator = private_operator(LOCAL)
    deploy_tokens(servers, controller="private")
    operator.stop()
    tenant.delete("ExternalSecret", "app")
    private_operator(LOCAL)

    servers.wait_tokens()
    servers.wait_states(0)


def test_token_stays_good_where_its_secret_was_orphaned(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    """The Secret outlives the ExternalSecret, and its users with it. Deleting the state revokes the token."""
    deploy_tokens(servers)
    # The garbage collector must know both before it can orphan them.
    eventually(lambda: tenant.get("Secret", "app")["metadata"].get("ownerReferences"))
    tenant.delete("ExternalSecret", "app", propagationPolicy="Orphan")
    tenant.wait_gone("ExternalSecret", "app")
    servers_operator.look_again()
    (state,) = servers.states()

    assert "ownerReferences" not in state["metadata"]
    assert servers.tokens() == [servers.held()]
    tenant.delete("GeneratorState", state["metadata"]["name"])
    servers.wait_tokens()


def test_generator_may_go_before_its_external_secret(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    deploy_tokens(servers)
    tenant.delete(KIND, "gen")
    tenant.delete("ExternalSecret", "app")

    servers.wait_tokens()
    servers.wait_states(0)


def test_token_is_revoked_as_soon_as_its_auth_secret_is_back(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess
) -> None:
    deploy_tokens(servers)
    tenant.delete("Secret", "gitlab")
    tenant.delete("ExternalSecret", "app")
    words = f'could not be taken back: Secret "{tenant.namespace}/gitlab" does not exist. Create it'
    _wait_cleanup_failed(servers, 1, words)
    tenant.create(secret("gitlab", {"token": canary("gitlab-access")}))

    servers.wait_tokens()
    servers.wait_states(0)


@pytest.mark.parametrize(
    ("fault", "words"), [(500, "status 500"), (401, "status 401"), (403, "status 403")], ids=str
)
def test_server_that_refuses_to_revoke_is_told_and_asked_again(
    *, tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, fault: int, words: str
) -> None:
    deploy_tokens(servers)
    servers.gitlab.fail(status=fault, times=1000, body=canary("words-of-the-server"))
    tenant.delete("ExternalSecret", "app")
    _wait_cleanup_failed(servers, 1, words)
    servers.gitlab.clear_faults()

    servers.wait_tokens()
    servers.wait_states(0)


def test_operator_for_one_namespace_gives_up_with_a_word(
    tenant: Tenant, servers: Servers, private_operator: Start
) -> None:
    """It is not told that its namespace ends, so that it must not try for ever."""
    operator = private_operator(LOCAL)
    deploy_tokens(servers, controller="private")
    (state,) = servers.states()
    servers.gitlab.fail(status=429, headers={"Retry-After": "1"}, times=1000)
    tenant.delete("ExternalSecret", "app")
    servers.wait_states(0)

    name = state["metadata"]["name"]
    tenant.wait_event("GeneratorState", name, "CleanupFailed", holding="could not be taken back: GitLab at")
    tenant.wait_event("GeneratorState", name, "CleanupFailed", holding="what was made stays where it is")
    assert "what was made stays where it is" in operator.log
    assert servers.tokens() == [1]


# The end of the namespace


@pytest.fixture
def ending(kube: KubeClient, cluster: LocalCluster, app_key, leaks: LeakDetector) -> Iterator[Servers]:
    """Servers for a namespace that the test deletes."""
    name = f"ending-{random.token_hex(4)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
    with Servers(Tenant(kube, name), cluster, app_key) as made:
        yield made


def _delete_namespace(servers: Servers) -> None:
    tenant = servers.tenant
    path = path_of("v1", "namespaces", name=tenant.namespace)
    tenant.kube.delete(path)
    eventually(lambda: tenant.kube.find(path) is None, timeout_s=120)


def test_deleted_namespace_has_its_tokens_revoked_and_ends(
    ending: Servers, servers_operator: OperatorProcess
) -> None:
    """Before its auth Secret goes: the namespace is told to end some seconds before anything in it is deleted."""
    deploy_tokens(ending)
    _delete_namespace(ending)

    assert ending.tokens() == []


@pytest.mark.parametrize("lost", ["auth-secret", "server"])
def test_namespace_ends_also_where_nothing_can_be_revoked(
    ending: Servers, servers_operator: OperatorProcess, lost: str
) -> None:
    deploy_tokens(ending)
    (state,) = ending.states()
    if lost == "server":
        ending.gitlab.fail("cut", times=1000)
    else:
        ending.tenant.delete("Secret", "gitlab")
    _delete_namespace(ending)

    assert ending.tokens() == [1]
    said = [line for line in servers_operator.log.splitlines() if state["metadata"]["name"] in line]
    assert any("what was made stays where it is" in line for line in said)


# ClusterGenerators


@pytest.fixture
def shared(tenant: Tenant, servers: Servers, kube: KubeClient) -> Iterator[str]:
    """A ClusterGenerator whose auth Secret the tenants cannot read."""
    name = f"gen-{random.token_hex(4)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
    platform = Tenant(kube, name)
    platform.create(*servers.auth())
    block = {"gitlabDeployTokenSpec": servers.gitlab_spec(namespace=name)}
    tenant.create(generator("ClusterGenerator", name, kind=KIND, generator=block))
    yield name
    if tenant.find("ClusterGenerator", name) is not None:
        tenant.delete("ClusterGenerator", name)
    kube.delete(path_of("v1", "namespaces", name=name))


def _from_shared(tenant: Tenant, shared: str) -> None:
    tenant.create(ours(), external_secret("app", generated("ClusterGenerator", shared)))
    tenant.wait_synced("app")


@pytest.mark.parametrize(
    "edit", [{}, {"scopes": ["read_repository"], "name": "other"}], ids=["as-it-was", "edited"]
)
def test_token_of_a_cluster_generator_is_revoked_with_its_present_spec(
    *, tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, shared: str, edit: Object
) -> None:
    _from_shared(tenant, shared)
    tenant.edit_spec(shared, "ClusterGenerator", generator={"gitlabDeployTokenSpec": edit})
    tenant.delete("ExternalSecret", "app")

    servers.wait_tokens()
    servers.wait_states(0)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            {"projectID": OTHER_PROJECT},
            f'the token was made in project "{PROJECT}", which the generator does not name',
        ),
        ({"url": "https://gitlab.example.com"}, "the token was made at another address"),
        (None, "does not exist"),
    ],
    ids=["other-project", "other-server", "gone"],
)
def test_token_that_a_cluster_generator_cannot_revoke_any_more_is_told(
    *, tenant, servers, servers_operator, shared, edit, words
) -> None:
    _from_shared(tenant, shared)
    if edit is None:
        tenant.delete("ClusterGenerator", shared)
    else:
        tenant.edit_spec(shared, "ClusterGenerator", generator={"gitlabDeployTokenSpec": edit})
    tenant.delete("ExternalSecret", "app")

    _wait_cleanup_failed(servers, 1, words)
    assert servers.tokens() == [1]


def _forged(resource: Object, made: Object, **metadata: object) -> Object:
    return {
        "apiVersion": names.GENERATORS_API_VERSION,
        "kind": "GeneratorState",
        "metadata": {
            "name": "forged",
            "finalizers": [names.FINALIZER_GENERATOR_STATE],
            "annotations": {names.ANNOTATION_CONTROLLER_CLASS: "servers"},
        }
        | metadata,
        "spec": {"resource": resource, "state": made, "garbageCollectionDeadline": "2026-01-01T00:00:00Z"},
    }


def _forge(servers: Servers, resource: Object, words: str, /, **made: object) -> None:
    """Write a state whose deadline has passed, and wait until it was refused with these words."""
    tenant = servers.tenant
    state = {"url": servers.gitlab.url, "projectID": PROJECT, "tokenID": 1} | made
    tenant.create(_forged(resource, state))
    tenant.wait_event("GeneratorState", "forged", "CleanupFailed", holding=words)
    tenant.edit("GeneratorState", "forged", {"metadata": {"finalizers": None}})


def test_forged_state_takes_a_cluster_generator_nowhere_else(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, shared: str
) -> None:
    """Its access token goes to the server that it names itself, and revokes in the project that it names."""
    _from_shared(tenant, shared)
    asked = len(servers.gitlab.calls)
    named = {"kind": KIND, "metadata": {"name": shared}}
    with GitlabDouble() as elsewhere:
        own = servers.gitlab_spec() | {"url": elsewhere.url}
        _forge(servers, named | {"spec": own}, "made at another address", url=elsewhere.url)
        assert [] == elsewhere.calls
    own = servers.gitlab_spec(OTHER_PROJECT)
    _forge(servers, named | {"spec": own}, "does not name", projectID=OTHER_PROJECT)
    _forge(servers, named | {"kind": "Password"}, "makes GitlabDeployToken now, and no Password")

    assert asked == len(servers.gitlab.calls)
    assert servers.tokens() == [1]


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({}, "no generator that can be asked"),
        ({"kind": KIND}, "no generator that can be asked"),
        ({"kind": KIND, "metadata": {"name": "../../../../v1/secrets"}}, "no generator that can be asked"),
        (
            {"kind": KIND, "metadata": {"name": "x", "namespace": "y"}, "spec": {"url": 1}},
            "has an invalid spec",
        ),
        ({"kind": "Secret", "metadata": {"name": "x", "namespace": "y"}}, "are not available yet"),
    ],
    ids=["empty", "no-name", "path", "invalid", "no-generator"],
)
def test_forged_state_is_refused(
    *, tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, resource: Object, words: str
) -> None:
    _forge(servers, resource, words)

    assert [] == servers.gitlab.calls


def test_forged_state_reaches_no_other_namespace(
    tenant: Tenant, servers: Servers, servers_operator: OperatorProcess, kube: KubeClient
) -> None:
    """Neither by the generator's namespace nor by that of its references."""
    victim = f"victim-{random.token_hex(4)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": victim}})
    Tenant(kube, victim).create(*servers.auth())
    resource = {"kind": KIND, "metadata": {"name": "gen", "namespace": victim}}
    _forge(
        servers,
        resource | {"spec": servers.gitlab_spec()},
        f'Secret "{tenant.namespace}/gitlab" does not exist',
    )
    _forge(
        servers,
        resource | {"spec": servers.gitlab_spec(namespace=victim)},
        "namespace should either be empty",
    )
    kube.delete(path_of("v1", "namespaces", name=victim))

    assert [] == servers.gitlab.calls


# Rights


def test_each_right_for_generators_is_used(
    *, tenant: Tenant, servers: Servers, private_operator: Start, api_proxy: ApiProxy, proxied_kubeconfig
) -> None:
    """Taking one away would break something (the other rights: test_trust_rbac.py)."""
    private_operator(LOCAL, SHORT, kubeconfig=proxied_kubeconfig)
    deploy_tokens(servers, controller="private")
    for kind in (*AVAILABLE, "ClusterGenerator"):
        tenant.create(external_secret(kind.lower(), generated(kind, "not-there")))
    tenant.delete("Secret", "app")
    servers.wait_tokens(2)
    servers.gitlab.fail(status=500)
    tenant.delete("ExternalSecret", "app")
    servers.wait_tokens()
    servers.wait_states(0)

    def are_used() -> bool:
        served = [one for one in api_proxy.requests() if one.request.path.startswith("/apis/")]
        asked = [one for one in served if one.status not in (401, 403)]
        used = {(one.request.path.split("/")[2], one.request.resource, one.request.verb) for one in asked}
        assert set() == FOR_GENERATORS - used
        return True

    eventually(are_used)


# Flags


def test_nothing_is_noted_nor_revoked_where_that_is_switched_off(
    tenant: Tenant, servers: Servers, private_operator: Start
) -> None:
    operator = private_operator(LOCAL, "--enable-generator-state=false")
    deploy_tokens(servers, controller="private")
    tenant.delete("ExternalSecret", "app")
    tenant.wait_gone("Secret", "app")
    operator.look_again()

    assert [] == servers.states()
    assert servers.tokens() == [1]


def test_operator_without_the_right_to_note_goes_on_with_everything_else(
    *, tenant: Tenant, private_operator: Start, api_proxy: ApiProxy, proxied_kubeconfig: Path
) -> None:
    """After an upgrade whose new role was not applied."""
    api_proxy.answer(403, resource="generatorstates")
    private_operator(LOCAL, kubeconfig=proxied_kubeconfig)
    tenant.create(ours("private"), generator("UUID", "gen"), wants("UUID"))

    tenant.wait_synced("app")
