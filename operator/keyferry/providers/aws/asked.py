"""What was asked of AWS, in the words of the service that was asked: for texts of failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """How people speak of a service.

    Args:
        name: the service.
        endpoint: its name in those of VPC endpoints.
        one: what it keeps.
        versions: what names a version there.
        current: the version that is read where none is named; empty where it has no name.
        has_policies: whether what it keeps may have a policy of its own.
    """

    name: str
    endpoint: str
    one: str = "secret"
    versions: str = "a stage, or uuid/ and a version id"
    current: str = "AWSCURRENT"
    has_policies: bool = True


_SERVICES: Final[Mapping[str, Words]] = {
    "secretsmanager": Words("Secrets Manager", "secretsmanager"),
    "ssm": Words("Parameter Store", "ssm", "parameter", "a number or a label", "", has_policies=False),
    "sts": Words("STS", "sts"),
    "ecr": Words("ECR", "ecr.api"),
    "ecr-public": Words("ECR Public", "ecr-public"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, for the text.

    Args:
        action: the IAM action, such as "secretsmanager:GetSecretValue".
        region: where.
        key: the remote key; empty for calls that name none.
        version: the version asked for, as the manifest has it.
        path: the path below which all was asked for.
    """

    action: str
    region: str
    key: str = ""
    version: str = ""
    path: str = ""

    @property
    def what(self) -> str:
        """The remote secret, all below the path, or the call."""
        if self.path:
            return f'what lies below path "{self.path}"'
        return f'remote secret "{self.key}"' if self.key else self.action

    @property
    def on(self) -> str:
        """What an action is denied on; empty where it names nothing."""
        return f'path "{self.path}"' if self.path else self.what if self.key else ""

    @property
    def resource(self) -> str:
        """What a policy has to name, to grant it."""
        return f"the {self.words.one}" if self.key else self.on or 'resource "*"'

    @property
    def words(self) -> Words:
        """How people speak of the service."""
        name = self.action.partition(":")[0]
        return _SERVICES.get(name, Words(name, name))

    @property
    def service(self) -> str:
        """The service, as people name it, and where."""
        return f"AWS {self.words.name} in {self.region}"
