"""Servers that generators ask: GitHub, GitLab, Quay and AWS for one test, with generators that fit them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.api import names
from keyferry.api.generators.kinds import AVAILABLE
from keyferry.localcluster import LocalCluster
from keyferry.testing.aws import Administrator, StrictAws
from keyferry.testing.builders import (
    Object,
    entry,
    external_secret,
    generated,
    generator,
    secret,
    store,
)
from keyferry.testing.github import GithubDouble
from keyferry.testing.gitlab import GitlabDouble
from keyferry.testing.leaks import canary
from keyferry.testing.quay import Federation, QuayDouble
from keyferry.testing.tenant import Tenant, soon

APP, INSTALLATION, ROBOT = "4711", "815", "org+puller"
PROJECT, OTHER_PROJECT = "shop/web", "shop/api"
FOR_GENERATORS = {
    *((names.GENERATORS_GROUP, f"{kind.lower()}s", "get") for kind in (*AVAILABLE, "ClusterGenerator")),
    *(
        (names.GENERATORS_GROUP, "generatorstates", verb)
        for verb in ("get", "list", "watch", "create", "patch", "delete")
    ),
    (names.GENERATORS_GROUP, "generatorstates/status", "patch"),
}
"""What the role grants for generators alone: group, resource, verb (proven to be used in test_generator_state.py)."""
VALUE = canary("beside-the-generated")
REGION = "eu-central-1"
MAY = ["ecr:GetAuthorizationToken", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]


class Servers:
    """See the module's docstring. GitHub, GitLab and Quay are the test's own.

    Args:
        tenant: in whose namespace the auth Secrets are.
        cluster: whose tokens Quay trusts.
        key: of the GitHub App.
    """

    def __init__(self, tenant: Tenant, cluster: LocalCluster, key: rsa.RSAPrivateKey) -> None:
        self.tenant = tenant
        self._key = key
        self.github, self.gitlab, self.quay = GithubDouble(), GitlabDouble(), QuayDouble()
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.github.register(APP, public)
        self.github.install(APP, INSTALLATION, repositories=["web"], permissions={"contents": "read"})
        roles = {
            self.gitlab.create("projects", 7, PROJECT): "maintainer",
            self.gitlab.create("projects", 8, OTHER_PROJECT): "maintainer",
        }
        self.gitlab.let_in(canary("gitlab-access"), **roles)
        self.quay.trust_issuer(cluster.issuer, cluster.ca_pem)
        self._issuer = cluster.issuer
        self.federate(tenant.namespace)

    def federate(self, namespace: str) -> None:
        """Have the robot trust the ServiceAccount `puller` of a namespace."""
        subject = f"system:serviceaccount:{namespace}:puller"
        self.quay.federate(ROBOT, Federation(self._issuer, subject, audience="127.0.0.1"))

    def close(self) -> None:
        """End them."""
        for double in (self.github, self.gitlab, self.quay):
            double.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- objects

    def auth(self) -> list[Object]:
        """What generators authenticate with."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "puller"}}
        return [
            secret("github", {"pem": pem}),
            secret("gitlab", {"token": f"{canary('gitlab-access')}\n"}),
            account,
        ]

    def github_spec(self, **where: str) -> Object:
        """Spec of a GithubAccessToken. `where` says in which namespace its Secret is."""
        key = {"name": "github", "key": "pem", **where}
        auth = {"privateKey": {"secretRef": key}}
        return {"url": self.github.url, "appID": APP, "installID": INSTALLATION, "auth": auth}

    def gitlab_spec(self, project: str = PROJECT, **where: str) -> Object:
        """Spec of a GitlabDeployToken."""
        return {
            "url": self.gitlab.url,
            "projectID": project,
            "name": "pull",
            "scopes": ["read_registry"],
            "auth": {"token": {"secretRef": {"name": "gitlab", "key": "token", **where}}},
        }

    def quay_spec(self, **where: str) -> Object:
        """Spec of a QuayAccessToken."""
        account = {"name": "puller", **where}
        return {"url": self.quay.url, "robotAccount": ROBOT, "serviceAccountRef": account}

    # -- GitLab's deploy tokens

    def tokens(self) -> list[int]:
        """The deploy tokens that are good."""
        return sorted(self.gitlab.tokens)

    def held(self, name: str = "app") -> int:
        """The deploy token that a Secret holds; StopIteration where it is no good one."""
        value = self.tenant.values(name)["token"]
        return next(number for number, one in self.gitlab.tokens.items() if one.value == value)

    def made(self) -> int:
        """How many deploy tokens have been made."""
        return sum(call.method == "POST" and call.status == 201 for call in self.gitlab.calls)

    def wait_tokens(self, *numbers: int) -> None:
        """Wait until just these deploy tokens are good."""

        def are_so() -> bool:
            if self.tokens() != sorted(numbers):
                raise LookupError(f"good are {self.tokens()}, calls {self.gitlab.calls}")
            return True

        soon(are_so, 60)

    def states(self) -> list[Object]:
        """The GeneratorStates of the namespace, the oldest first."""
        found = self.tenant.kube.list(self.tenant.path("GeneratorState"))
        return sorted(found, key=lambda one: int(one["spec"]["state"].get("tokenID", 0)))

    def state_of(self, number: int) -> Object:
        """The state of a deploy token. LookupError where there is none."""
        found = [one for one in self.states() if one["spec"]["state"].get("tokenID") == number]
        if len(found) != 1:
            raise LookupError(f"{len(found)} states of deploy token {number}")
        return found[0]

    def wait_states(self, count: int) -> list[Object]:
        """Wait until there are so many states; they."""

        def are_there() -> list[Object]:
            found = self.states()
            if len(found) != count:
                raise LookupError(f"{len(found)} states")
            return found

        return soon(lambda: (are_there(),), 60)[0]


def ours(controller: str = "servers") -> Object:
    """The store that makes an ExternalSecret one of a class."""
    return store({"beside": VALUE}, controller=controller)


def wants(kind: str, *, name: str = "app", beside: bool = True, **spec: Any) -> Object:
    """An ExternalSecret with what generator `gen` of a kind makes, and maybe a value of the store."""
    spec = {"refreshInterval": "1h"} | spec
    besides = [entry("beside", "beside")] if beside else []
    return external_secret(name, *besides, generated(kind, "gen"), **spec)


def deploy_tokens(servers: Servers, *, controller: str = "servers", **spec: Any) -> Object:
    """A synced ExternalSecret `app` with a deploy token, and all that it needs; as the server has it."""
    tenant = servers.tenant
    tenant.create(
        ours(controller),
        *servers.auth(),
        generator("GitlabDeployToken", "gen", **servers.gitlab_spec()),
        wants("GitlabDeployToken", beside=False, **spec),
    )
    return tenant.wait_synced("app")


# -- one case for each generator


@dataclass
class Case:
    """A generator with its server.

    Args:
        kind: the generator's kind.
        spec: of a generator, with fields that say where its auth material is.
        objects: what it authenticates with.
        keys: what it makes.
        calls: how often its server was asked for values.
        is_right: whether these are values that the server gave last.
    """

    kind: str
    spec: Callable[..., Object]
    objects: list[Object]
    keys: set[str]
    calls: Callable[[], int]
    is_right: Callable[[Mapping[str, str]], bool]


def aws_spec(**where: str) -> Object:
    auth = {
        "accessKeyIDSecretRef": {"name": "aws-keys", "key": "id", **where},
        "secretAccessKeySecretRef": {"name": "aws-keys", "key": "secret", **where},
    }
    return {"region": REGION, "auth": {"secretRef": auth}}


CASES = ("ecr", "ecr-public", "sts", "github", "quay", "gitlab")


def case_of(name: str, servers: Servers, aws: StrictAws, administrator: Administrator) -> Case:
    """The case of a name in `CASES`."""
    if name == "github":
        github = servers.github
        return Case(
            "GithubAccessToken",
            servers.github_spec,
            servers.auth(),
            {"token"},
            lambda: len(github.calls),
            lambda values: values["token"] == github.tokens[-1].value,
        )
    if name == "gitlab":
        gitlab = servers.gitlab
        return Case(
            "GitlabDeployToken",
            servers.gitlab_spec,
            servers.auth(),
            {"username", "token"},
            servers.made,
            lambda values: _is_deploy_token(values, gitlab),
        )
    if name == "quay":
        return Case(
            "QuayAccessToken",
            servers.quay_spec,
            servers.auth(),
            {"registry", "auth", "expiry"},
            lambda: len(servers.quay.calls),
            lambda values: _is_robot(values, servers.quay),
        )
    return _aws_case(name, servers, aws, administrator)


def _aws_case(name: str, servers: Servers, aws: StrictAws, administrator: Administrator) -> Case:
    user = f"{servers.tenant.namespace}-{name}"
    allowed = {"Effect": "Allow", "Action": MAY, "Resource": "*"}
    keys = administrator.create_user(
        user, policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    )
    objects = [secret("aws-keys", {"id": keys.access_key_id, "secret": keys.secret_access_key})]
    principal = f"arn:aws:iam::*:user/{user}"
    if name == "sts":
        return Case(
            "STSSessionToken",
            aws_spec,
            objects,
            {"access_key_id", "secret_access_key", "session_token", "expiration"},
            lambda: aws.control.count(principal=principal, action="GetSessionToken"),
            lambda values: (
                aws.control.calls(principal=principal, action="GetSessionToken")[-1].granted_access_key_id
                == values["access_key_id"]
            ),
        )
    public = {"scope": "public"} if name == "ecr-public" else {}
    return Case(
        "ECRAuthorizationToken",
        lambda **where: aws_spec(**where) | public,
        objects,
        {"username", "password", "expires_at"} | (set() if public else {"proxy_endpoint"}),
        lambda: aws.control.count(principal=principal, action="GetAuthorizationToken"),
        lambda values: (
            values["username"] == "AWS"
            and len(values["password"]) > 100
            and bool(public)
            == (re.fullmatch(r"https://[0-9]+\.dkr\.ecr\..*", values.get("proxy_endpoint", "")) is None)
        ),
    )


def _is_deploy_token(values: Mapping[str, str], gitlab: GitlabDouble) -> bool:
    made = gitlab.tokens[max(gitlab.tokens)]
    return (values["username"], values["token"]) == (made.username, made.value)


def _is_robot(values: Mapping[str, str], quay: QuayDouble) -> bool:
    robot, _, token = base64.b64decode(values["auth"]).decode().partition(":")
    return robot == ROBOT and quay.is_own(token, ROBOT) and values["registry"] == quay.url.partition("://")[2]
