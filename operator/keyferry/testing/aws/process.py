"""The AWS double's process, from its owner's side: start, address, end."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from keyferry.testing.aws.administrator import Administrator
from keyferry.testing.aws.client import AwsControl
from keyferry.testing.aws.wire import partition_of

DEFAULT_ACCOUNT: Final = "123456789012"
START_TIMEOUT_S: Final = 30.0


class Ready(msgspec.Struct):
    """What the process says when it serves: addresses, the control token, the administrator's keys."""

    endpoint: str
    control: str
    token: str
    access_key_id: str
    secret_access_key: str


class StrictAws:
    """An AWS on this machine: Secrets Manager, Parameter Store, STS, ECR's logins, IAM (moto's KMS, SQS) on one loopback port.

    Every request's signature, permissions, expiry and web identity is checked. The process ends with
    its owner, however that ends.

    Args:
        port: the endpoint's port; 0 for a free one.
        log: where the process's standard error goes; the owner's own if left out.
    """

    def __init__(self, *, port: int = 0, log: Path | None = None) -> None:
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: Ready | None = None

    def start(self) -> Self:
        """Start the process and wait until it serves.

        Raises:
            RuntimeError: it ended, or did not serve in time.
        """
        # -P: a file of the current folder must not stand in for a module.
        command = [sys.executable, "-P", "-m", "keyferry.testing.aws", "--owned", "--port", str(self._port)]
        log = self._log.open("ab") if self._log else None
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        finally:
            if log:
                log.close()
        line = _read_line(self._process, START_TIMEOUT_S)
        if not line:
            self.stop()
            raise RuntimeError("the AWS double did not start; its log tells why")
        self._ready = msgspec.json.decode(line, type=Ready)
        return self

    def stop(self) -> None:
        """End the process and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ready(self) -> Ready:
        """What the process said when it began to serve."""
        if self._ready is None:
            raise RuntimeError("the AWS double is not started")
        return self._ready

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            raise RuntimeError("the AWS double is not running")
        return self._process.pid

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


def _read_line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    if process.stdout is None:
        raise RuntimeError("the process has no standard output")
    deadline = time.monotonic() + timeout_s
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            return b""
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            return b""
        line += piece
    return line
