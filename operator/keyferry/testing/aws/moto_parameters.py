"""moto's parameters and KMS keys, as `parameters` needs them: records, and nothing of moto beyond here.

Synchronous; lives in the thread that owns moto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import ServiceException
from moto.kms.models import kms_backends
from moto.secretsmanager.exceptions import SecretsManagerClientError
from moto.ssm.models import Parameter, ssm_backends

from keyferry.testing.aws.wire import AwsError, partition_of

AWS_OWN_KEY = "alias/aws/ssm"
"""The account's own key for Parameter Store, which everybody in it may use through that service."""


@dataclass(frozen=True, slots=True)
class ParameterVersion:
    """One version of a parameter."""

    number: int
    type: str
    value: str = field(repr=False)
    key_id: str
    labels: tuple[str, ...]
    modified: float


@dataclass(frozen=True, slots=True)
class ParameterRecord:
    """A parameter with all its versions, the oldest first."""

    name: str
    arn: str
    versions: tuple[ParameterVersion, ...]
    tags: Mapping[str, str]

    @property
    def latest(self) -> ParameterVersion:
        """What is read where no version is named."""
        return self.versions[-1]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A KMS key."""

    arn: str
    state: str
    policy: str


def arn_of(account: str, region: str, name: str) -> str:
    """The ARN of a parameter, whether it exists or not."""
    return f"arn:{partition_of(region)}:ssm:{region}:{account}:parameter/{name.removeprefix('/')}"


def find(account: str, region: str, name: str) -> ParameterRecord | None:
    """The parameter of that name; None without one."""
    stored = ssm_backends[account][region]._parameters  # noqa: SLF001 - moto has no other way
    try:
        versions = list(stored[name]) if name in stored else []
    except (ServiceException, SecretsManagerClientError):  # it stands for a secret that does not exist
        versions = []
    if not versions:
        return None
    # What stands for a secret has the secret's own name in moto.
    own = name if name.startswith("/aws/reference/") else versions[-1].name
    return _record(account, region, own, versions)


def all_of(account: str, region: str) -> Iterator[ParameterRecord]:
    """All parameters, in the order of their names."""
    backend = ssm_backends[account][region]
    stored = [versions for versions in backend._parameters.values() if versions]  # noqa: SLF001 - as above
    for versions in sorted(stored, key=lambda one: one[-1].name):
        yield _record(account, region, versions[-1].name, versions)


def described(account: str, region: str, filters: list[dict[str, Any]]) -> list[ParameterRecord]:
    """All parameters that moto's filters let pass, in the order of their names.

    Raises:
        AwsError: a filter is wrong.
    """
    backend = ssm_backends[account][region]
    try:
        names = {one.name for one in backend.describe_parameters([], filters)}
    except ServiceException as error:
        raise AwsError(error.code, error.message) from None
    return [one for one in all_of(account, region) if one.name in names]


def find_key(account: str, region: str, key_id: str) -> KeyRecord | None:
    """The KMS key of that id, ARN or alias; None without one."""
    backend = kms_backends[account][region]
    if "alias/" in key_id and backend.get_key_id_from_alias(backend.get_alias_name(key_id)) is None:
        return None
    key = backend.keys.get(backend.any_id_to_key_id(key_id))
    return None if key is None else KeyRecord(key.arn, key.key_state, key.policy)


def _record(account: str, region: str, name: str, versions: list[Parameter]) -> ParameterRecord:
    backend = ssm_backends[account][region]
    tags = backend._resource_tags["Parameter"].get(name, {})  # noqa: SLF001 - as above
    return ParameterRecord(name, arn_of(account, region, name), tuple(map(_version, versions)), dict(tags))


def _version(one: Parameter) -> ParameterVersion:
    return ParameterVersion(
        number=one.version,
        type=one.parameter_type,
        value=one.decrypt(one.value) or "",
        key_id=one.keyid or "",
        labels=tuple(one.labels),
        modified=one.last_modified_date.timestamp() if hasattr(one.last_modified_date, "timestamp") else 0.0,
    )
