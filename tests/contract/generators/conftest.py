"""What every generator is asked here: the same questions, put to each kind in a world of its own.

A `World` has what generators need: Secrets and ServiceAccounts in a cluster, AWS, GitHub, GitLab, Quay and the
server of a webhook as strict doubles on loopback, and a real Vault. `CASES` says which specs are tried; a further
kind adds its own there.
"""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.contract.generators.lender import lender  # noqa: F401 - a fixture

from keyferry.api.model import convert
from keyferry.core.addresses import AddressPolicy
from keyferry.generators.registry import build_generators as build_local
from keyferry.ports import AmbientIdentity, Generated, Generator, GeneratorView, ObjectKey
from keyferry.providers.registry import ProviderSettings, build_generators, build_providers
from keyferry.testing.aws import Administrator, StrictAws
from keyferry.testing.azure import Administrator as AzureAdministrator
from keyferry.testing.azure import Principal, StrictAzure
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.github import GithubDouble
from keyferry.testing.gitlab import GitlabDouble
from keyferry.testing.issuer import Issuer
from keyferry.testing.leaks import canary
from keyferry.testing.quay import Federation, QuayDouble
from keyferry.testing.vault import VaultServer
from keyferry.testing.webhook import WebhookDouble

REGION = "eu-central-1"
PKI = "pki-of-generators"
APP, INSTALLATION, ROBOT = "4711", "815", "org+puller"
SUBJECT = "system:serviceaccount:team-a:puller"


@dataclass
class AzureRegistry:
    """A registry, and the apps that may pull from it: by a secret, and for ServiceAccount `registry-user`."""

    azure: StrictAzure
    administrator: AzureAdministrator
    name: str
    host: str
    app: Principal
    account: Principal


@dataclass
class World:
    """All that generators speak to. Fixtures that a test does not ask for are made when a spec needs them."""

    cluster: Cluster
    github: GithubDouble
    gitlab: GitlabDouble
    quay: QuayDouble
    webhook: WebhookDouble
    issuer: Issuer
    azure: AzureRegistry
    vault: VaultServer
    administrator: Administrator
    generators: Mapping[str, Generator]
    app_pem: bytes
    user: str
    calls: Callable[[], int]
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def view(
        self, kind: str, spec: Mapping[str, Any], *, cluster_wide: bool = False, namespace: str = "team-a"
    ) -> GeneratorView:
        """A generator of a kind, or a ClusterGenerator of it."""
        own = ObjectKey("ClusterGenerator", "", "main") if cluster_wide else ObjectKey(kind, "team-a", "main")
        return GeneratorView(own, kind, namespace, convert(dict(spec), self.generators[kind].spec))

    async def generate(self, kind: str, spec: Mapping[str, Any], **options: Any) -> Generated:
        """What the kind makes of a spec, after its check."""
        view = self.view(kind, spec, **options)
        self.generators[kind].check(view)
        return await self.generators[kind].generate(view, self.cluster)

    async def values(self, kind: str, spec: Mapping[str, Any], **options: Any) -> dict[str, str]:
        """The same, in clear."""
        made = await self.generate(kind, spec, **options)
        return {key: value.reveal().decode() for key, value in made.data.items()}


def key_auth(name: str = "aws", **where: str) -> dict[str, Any]:
    return {
        "secretRef": {
            "accessKeyIDSecretRef": {"name": name, "key": "id", **where},
            "secretAccessKeySecretRef": {"name": name, "key": "secret", **where},
        }
    }


def acr_auth(name: str = "azure", **where: str) -> dict[str, Any]:
    return {
        "clientId": {"name": name, "key": "id", **where},
        "clientSecret": {"name": name, "key": "secret", **where},
    }


def specs(world: World) -> dict[str, tuple[str, dict[str, Any]]]:
    """By case: a kind, and a spec that can be generated from."""
    github = {
        "url": world.github.url,
        "appID": APP,
        "installID": INSTALLATION,
        "auth": {"privateKey": {"secretRef": {"name": "github", "key": "pem"}}},
    }
    gitlab = {
        "url": world.gitlab.url,
        "name": "pull",
        "scopes": ["read_registry"],
        "auth": {"token": {"secretRef": {"name": "gitlab", "key": "token"}}},
    }
    webhook = {
        "method": "POST",
        "url": f"{world.webhook.url}/tokens",
        "headers": {"Authorization": "Bearer {{ .auth.token }}"},
        "body": '{"scopes": ["{{ .auth.scope }}"]}',
        "result": {"jsonPath": "$.result"},
        "secrets": [{"name": "auth", "secretRef": {"name": "webhook"}}],
    }
    aws = {"region": REGION, "auth": key_auth()}
    acr = {"registry": world.azure.host, "tenantId": world.azure.administrator.tenant}
    vault = {
        "provider": {
            "server": world.vault.url,
            "caBundle": base64.b64encode(world.vault.ca_pem.encode()).decode(),
            "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}},
        },
        "path": f"{PKI}/issue/web",
        "method": "POST",
        "parameters": {"common_name": "web.example.com"},
    }
    return {
        "password": ("Password", {}),
        "password-of-several-keys": ("Password", {"secretKeys": ["one", "two"], "encoding": "hex"}),
        "uuid": ("UUID", {}),
        "ssh-rsa": ("SSHKey", {}),
        "ssh-ecdsa": ("SSHKey", {"keyType": "ecdsa", "keySize": 384}),
        "ssh-ed25519": ("SSHKey", {"keyType": "ed25519", "comment": "deploy"}),
        "fake": ("Fake", {"data": {"a": "1", "b": "2"}}),
        "fake-without-data": ("Fake", {}),
        "mfa": ("MFA", {"secret": {"name": "mfa", "key": "seed"}, "when": "2026-01-01T00:00:00Z"}),
        "ecr": ("ECRAuthorizationToken", aws),
        "ecr-public": ("ECRAuthorizationToken", aws | {"scope": "public"}),
        "sts": ("STSSessionToken", aws),
        "github": ("GithubAccessToken", github),
        "quay": (
            "QuayAccessToken",
            {"url": world.quay.url, "robotAccount": ROBOT, "serviceAccountRef": {"name": "puller"}},
        ),
        "gitlab-project": ("GitlabDeployToken", gitlab | {"projectID": "shop/web"}),
        "gitlab-group": ("GitlabDeployToken", gitlab | {"groupID": "9", "username": "puller"}),
        "webhook": ("Webhook", webhook),
        "acr": ("ACRAccessToken", acr | {"auth": {"servicePrincipal": {"secretRef": acr_auth()}}}),
        "acr-workload": (
            "ACRAccessToken",
            acr
            | {
                "scope": "repository:shop/web:pull,push",
                "auth": {"workloadIdentity": {"serviceAccountRef": {"name": "registry-user"}}},
            },
        ),
        "vault": ("VaultDynamicSecret", vault),
    }


CASES = (
    "password",
    "password-of-several-keys",
    "uuid",
    "ssh-rsa",
    "ssh-ecdsa",
    "ssh-ed25519",
    "fake",
    "fake-without-data",
    "mfa",
    "ecr",
    "ecr-public",
    "sts",
    "github",
    "quay",
    "gitlab-project",
    "gitlab-group",
    "webhook",
    "acr",
    "acr-workload",
    "vault",
)


@pytest.fixture(scope="session")
def running_aws() -> Iterator[StrictAws]:
    with StrictAws() as aws:
        yield aws


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own AWS set-up or proxies reaches a test."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws(running_aws: StrictAws, own_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictAws]:
    running_aws.control.clear_faults()
    running_aws.control.reset_calls()
    for name, value in running_aws.environment.items():
        monkeypatch.setenv(name, value)
    yield running_aws
    running_aws.control.clear_faults()


@pytest.fixture
def acr(
    *,
    own_settings: None,
    azure: StrictAzure,
    azure_environment: None,
    issuer: Issuer,
    cluster: Cluster,
    unique: str,
) -> AzureRegistry:
    """In the public cloud, reached by its own host names through the double's proxy."""
    administrator = azure.administrator()
    administrator.trust_cluster(issuer.url, issuer.ca_pem)
    app = administrator.create_app(with_secret=True)
    account = administrator.app_for_service_account(issuer.url, "team-a", "registry-user")
    host = administrator.create_registry(unique)
    for one in (app, account):
        administrator.grant_registry(unique, one, "pull")
    cluster.put_secret("team-a", "azure", id=app.client_id, secret=app.secret)
    cluster.put_service_account("team-a", "registry-user", client=account.client_id, tenant=account.tenant)
    azure.control.reset_calls()
    return AzureRegistry(azure, administrator, unique, host, app, account)


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def app_pem(rsa_key: rsa.RSAPrivateKey) -> bytes:
    """The App's private key as GitHub hands it out."""
    return rsa_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory, rsa_key: rsa.RSAPrivateKey) -> Iterator[Issuer]:
    made = Issuer(tmp_path_factory.mktemp("issuer"), rsa_key)
    yield made
    made.close()


@pytest.fixture
def cluster(app_pem: bytes, issuer: Issuer) -> Cluster:
    """With the Secrets and the ServiceAccount that the specs name."""
    made = Cluster()
    made.issue = issuer.token
    made.put_secret("team-a", "github", pem=app_pem)
    made.put_secret("team-a", "gitlab", token=f"{canary('gitlab-access')}\n")
    made.put_secret("team-a", "mfa", seed="GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ")
    made.put_service_account("team-a", "puller")
    made.put_secret("team-a", "webhook", token=canary("webhook-access"), scope="read")
    made.label_secret("team-a", "webhook", type="webhook")
    return made


@pytest.fixture
def github(rsa_key: rsa.RSAPrivateKey) -> Iterator[GithubDouble]:
    with GithubDouble() as double:
        pem = rsa_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        double.register(APP, pem)
        double.install(
            APP,
            INSTALLATION,
            repositories=["web", "api"],
            permissions={"contents": "write", "packages": "read"},
        )
        yield double


@pytest.fixture
def gitlab() -> Iterator[GitlabDouble]:
    with GitlabDouble() as double:
        roles = {
            double.create("projects", 7, "shop/web"): "maintainer",
            double.create("groups", 9, "shop"): "owner",
        }
        double.let_in(canary("gitlab-access"), **roles)
        yield double


@pytest.fixture
def quay(issuer: Issuer) -> Iterator[QuayDouble]:
    with QuayDouble() as double:
        double.trust_issuer(issuer.url, issuer.ca_pem)
        double.federate(ROBOT, Federation(issuer.url, SUBJECT))
        yield double


@pytest.fixture
def webhook() -> Iterator[WebhookDouble]:
    with WebhookDouble() as double:
        double.let_in(canary("webhook-access"))
        yield double


@pytest.fixture
async def make_generators() -> AsyncIterator[Callable[..., Mapping[str, Generator]]]:
    """All generators, as `cli.run` puts them together; they are closed with the test."""
    made: list[Any] = []

    def make(
        *, allowed: tuple[str, ...] = ("127.0.0.1",), ambient: AmbientIdentity = AmbientIdentity.ALL
    ) -> Mapping[str, Generator]:
        settings = ProviderSettings(ambient, AddressPolicy(allowed))
        providers = build_providers(settings)
        generators = {**build_local(), **build_generators(settings, providers)}
        made.extend((*generators.values(), *providers.values()))
        return generators

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def unique() -> str:
    return f"t{os.urandom(5).hex()}"


@pytest.fixture(scope="session")
def issuing_vault(vault: VaultServer) -> VaultServer:
    """The Vault with an engine that issues certificates."""
    vault.administrator.pki(PKI)
    vault.administrator.pki_role(PKI, "web")
    vault.administrator.policy(PKI, {f"{PKI}/issue/web": ["update"]})
    return vault


@pytest.fixture
def world(
    *,
    cluster: Cluster,
    github: GithubDouble,
    gitlab: GitlabDouble,
    quay: QuayDouble,
    webhook: WebhookDouble,
    issuer: Issuer,
    acr: AzureRegistry,
    issuing_vault: VaultServer,
    aws: StrictAws,
    make_generators: Callable[..., Mapping[str, Generator]],
    app_pem: bytes,
    unique: str,
) -> World:
    administrator = aws.administrator(region=REGION)
    allowed = ["ecr:GetAuthorizationToken", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]
    keys = administrator.create_user(unique, policy=policy(*allowed))
    cluster.put_secret("team-a", "aws", id=keys.access_key_id, secret=keys.secret_access_key)
    for namespace in ("team-a", "team-b"):
        token = issuing_vault.administrator.token(PKI)
        cluster.put_secret(namespace, "vault", token=token.value)
    aws.control.reset_calls()
    issuing_vault.audit.reset()
    return World(
        cluster,
        github,
        gitlab,
        quay,
        webhook,
        issuer,
        acr,
        issuing_vault,
        administrator,
        make_generators(),
        app_pem,
        unique,
        lambda: (
            len(aws.control.calls())
            + len(issuing_vault.audit.calls())
            + len(acr.azure.control.calls())
            + sum(len(one.calls) for one in (github, gitlab, quay, webhook))
        ),
    )


def policy(*actions: str) -> str:
    import json

    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, world: World) -> tuple[str, dict[str, Any]]:
    """A kind and a spec."""
    return specs(world)[request.param]


@pytest.fixture
def spec_of(world: World) -> Callable[..., dict[str, Any]]:
    """The spec of a case, changed; a change to None leaves a field out."""

    def of(name: str, **changes: Any) -> dict[str, Any]:
        changed = specs(world)[name][1] | changes
        return {key: value for key, value in changed.items() if value is not None}

    return of


@pytest.fixture(scope="session")
def toolbox() -> Any:
    """The functions of this file, for modules that cannot import a conftest."""

    class Toolbox:
        key_auth = staticmethod(key_auth)
        policy = staticmethod(policy)
        cases = CASES
        specs = staticmethod(specs)

    return Toolbox
