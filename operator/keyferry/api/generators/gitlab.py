"""GitlabDeployToken: a deploy token of a project or group."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from keyferry.api.meta import GoDuration, SecretKeySelector, check_duration
from keyferry.api.model import CelRule, Model, SchemaRules, schema

GitlabDeployTokenScope = Literal[
    "read_repository",
    "read_registry",
    "write_registry",
    "read_package_registry",
    "write_package_registry",
    "read_virtual_registry",
    "write_virtual_registry",
]

_AT_LEAST_A_DAY = {
    "rule": "duration(self) >= duration('24h')",
    "message": "expiresAfter must be at least 24h",
}


class GitlabTokenRef(Model, frozen=True, kw_only=True):
    """A value kept in a Secret."""

    secret_ref: SecretKeySelector
    """The Secret."""


class GitlabDeployTokenAuth(Model, frozen=True, kw_only=True):
    """How to authenticate at GitLab."""

    token: GitlabTokenRef
    """Access token with the scope api, of at least a maintainer of the project or an owner of the group."""


class GitlabDeployTokenSpec(Model, frozen=True, kw_only=True):
    """A deploy token, under the keys username and token.

    It is revoked when the next one is made and when the ExternalSecret is deleted.
    """

    schema_rules = SchemaRules(
        cel=(
            CelRule(
                "has(self.projectID) != has(self.groupID)",
                "exactly one of projectID or groupID must be set",
            ),
            CelRule(
                "!(has(self.expiresAt) && has(self.expiresAfter))",
                "expiresAt and expiresAfter are mutually exclusive",
            ),
        )
    )

    url: str = ""
    """Address of GitLab; https://gitlab.com if unset."""
    project_id: Annotated[str, Meta(min_length=1)] | None = field(name="projectID", default=None)
    """Id or path of the project, such as group/project. Excludes groupID."""
    group_id: Annotated[str, Meta(min_length=1)] | None = field(name="groupID", default=None)
    """Id or path of the group, such as parent/group. Excludes projectID."""
    name: Annotated[str, Meta(min_length=1)]
    """Name of the deploy token."""
    username: str = ""
    """Its user name; GitLab makes one if unset."""
    scopes: Annotated[tuple[GitlabDeployTokenScope, ...], Meta(min_length=1)]
    """What the token may do."""
    expires_at: Annotated[str | None, schema(format="date-time")] = None
    """When the token expires. Excludes expiresAfter."""
    expires_after: Annotated[
        GoDuration, schema(maxLength=64, **{"x-kubernetes-validations": [_AT_LEAST_A_DAY]})
    ] = ""
    """How long each new token lasts, such as 720h, at least 24h: longer than the ExternalSecret's
    refreshInterval. Excludes expiresAt."""
    auth: GitlabDeployTokenAuth
    """How to authenticate at GitLab."""

    def __post_init__(self) -> None:
        """Check the duration."""
        check_duration("expiresAfter", self.expires_after)
