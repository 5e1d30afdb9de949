"""The AWS double's process, from its owner's side: address, environment, administrators."""

from __future__ import annotations

from typing import Final

import msgspec

from keyferry.testing.aws.administrator import Administrator
from keyferry.testing.aws.client import AwsControl
from keyferry.testing.aws.wire import partition_of
from keyferry.testing.owned.process import OwnedProcess

DEFAULT_ACCOUNT: Final = "123456789012"


class Ready(msgspec.Struct):
    """What the process says when it serves: addresses, the control token, the administrator's keys."""

    endpoint: str
    control: str
    token: str
    access_key_id: str
    secret_access_key: str


class StrictAws(OwnedProcess[Ready]):
    """An AWS on this machine: Secrets Manager, Parameter Store, STS, ECR's logins, IAM (moto's KMS, SQS) on one loopback port.

    Every request's signature, permissions, expiry and web identity is checked. The process ends with
    its owner, however that ends.

    Args:
        port: the endpoint's port; 0 for a free one.
        log: where the process's standard error goes; the owner's own if left out.
    """

    double = "AWS"
    module = "keyferry.testing.aws"
    says = Ready

    @property
    def endpoint(self) -> str:
        """The address of all its services."""
        return self.ready.endpoint

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that point an AWS SDK at it, without any credentials."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.endpoint,
            "AWS_ENDPOINT_URL_SSM": self.endpoint,
            "AWS_ENDPOINT_URL_STS": self.endpoint,
            "AWS_ENDPOINT_URL_ECR": self.endpoint,
            "AWS_ENDPOINT_URL_ECR_PUBLIC": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def control(self) -> AwsControl:
        """Faults, outages, expiry, the call log."""
        return AwsControl(self.ready.control, self.ready.token)

    def administrator(self, *, region: str = "eu-central-1", account: str = DEFAULT_ACCOUNT) -> Administrator:
        """One who may do everything in an account (and the region's partition): secrets, users, roles, providers."""
        keys = self.control.administrator_keys(account, partition_of(region))
        return Administrator(
            endpoint=self.endpoint, keys=keys, region=region, account=account, control=self.control
        )
