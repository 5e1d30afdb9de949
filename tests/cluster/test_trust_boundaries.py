"""The trust boundaries of the design, each as somebody would try to cross it, on a real control plane.

A row of the table is one attempt: a function that makes it and asserts that it fails where it must, with a
condition that says so, and that what is allowed next to it works.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyferry.errors import KubeInvalid
from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.aws import StrictAws
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import Object, cluster_store, entry, external_secret, store
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("trust-one"), canary("trust-two")
REFUSED = "InvalidProviderConfig"
StartOperator = Callable[..., OperatorProcess]


@dataclass
class World:
    """What an attempt may use."""

    app: AWSTenant
    kube: KubeClient
    aws: StrictAws
    cluster: LocalCluster
    operator: OperatorProcess
    start: StartOperator
    proxy: ApiProxy
    proxied_kubeconfig: Path
    shared: str
    leaks: LeakDetector

    @property
    def tenant(self) -> Tenant:
        return self.app.tenant

    def neighbour(self) -> Tenant:
        """Somebody in another namespace, whose ServiceAccount `app` has a role for `b/*`."""
        other = Tenant(self.kube, f"{self.app.namespace}-b")
        self.kube.post("/api/v1/namespaces", {"metadata": {"name": other.namespace}})
        policy = self.app.administrator.read_policy([self.app.key("b/*")])
        role = self.app.administrator.role_for_service_account(
            f"{self.app.namespace}-b", other.namespace, "app", policy=policy
        )
        other.create(self.app.account(role))
        return other

    def operator_keys(self) -> dict[str, str]:
        """An environment with keys of the operator's own, which may read all of the namespace's secrets."""
        keys = self.app.administrator.create_user(f"{self.app.namespace}-operator", allow=[self.app.key("*")])
        return {"AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key}


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    names = {"aws": "clean_aws", "start": "private_operator", "proxy": "api_proxy", "shared": "shared_store"}
    fields = [field.name for field in dataclasses.fields(World)]
    made = World(**{name: request.getfixturevalue(names.get(name, name)) for name in fields})
    yield made
    neighbour = f"/api/v1/namespaces/{made.app.namespace}-b"
    if made.kube.find(neighbour):
        made.kube.delete(neighbour)


# References


def references_are_refused_at_admission(world: World) -> None:
    foreign = {"jwt": {"serviceAccountRef": {"name": "app", "namespace": "kube-system"}}}

    with pytest.raises(KubeInvalid, match="match the namespace of the SecretStore"):
        world.tenant.create(world.app.store(auth=foreign))


# Who may use a store


def each_namespace_sees_what_its_own_role_may(world: World) -> None:
    other = world.neighbour()
    world.app.put("a/db", ONE)
    world.app.put("b/db", TWO)
    world.tenant.create(world.app.account(world.app.role(allow="a/*")))
    world.tenant.create(world.app.store(name=world.shared, cluster=True))
    for tenant in (world.tenant, other):
        for name in "ab":
            one = entry("v", world.app.key(f"{name}/db"))
            tenant.create(external_secret(name, one, store=cluster_store(world.shared)))

    world.tenant.wait_values("a", {"v": ONE})
    other.wait_values("b", {"v": TWO})
    world.tenant.wait_failed("b", "is not allowed to secretsmanager:GetSecretValue")
    other.wait_failed("a", "is not allowed to secretsmanager:GetSecretValue")
    world.tenant.wait_told(world.shared, "ValidationUnknown", "ClusterSecretStore")


def conditions_are_checked_before_an_answer_that_is_there_already(world: World) -> None:
    """One identity for both namespaces, so that only the store's conditions stand between them."""
    other = world.neighbour()
    world.app.put("db", ONE)
    keys = world.app.keys()
    store = world.app.store(
        name=world.shared, cluster=True, auth=world.app.key_auth(namespace=world.app.namespace)
    )
    store["spec"]["conditions"] = [{"namespaces": [world.app.namespace]}]
    world.tenant.create(keys, store)
    for name in ("db", "none"):
        one = entry("v", world.app.key(name))
        world.tenant.create(external_secret(name, one, store=cluster_store(world.shared)))
    world.tenant.wait_values("db", {"v": ONE})
    world.tenant.wait_failed("none", "does not exist")
    asked = len(world.app.reads())

    for name in ("db", "none"):
        one = entry("v", world.app.key(name))
        other.create(external_secret(name, one, store=cluster_store(world.shared)))

    for name in ("db", "none"):
        other.wait_failed(name, f'is not allowed from namespace "{other.namespace}"')
        assert "does not exist" not in other.told(name)[2]
    assert other.find("Secret", "db") is None
    assert [] == [call for call in world.app.reads()[asked:] if call.secret_ids == [world.app.key("db")]]


# The operator's own identity


def ambient_identity_is_for_all_by_default(world: World) -> None:
    world.app.put("db", ONE)
    world.start(environment=world.operator_keys())
    world.tenant.create(world.app.store(auth={}, controller="private"))
    world.tenant.create(external_secret("db", entry("v", world.app.key("db"))))

    world.tenant.wait_values("db", {"v": ONE})


def ambient_identity_is_for_cluster_stores_alone(world: World) -> None:
    world.app.put("db", ONE)
    world.start("--ambient-identity=cluster", environment=world.operator_keys())
    world.tenant.create(
        world.app.store(auth={}, controller="private"),
        world.app.store(name=world.shared, cluster=True, auth={}, controller="private"),
        external_secret("own", entry("v", world.app.key("db"))),
        external_secret("shared", entry("v", world.app.key("db")), store=cluster_store(world.shared)),
    )

    world.tenant.wait_values("shared", {"v": ONE})
    world.tenant.wait_told("store", REFUSED, "SecretStore", "--ambient-identity=cluster does not let it use")
    world.tenant.wait_failed("own", "--ambient-identity=cluster")
    assert world.tenant.find("Secret", "own") is None


def ambient_identity_is_for_nobody(world: World) -> None:
    world.app.put("db", ONE)
    world.start("--ambient-identity=none", environment=world.operator_keys())
    world.tenant.create(
        world.app.store(auth={}, controller="private"),
        world.app.store(name=world.shared, cluster=True, auth={}, controller="private"),
    )

    for name, kind in (("store", "SecretStore"), (world.shared, "ClusterSecretStore")):
        world.tenant.wait_told(name, REFUSED, kind, "--ambient-identity=none does not let it use")
    assert [] == [call for call in world.app.calls() if call.principal.endswith("-operator")]


# Tokens


def api_servers_audience_is_refused_and_no_token_is_asked_for(world: World) -> None:
    """By the store's reference, and by the annotation of a ServiceAccount that the tenant owns too."""
    world.start(kubeconfig=world.proxied_kubeconfig)
    role = world.app.role()
    annotated = world.app.account(role, "annotated")
    annotated["metadata"]["annotations"]["eks.amazonaws.com/audience"] = world.cluster.issuer
    by_reference = {"jwt": {"serviceAccountRef": {"name": "app", "audiences": [world.cluster.issuer]}}}
    well_known = {
        "jwt": {"serviceAccountRef": {"name": "app", "audiences": ["https://kubernetes.default.svc"]}}
    }
    by_annotation = {"jwt": {"serviceAccountRef": {"name": "annotated"}}}
    auths = {"by-reference": by_reference, "well-known": well_known, "by-annotation": by_annotation}
    world.tenant.create(world.app.account(role), annotated)

    for name, auth in auths.items():
        world.tenant.create(world.app.store(name=name, auth=auth, controller="private"))

    for name in auths:
        world.tenant.wait_told(name, REFUSED, "SecretStore", "is the API server's own")
    assert 0 == world.proxy.count(verb="create", resource="serviceaccounts/token")
    world.tenant.create(world.app.store(name="good", controller="private"))
    world.tenant.wait_told("good", "Valid", "SecretStore")
    assert 1 == world.proxy.count(verb="create", resource="serviceaccounts/token")


# Session tags


def nobodys_session_tags_pose_as_anothers(world: World) -> None:
    tags = [{"key": "esoNamespace", "value": "kube-system"}]
    world.tenant.create(
        world.app.account(world.app.role()),
        world.app.store(role="arn:aws:iam::123456789012:role/any", sessionTags=tags),
        external_secret("db", entry("v", world.app.key("db"))),
    )

    world.tenant.wait_told("store", REFUSED, "SecretStore", 'tag "esoNamespace" is set by Keyferry alone')
    assert [] == world.app.exchanges()


# Addresses


def platform_owner_may_allow_an_address(world: World) -> None:
    world.start("--allow-address=127.0.0.0/8", "--allow-address=localhost")
    for name, server in (("by-number", "http://127.0.0.1:8200"), ("by-name", "http://localhost:8200")):
        vault = {"vault": {"server": server, "auth": {"tokenSecretRef": {"name": "t", "key": "k"}}}}
        world.tenant.create(store(name=name, provider=vault, controller="private"))

    for name in ("by-number", "by-name"):
        # Past the address, to the Secret that is not there.
        world.tenant.wait_told(name, REFUSED, "SecretStore", '/t" does not exist')


# What stores say


def no_text_of_an_answer_is_repeated(world: World) -> None:
    words = canary("words-of-aws")
    world.app.put("db", ONE)
    world.app.move_in()
    fault = {"secret": world.app.key("db"), "message": f"{words}: denied, request 7f3a9b2c-51"}
    world.aws.control.fail("AccessDeniedException", **fault)
    world.tenant.create(external_secret("db", entry("v", world.app.key("db"))))

    world.tenant.wait_failed("db", "is not allowed to")

    found = world.tenant.get("ExternalSecret", "db")["status"]
    events = world.tenant.events("ExternalSecret", "db")
    assert [] == world.leaks.look("status", found) + world.leaks.look("events", events)
    assert "7f3a9b2c-51" not in f"{found}{events}{world.operator.log}"


# The process


def process_leaves_no_core_files(world: World) -> None:
    limits = Path(f"/proc/{world.operator.pid}/limits").read_text()

    assert re.search(r"^Max core file size\s+0\s+0\s", limits, re.MULTILINE)


def process_is_not_dumpable(world: World) -> None:
    """Files in /proc of such a process are root's; as root, who owns all, the flag itself is asked for."""
    if os.geteuid():
        assert 0 == Path(f"/proc/{world.operator.pid}/environ").stat().st_uid
    program = (
        "import ctypes; from keyferry.cli.hardening import harden; harden(); "
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "0" == done.stdout.strip()
    assert 1 == ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # nor does that hold for every process


def nothing_secret_is_in_arguments_or_environment(world: World) -> None:
    world.app.put("db", ONE)
    world.app.move_in()
    world.tenant.create(external_secret("db", entry("v", world.app.key("db"))))
    world.tenant.wait_values("db", {"v": ONE})
    shown = [Path(f"/proc/{world.operator.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]

    assert [] == [finding for text in shown for finding in world.leaks.look("process", text)]
    assert [] == [text for text in shown if re.search(rb"eyJ[\w-]+\.eyJ|AKIA|ASIA", text)]


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
ATTEMPTS = [
    pytest.param(references_are_refused_at_admission, id="a SecretStore reaches only its own namespace"),
    pytest.param(
        each_namespace_sees_what_its_own_role_may, id="nobody sees what their own credentials could not read"
    ),
    pytest.param(
        conditions_are_checked_before_an_answer_that_is_there_already,
        id="conditions are checked for each object before any cache hit, negative ones too",
    ),
    pytest.param(ambient_identity_is_for_all_by_default, id="ambient identity: all"),
    pytest.param(ambient_identity_is_for_cluster_stores_alone, id="ambient identity: cluster"),
    pytest.param(ambient_identity_is_for_nobody, id="ambient identity: none"),
    pytest.param(
        api_servers_audience_is_refused_and_no_token_is_asked_for,
        id="a tenant's audiences may not be the API server's",
    ),
    pytest.param(
        nobodys_session_tags_pose_as_anothers, id="session tags say for whom, and nobody else says it"
    ),
    pytest.param(platform_owner_may_allow_an_address, id="a flag with an allow-list lets addresses through"),
    pytest.param(no_text_of_an_answer_is_repeated, id="no text of a response in a condition"),
    pytest.param(process_leaves_no_core_files, id="no core dumps", marks=LINUX),
    pytest.param(process_is_not_dumpable, id="not dumpable", marks=LINUX),
    pytest.param(
        nothing_secret_is_in_arguments_or_environment,
        id="no secrets in arguments or environment",
        marks=LINUX,
    ),
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_boundary_holds(world: World, attempt: Callable[[World], None]) -> None:
    attempt(world)


# Addresses, field by field: all stores at once, because each costs no more than its validation


def vault(server: str) -> Object:
    return {"vault": {"server": server, "auth": {"tokenSecretRef": {"name": "t", "key": "k"}}}}


def azure(**fields: object) -> Object:
    return {"azurekv": {"vaultUrl": "https://kv.example.com"} | fields}


def custom_cloud(**endpoints: str) -> Object:
    cloud = {"activeDirectoryEndpoint": "https://login.example.com"} | endpoints
    return azure(environmentType="AzureStackCloud", useAzureSDK=True, customCloudConfig=cloud)


def google(token_endpoint: str) -> Object:
    federation = {
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "serviceAccountRef": {"name": "app"},
        "externalTokenEndpoint": token_endpoint,
    }
    return {"gcpsm": {"projectID": "p", "auth": {"workloadIdentityFederation": federation}}}


ADDRESSES = {
    "vault at loopback": (vault("http://127.0.0.1:8200"), "vault.server", "this machine"),
    "vault at a decimal address": (vault("http://2130706433:8200"), "vault.server", "this machine"),
    "vault at a hexadecimal address": (vault("http://0x7f000001:8200"), "vault.server", "this machine"),
    "vault at a mapped address": (vault("http://[::ffff:127.0.0.1]:8200"), "vault.server", "this machine"),
    "vault at localhost": (vault("https://localhost:8200"), "vault.server", "this machine"),
    "vault at a name under localhost": (vault("https://vault.localhost"), "vault.server", "this machine"),
    "vault at a link-local address": (vault("http://169.254.1.1"), "vault.server", "a link-local address"),
    "vault behind a login": (vault("http://a.example@127.0.0.1"), "vault.server", "this machine"),
    "webhook at the metadata service": (
        {"webhook": {"url": "http://169.254.169.254/latest/meta-data", "result": {"jsonPath": "$"}}},
        "webhook.url",
        "the cloud metadata service",
    ),
    "gitlab at Google's metadata service": (
        {
            "gitlab": {
                "url": "http://metadata.google.internal",
                "projectID": "1",
                "auth": {"SecretRef": {"accessToken": {"name": "t", "key": "k"}}},
            }
        },
        "gitlab.url",
        "a metadata service",
    ),
    "kubernetes at loopback": (
        {
            "kubernetes": {
                "server": {"url": "https://127.0.0.1:6443"},
                "auth": {"serviceAccount": {"name": "app"}},
            }
        },
        "kubernetes.server.url",
        "this machine",
    ),
    "azure vault at loopback": (azure(vaultUrl="https://127.0.0.1"), "azurekv.vaultUrl", "this machine"),
    "azure at its platform service": (
        azure(vaultUrl="http://168.63.129.16"),
        "azurekv.vaultUrl",
        "the Azure platform service",
    ),
    "azure with an authority of its own": (
        custom_cloud(activeDirectoryEndpoint="http://127.0.0.1:8080"),
        "azurekv.customCloudConfig.activeDirectoryEndpoint",
        "this machine",
    ),
    "azure with a key vault endpoint of its own": (
        custom_cloud(keyVaultEndpoint="https://[::1]"),
        "azurekv.customCloudConfig.keyVaultEndpoint",
        "this machine",
    ),
    "google with a token endpoint of its own": (
        google("http://169.254.170.23/v1/credentials"),
        "gcpsm.auth.workloadIdentityFederation.externalTokenEndpoint",
        "the AWS Pod Identity agent",
    ),
}


@pytest.fixture(scope="module")
def condemned(kube: KubeClient, operator: OperatorProcess, leaks: LeakDetector) -> dict[str, str]:
    """The messages of stores at addresses that no store may name."""
    tenant = Tenant(kube, "trust-addresses")
    kube.post("/api/v1/namespaces", {"metadata": {"name": tenant.namespace}})
    names = {title: title.lower().replace("'", "").replace(" ", "-") for title in ADDRESSES}
    for title, (provider, _, _) in ADDRESSES.items():
        tenant.create(store(name=names[title], provider=provider))
    messages = {}
    for title, name in names.items():
        tenant.wait_told(name, REFUSED, "SecretStore")
        messages[title] = tenant.told(name, "SecretStore")[2]
    kube.delete(f"/api/v1/namespaces/{tenant.namespace}")
    return messages


@pytest.mark.parametrize("title", list(ADDRESSES))
def test_address_is_refused_by_its_field(condemned: dict[str, str], title: str) -> None:
    _, field, what = ADDRESSES[title]
    message = condemned[title]

    assert message.startswith(f"unable to validate store: spec.provider.{field}: ")
    assert f"is {what}, which a store may not name" in message
    assert "--allow-address" in message
