"""AWS Secrets Manager, as the strict double."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.contract.providers.backends.base import RETRY_AFTER_S, Trouble, make_view

from keyferry.ports import StoreView
from keyferry.providers.aws import AWSProvider
from keyferry.testing.aws import Administrator, Fault, StrictAws
from keyferry.testing.clusteraccess import Cluster

REGION = "eu-central-1"
FAULTS = {
    Trouble.THROTTLED: {
        "kind": "error",
        "code": "ThrottlingException",
        "headers": {"Retry-After": str(RETRY_AFTER_S)},
    },
    Trouble.FAILING: {"kind": "error", "code": "InternalServiceError"},
    Trouble.CUT: {"kind": "cut-body"},
    Trouble.HELD: {"kind": "hold"},
}


class AWSBackend:
    keeps_bytes = True
    finds = True
    denies = True
    names_pause = True
    largest = 65536
    service = "secretsmanager"

    def __init__(self, cluster: Cluster, aws: StrictAws, administrator: Administrator) -> None:
        self.provider = AWSProvider()
        self.cluster = cluster
        self.aws = aws
        self.administrator = administrator
        self.user = f"reader-{secrets.token_hex(4)}"
        keys = administrator.create_user(self.user, policy=self.grant())
        self.principal = f"arn:aws:iam::{administrator.account}:user/{self.user}"
        cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)

    def grant(self) -> str:
        """The policy of one who may read everything."""
        return self.administrator.read_policy(["*"], find=True)

    def put(self, key: str, value: str | bytes) -> str:
        return f"uuid/{self.administrator.put_secret(key, value)}"

    def view(self) -> StoreView:
        return make_view("aws", aws_block(auth=key_auth("keys")))

    def deny(self, key: str) -> None:
        arn = self.administrator.secret_arn(key)
        statement = f'{{"Effect": "Deny", "Action": "secretsmanager:GetSecretValue", "Resource": "{arn}"}}'
        self.administrator.client("iam").put_user_policy(
            UserName=self.user,
            PolicyName=f"deny-{secrets.token_hex(4)}",
            PolicyDocument=f'{{"Version": "2012-10-17", "Statement": [{statement}]}}',
        )

    def trouble(self, kind: Trouble) -> None:
        fault = Fault(service=self.service, principal=self.principal, **FAULTS[kind])
        self.aws.control.add_fault(fault)

    def wait_held(self) -> None:
        self.aws.control.wait_for_calls_in_flight(1, principal=self.principal)

    def relieve(self) -> None:
        self.aws.control.clear_faults()


def aws_block(**changes: Any) -> dict[str, Any]:
    return {"service": "SecretsManager", "region": REGION} | changes


def key_auth(name: str, *, session_token: bool = False, namespace: str | None = None) -> dict[str, Any]:
    """An auth block for the keys in a Secret made with `id`, `secret` and, if so, `token`."""
    where = {"name": name} | ({"namespace": namespace} if namespace else {})
    refs = {
        "accessKeyIDSecretRef": where | {"key": "id"},
        "secretAccessKeySecretRef": where | {"key": "secret"},
    }
    if session_token:
        refs["sessionTokenSecretRef"] = where | {"key": "token"}
    return {"secretRef": refs}


def make(request: pytest.FixtureRequest, cluster: Cluster) -> AWSBackend:
    return AWSBackend(cluster, request.getfixturevalue("aws"), request.getfixturevalue("administrator"))
