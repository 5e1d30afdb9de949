"""`spec.provider.aws`: AWS Secrets Manager and Systems Manager Parameter Store."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import field

from keyferry.api.meta import SecretKeySelector, ServiceAccountSelector
from keyferry.api.model import Model, schema

AWSService = Literal["SecretsManager", "ParameterStore", "CertificateManager"]
SessionTagsPolicy = Literal["None", "Simple", "Custom"]


class AWSAuthSecretRef(Model, frozen=True, kw_only=True):
    """Access keys kept in Secrets."""

    access_key_id: SecretKeySelector | None = field(name="accessKeyIDSecretRef", default=None)
    """The access key's id."""
    secret_access_key: SecretKeySelector | None = field(name="secretAccessKeySecretRef", default=None)
    """The secret access key."""
    session_token: SecretKeySelector | None = field(name="sessionTokenSecretRef", default=None)
    """The session token; needed with temporary access keys."""


class AWSJWTAuth(Model, frozen=True, kw_only=True):
    """A ServiceAccount that stands for an IAM role (IRSA)."""

    service_account_ref: ServiceAccountSelector | None = None
    """The ServiceAccount; its annotation eks.amazonaws.com/role-arn names the role."""


class AWSAuth(Model, frozen=True, kw_only=True):
    """Who asks. Without any field, the identity that the SDK finds in the operator's surroundings."""

    secret_ref: AWSAuthSecretRef | None = None
    """Access keys kept in Secrets."""
    jwt: AWSJWTAuth | None = None
    """A ServiceAccount that stands for an IAM role (IRSA)."""


class AWSTag(Model, frozen=True, kw_only=True):
    """One session tag."""

    key: str
    """Name of the tag."""
    value: str
    """Its value."""


class AWSSecretsManager(Model, frozen=True, kw_only=True):
    """How secrets are deleted at AWS when a PushSecret asks for it."""

    force_delete_without_recovery: bool = False
    """Deletes at once. Excludes recoveryWindowInDays."""
    recovery_window_in_days: Annotated[int, schema(format="int64")] = 0
    """Days from 7 to 30 in which a deleted secret can be brought back; 30 if unset."""


class AWSProvider(Model, frozen=True, kw_only=True):
    """A store in AWS."""

    service: AWSService
    """The service that keeps the secrets. CertificateManager can only be written to."""
    region: str
    """The region, such as eu-central-1."""
    auth: AWSAuth = AWSAuth()
    """Who asks; the identity that the SDK finds in the operator's surroundings if unset."""
    role: str = ""
    """ARN of a role to assume before any call."""
    additional_roles: tuple[str, ...] = ()
    """ARNs of roles to assume one after the other, before role."""
    external_id: str = field(name="externalID", default="")
    """External id that the role's trust policy asks for."""
    session_tags: tuple[AWSTag, ...] = ()
    """Tags of the role's session."""
    transitive_tag_keys: tuple[str, ...] = ()
    """Keys of session tags that later roles of the chain inherit."""
    session_tags_policy: Annotated[SessionTagsPolicy, schema(default="None")] = "None"
    """Tags that are added by themselves: none (None); esoNamespace, esoStoreName and esoStoreKind (Simple);
    those and customSessionTags (Custom). The role must allow sts:TagSession."""
    custom_session_tags: dict[str, str] = field(default_factory=dict)
    """Further tags for sessionTagsPolicy Custom."""
    prefix: str = ""
    """Text put in front of every remote key."""
    secrets_manager: AWSSecretsManager | None = None
    """How Secrets Manager is used."""
