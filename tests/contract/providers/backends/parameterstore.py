"""AWS Systems Manager Parameter Store, as the strict double."""

from __future__ import annotations

import secrets

import pytest
from tests.contract.providers.backends.aws import AWSBackend, aws_block, key_auth
from tests.contract.providers.backends.base import make_view

from keyferry.ports import StoreView
from keyferry.testing.clusteraccess import Cluster


class ParameterStoreBackend(AWSBackend):
    """Keys have no slash in front here, and parameters in folders have one: it is the store's prefix."""

    keeps_bytes = False
    largest = 8192
    service = "ssm"
    root = "/"
    folders = True
    absent_version = "99"

    def grant(self) -> str:
        return self.administrator.parameter_policy(["*"], find=True)

    def put(self, key: str, value: str | bytes) -> str:
        assert isinstance(value, str)
        return self.administrator.put_parameter(f"/{key}", value, kind="SecureString")

    def view(self) -> StoreView:
        block = aws_block(service="ParameterStore", prefix="/", auth=key_auth("keys"))
        return make_view("aws", block)

    def deny(self, key: str) -> None:
        arn = self.administrator.parameter_arn(f"/{key}")
        statement = f'{{"Effect": "Deny", "Action": "ssm:GetParameter*", "Resource": "{arn}"}}'
        self.administrator.client("iam").put_user_policy(
            UserName=self.user,
            PolicyName=f"deny-{secrets.token_hex(4)}",
            PolicyDocument=f'{{"Version": "2012-10-17", "Statement": [{statement}]}}',
        )


def make(request: pytest.FixtureRequest, cluster: Cluster) -> ParameterStoreBackend:
    return ParameterStoreBackend(
        cluster, request.getfixturevalue("aws"), request.getfixturevalue("administrator")
    )
