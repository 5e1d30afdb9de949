"""The migration page, walked with a real Helm over what a release of the reference operator leaves.

The commands are those of the page, run by a shell in a folder that looks like a checkout with the chart
beside it. Each walk has a control plane of its own and is walked once; each test looks at what one step did.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.docs.markdown import ROOT, blocks, spans

from keyferry.api import names
from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import (
    Object,
    cluster_external_secret,
    cluster_store,
    entry,
    external_secret,
    store,
)
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.reference import Reference
from keyferry.testing.referencerelease import RELEASE, VALIDATED, write_chart
from keyferry.testing.tenant import COLLECTED_S, Tenant, soon

pytestmark = pytest.mark.long

PAGE = ROOT / "docs/migration.md"
COMMANDS = {block.marks["walk"]: block.text for block in blocks(PAGE, "sh") if "walk" in block.marks}
VALUE = canary("docs-migration")
DATA = {"v": VALUE}
SECRETS, FANNED = ("right", "deleted", "held"), ("team-a", "team-b")
DEFINITIONS = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
ES = f"{DEFINITIONS}/externalsecrets.external-secrets.io"
HOLD = "example.com/hold"


@dataclass
class Walk:
    """One who follows the page.

    Args:
        cluster: where.
        folder: where the commands run.
        said: what they printed, by their names on the page.
    """

    cluster: LocalCluster
    folder: Path
    helm: Path
    said: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kube = KubeClient(self.cluster.server, self.cluster.ca_pem, self.cluster.token)
        self.tenant = Tenant(self.kube, "team-a")
        self.reference = Reference(self.tenant)
        for one in ("crds", "deploy"):
            shutil.copytree(ROOT / one, self.folder / one)  # kubectl follows no links to folders
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "kubectl").symlink_to(self.cluster.binaries / "kubectl")
        (programs / "helm").symlink_to(self.helm)

    def follow(self, name: str) -> str:
        """Run a block of the page; what it prints."""
        self.said[name] = self.run(COMMANDS[name])
        return self.said[name]

    def run(self, script: str) -> str:
        """Run commands as somebody would by hand: on after one that fails, and the last one must not."""
        environment = {
            "HOME": str(self.folder / "home"),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.cluster.kubeconfig),
        }
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def install(self, *, stored: str, **values: str) -> None:
        """Install the release, or upgrade it, as it was done long ago."""
        chart = write_chart(self.folder / RELEASE / RELEASE, stored=stored)
        flags = " ".join(f"--set {key}={value}" for key, value in values.items())
        self.run(f"helm -n {RELEASE} upgrade {RELEASE} {chart} --install --create-namespace {flags}")
        wait_served(self.kube)

    def leave_objects(self) -> None:
        """What the reference operator has in sync when its release is from before its webhooks."""
        reference = self.reference
        shared = {"matchLabels": {"shared": "yes"}}
        for name in FANNED:
            self.kube.post(
                "/api/v1/namespaces", {"metadata": {"name": name, "labels": shared["matchLabels"]}}
            )
        reference.store(store({"db": VALUE}))
        reference.store(store({"db": VALUE}, name="everybody", cluster=True))
        for name in SECRETS:
            finalizers = {"finalizers": [HOLD]} if name == "held" else {}
            reference.sync(external_secret(name, entry("v", "db"), metadata=finalizers), DATA)
        # Nobody writes this one, so that it stays stored as it was.
        self.tenant.create(
            store({"db": VALUE}, name="other", controller="other"),
            external_secret("untouched", entry("v", "db"), store="other"),
        )
        one = external_secret("x", entry("v", "db"), store=cluster_store("everybody"))
        tenants = [Tenant(self.kube, name) for name in FANNED]
        reference.spread(cluster_external_secret("fanned", one, namespaceSelectors=[shared]), DATA, *tenants)

    def operator(self, *flags: str) -> OperatorProcess:
        """Keyferry with the rights that it ships with."""
        kubeconfig = self.cluster.service_account_kubeconfig("keyferry", "keyferry")
        return OperatorProcess(kubeconfig, {}, ["--loglevel=debug", *flags])

    def secrets(self) -> dict[str, Object]:
        """The Secrets that the walk is about."""
        tenants = [Tenant(self.kube, name) for name in FANNED]
        found = {f"{one.namespace}/fanned": one.get("Secret", "fanned") for one in tenants}
        return found | {name: self.tenant.get("Secret", name) for name in SECRETS if name != "deleted"}

    def finalizers(self, path: str) -> list[str]:
        found: list[str] = self.kube.get(path)["metadata"].get("finalizers", [])
        return found

    def definitions(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.kube.list(DEFINITIONS)}


@pytest.fixture
def walk(helm: Path, tmp_path: Path) -> Iterator[Walk]:
    """On a control plane of the test's own."""
    with LocalCluster.start() as cluster:
        yield Walk(cluster, tmp_path, helm)


# -- the walk


@dataclass
class Seen:
    """What was seen on the way."""

    walk: Walk
    installed: set[str]
    stored: list[str]
    refused: str
    held: list[str]
    before: dict[str, Object]
    taken: dict[str, Object]
    finalizers: dict[str, list[str]]
    conditions: dict[str, tuple[str, str, str]]
    verdicts: dict[str, bool] = field(default_factory=dict)
    labels_after: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    after: dict[str, Object] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    returned: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def seen(helm: Path, tmp_path_factory: pytest.TempPathFactory, leaks: LeakDetector) -> Seen:
    """From an old release to Keyferry, with the old one uninstalled, the old version forgotten, and back."""
    with LocalCluster.start() as cluster:
        return follow_all(Walk(cluster, tmp_path_factory.mktemp("walk"), helm), leaks)


def follow_all(walk: Walk, leaks: LeakDetector) -> Seen:
    """Take every step, and note what is seen on the way."""
    kube, tenant = walk.kube, walk.tenant
    walk.install(stored=names.LEGACY_VERSION, **{"webhook.create": "false"})
    walk.leave_objects()
    walk.install(stored=names.VERSION, **{"webhook.create": "true"})
    walk.follow("inventory")

    walk.follow("keep")
    walk.follow("kept")
    installed = walk.definitions()
    stored = kube.get(ES)["status"]["storedVersions"]
    refused = walk.run("kubectl -n team-a label externalsecret right seen=yes || true")
    # A kind that a release may be told not to install.
    kube.delete(f"{DEFINITIONS}/uuids.{names.GENERATORS_GROUP}")
    walk.follow("stop")
    tenant.delete("ExternalSecret", "deleted")
    held = walk.finalizers(tenant.path("ExternalSecret", "deleted"))
    walk.follow("definitions")
    before = walk.secrets()
    with walk.operator() as operator:
        for name in ("right", "held", "fanned"):
            soon(lambda name=name: walk.finalizers(tenant.path("ExternalSecret", name)) in ([], [HOLD]))
        tenant.wait_gone("ExternalSecret", "deleted")
        for name in FANNED:
            soon(lambda name=name: walk.finalizers(path_of("v1", "namespaces", name=name)) == [])
        soon(lambda: walk.finalizers(tenant.path("ClusterExternalSecret", "fanned")) == [])
        tenant.wait_gone("Secret", "deleted")
        operator.look_again()
        walk.said["check"] = walk.run(COMMANDS["check"] + "true\n")  # grep -c that counts 0 says no
        seen = Seen(
            *(walk, installed, stored, refused, held, before, walk.secrets()),
            finalizers={
                name: walk.finalizers(tenant.path("ExternalSecret", name)) for name in ("right", "held")
            },
            conditions={name: tenant.told(name) for name in ("right", "held", "fanned")},
        )
        walk.follow("uninstall")
        seen.kept = walk.definitions()
        walk.follow("stored")
        walk.follow("rewrite")
        walk.follow("forget-version")
        operator.look_again()
        seen.after = walk.secrets()
    leaks.look("log of the operator of the walk", operator.log)
    assert "a bug in Keyferry" not in operator.log
    seen.verdicts = {name: walk.reference.verdict(name).rests for name in ("right", "held", "fanned")}
    _drop_old_version(kube)
    path = tenant.path("ExternalSecret")
    seen.read = eventually(lambda: sorted(one["metadata"]["name"] for one in kube.list(path)))
    walk.follow("adopt")
    seen.returned = {one["metadata"]["name"] for one in kube.list(WEBHOOKS)}
    seen.labels_after = kube.get(ES)["metadata"]["labels"]
    return seen


WEBHOOKS = path_of("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations")


def _drop_old_version(kube: KubeClient) -> None:
    """Take v1beta1 out of the definitions: from now on nothing that is stored in it can be read."""
    definition = kube.get(ES)
    versions = [one for one in definition["spec"]["versions"] if one["name"] == names.VERSION]
    kube.patch(ES, {"spec": {"versions": versions}})


def test_page_has_every_step_that_is_walked() -> None:
    walked = {
        *("inventory", "keep", "kept", "forget", "class", "beside", "move", "stop", "definitions", "check"),
        *("by-hand", "uninstall", "stored", "rewrite", "forget-version", "back", "adopt"),
    }

    assert set(COMMANDS) == walked
    assert all("walk" in block.marks for block in blocks(PAGE, "sh"))


def test_release_holds_the_policy_for_every_definition(seen: Seen) -> None:
    kinds, kept = seen.walk.said["kept"].split()

    assert kinds == kept
    assert int(kinds) > 20


def test_unanswered_webhooks_refuse_changes_until_they_are_deleted(seen: Seen) -> None:
    assert "validate.externalsecret.external-secrets.io" in seen.refused
    for name in VALIDATED:
        assert f'"{name}" deleted' in seen.walk.said["stop"]


def test_old_operator_is_stopped(seen: Seen) -> None:
    assert f"deployment.apps/{RELEASE} scaled" in seen.walk.said["stop"]


def test_definitions_are_replaced_and_missing_ones_made(seen: Seen) -> None:
    said = seen.walk.said["definitions"]

    assert "externalsecrets.external-secrets.io replaced" in said
    assert "uuids.generators.external-secrets.io created" in said
    assert seen.stored == ["v1beta1", "v1"]


def test_no_secret_is_written_from_the_first_step_to_the_last(seen: Seen) -> None:
    assert seen.taken == seen.before
    assert seen.after == seen.before


def test_objects_are_in_sync_and_without_the_old_finalizer(seen: Seen) -> None:
    assert seen.finalizers == {"right": [], "held": [HOLD]}
    assert set(seen.conditions.values()) == {("True", "SecretSynced", "secret synced")}
    assert seen.held == [names.FINALIZER_EXTERNAL_SECRET]
    assert seen.walk.said["check"].splitlines()[-1] == "0"


def test_uninstall_keeps_definitions_and_objects(seen: Seen) -> None:
    said = seen.walk.said["uninstall"]

    assert "These resources were kept due to the resource policy" in said
    assert f'release "{RELEASE}" uninstalled' in said
    assert seen.kept >= seen.installed


def test_old_version_is_forgotten_and_every_object_still_read(seen: Seen) -> None:
    """With the version gone from the definition, an object still stored in it could not be."""
    assert seen.walk.said["stored"] == '["v1beta1","v1"]'
    assert seen.read == ["fanned", "held", "right", "untouched"]


def test_old_operator_that_comes_back_has_nothing_to_write(seen: Seen) -> None:
    assert seen.verdicts == {"right": True, "held": True, "fanned": True}


def test_new_release_adopts_the_definitions(seen: Seen) -> None:
    assert seen.labels_after["app.kubernetes.io/managed-by"] == "Helm"
    assert seen.returned == set(VALIDATED)


# -- without the commands


def test_uninstall_without_the_first_step_loses_all(walk: Walk) -> None:
    """Also with the annotation on the definitions alone."""
    walk.install(stored=names.VERSION, **{"webhook.create": "false"})
    walk.leave_objects()
    walk.run("kubectl annotate crd --all helm.sh/resource-policy=keep")
    # No finalizer: the reference is at work while it is uninstalled, and takes it off.
    for name in (*SECRETS, "fanned"):
        walk.tenant.edit("ExternalSecret", name, {"metadata": {"finalizers": None}})
    walk.tenant.edit("ClusterExternalSecret", "fanned", {"metadata": {"finalizers": None}})
    Tenant(walk.kube, "team-b").edit("ExternalSecret", "fanned", {"metadata": {"finalizers": None}})
    # The garbage collector needs a while to know a kind; in a cluster of years it does.
    walk.tenant.delete("ExternalSecret", "deleted")
    walk.tenant.wait_gone("Secret", "deleted")
    walk.run(f"helm -n {RELEASE} uninstall {RELEASE}")

    assert eventually(lambda: walk.kube.find(ES) is None, timeout_s=COLLECTED_S)
    walk.tenant.wait_gone("Secret", "right")


def test_release_that_helm_has_forgotten_deletes_nothing(walk: Walk) -> None:
    walk.install(stored=names.VERSION, **{"webhook.create": "false"})
    before = walk.definitions()
    walk.follow("forget")
    said = walk.run(f"helm -n {RELEASE} uninstall {RELEASE} || true")

    assert "release: not found" in said
    assert walk.definitions() == before


def test_upgrade_brings_the_webhooks_back_before_the_uninstallation(walk: Walk) -> None:
    walk.install(stored=names.VERSION, **{"webhook.create": "true"})
    walk.follow("keep")
    walk.follow("stop")
    walk.follow("definitions")
    walk.follow("back")
    deployment = walk.kube.get(f"/apis/apps/v1/namespaces/{RELEASE}/deployments/{RELEASE}")

    assert {one["metadata"]["name"] for one in walk.kube.list(WEBHOOKS)} == set(VALIDATED)
    assert deployment["spec"]["replicas"] == 1


# -- side by side, on the shared cluster


@pytest.fixture
def shared(cluster: LocalCluster, installed: None, tmp_path: Path, helm: Path) -> Walk:
    return Walk(cluster, tmp_path, helm)


@pytest.mark.restless
@pytest.mark.usefixtures("nobody_else")
def test_store_is_moved_from_one_operator_to_the_other_by_the_commands_of_the_page(
    tenant: Tenant, shared: Walk, private_operator: Callable[..., OperatorProcess]
) -> None:
    flags = COMMANDS["beside"].split()[2:]
    reference = Reference(tenant)
    reference.store(store({"db": VALUE}, name="aws"))
    reference.sync(external_secret("db", entry("v", "db"), store="aws"), DATA)
    here = lambda name: shared.run(COMMANDS[name].replace("team-a", tenant.namespace))  # noqa: E731
    here("class")
    before = tenant.get("ExternalSecret", "db"), tenant.get("Secret", "db")
    operator = private_operator(*flags)
    tenant.wait_looks(operator, "db")
    left_alone = tenant.get("ExternalSecret", "db"), tenant.get("Secret", "db")
    here("move")
    soon(lambda: "finalizers" not in tenant.get("ExternalSecret", "db")["metadata"])

    assert left_alone == before
    assert tenant.get("Secret", "db") == before[1]
    assert reference.verdict("db").rests


def test_finalizer_is_taken_off_by_hand(tenant: Tenant, shared: Walk) -> None:
    """Nobody serves this class, so that the object hangs."""
    Reference(tenant).store(store({"db": VALUE}, controller="nobody"))
    Reference(tenant).sync(external_secret("db", entry("v", "db")), DATA)
    tenant.delete("ExternalSecret", "db")
    held = tenant.get("ExternalSecret", "db")["metadata"]["finalizers"]
    shared.run(COMMANDS["by-hand"].replace("team-a", tenant.namespace))

    assert held == [names.FINALIZER_EXTERNAL_SECRET]
    assert names.FINALIZER_EXTERNAL_SECRET in spans(PAGE)
    tenant.wait_gone("ExternalSecret", "db")
