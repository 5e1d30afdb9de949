"""`spec.provider.gcpsm`: Google Cloud Secret Manager."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from keyferry.api.meta import (
    NamespacedReference,
    ObjectName,
    SecretKey,
    SecretKeySelector,
    ServiceAccountSelector,
)
from keyferry.api.model import Model, schema


class GCPSMAuthSecretRef(Model, frozen=True, kw_only=True):
    """A service account key kept in a Secret."""

    secret_access_key: SecretKeySelector | None = field(name="secretAccessKeySecretRef", default=None)
    """The key file, as JSON."""


class GCPWorkloadIdentity(Model, frozen=True, kw_only=True):
    """A ServiceAccount that stands for a Google service account (GKE Workload Identity)."""

    service_account_ref: ServiceAccountSelector
    """The ServiceAccount."""
    cluster_location: str = ""
    """Location of the cluster; asked from the metadata server if unset."""
    cluster_name: str = ""
    """Name of the cluster; asked from the metadata server if unset."""
    cluster_project_id: str = field(name="clusterProjectID", default="")
    """Project of the cluster; asked from the metadata server if unset."""


class ConfigMapReference(NamespacedReference, frozen=True, kw_only=True):
    """One key of a ConfigMap."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: SecretKey
    """Key in the ConfigMap."""


class SecretReference(NamespacedReference, frozen=True, kw_only=True):
    """A whole Secret."""

    name: ObjectName
    """Name of the Secret."""


class AwsCredentialsConfig(Model, frozen=True, kw_only=True):
    """AWS credentials that Google trusts."""

    region: Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[a-z0-9-]+$")]
    """The AWS region, such as eu-central-1."""
    aws_credentials_secret_ref: SecretReference
    """Secret with the keys aws_access_key_id, aws_secret_access_key and, for temporary credentials,
    aws_session_token."""


class GCPWorkloadIdentityFederation(Model, frozen=True, kw_only=True):
    """An identity of another issuer that Google trusts."""

    cred_config: ConfigMapReference | None = None
    """External account configuration, as JSON in a ConfigMap."""
    service_account_ref: ServiceAccountSelector | None = None
    """ServiceAccount of a cluster whose issuer is trusted."""
    aws_security_credentials: AwsCredentialsConfig | None = None
    """AWS credentials that are trusted."""
    audience: str = ""
    """Audience of the workload identity pool's provider. Needed with serviceAccountRef and
    awsSecurityCredentials; wins over credConfig."""
    external_token_endpoint: str = ""
    """The token address that credConfig must name; any other is refused."""
    gcp_service_account_email: Annotated[
        str, Meta(min_length=1, pattern=r"^.*@.*\.iam\.gserviceaccount\.com$")
    ] = ""
    """Google service account to act as. Wins over credConfig and over the ServiceAccount's annotation."""


class GCPSMAuth(Model, frozen=True, kw_only=True):
    """Who asks. Without any field, the identity of the operator's surroundings."""

    secret_ref: GCPSMAuthSecretRef | None = None
    """A service account key kept in a Secret."""
    workload_identity: GCPWorkloadIdentity | None = None
    """A ServiceAccount that stands for a Google service account (GKE Workload Identity)."""
    workload_identity_federation: GCPWorkloadIdentityFederation | None = None
    """An identity of another issuer that Google trusts."""


class GCPSMProvider(Model, frozen=True, kw_only=True):
    """A store in Google Cloud Secret Manager."""

    auth: GCPSMAuth = GCPSMAuth()
    """Who asks; the identity of the operator's surroundings if unset."""
    project_id: str = field(name="projectID", default="")
    """Project that keeps the secrets."""
    location: str = ""
    """Location of regional secrets; global ones if unset."""
    secret_version_selection_policy: Annotated[str, schema(default="LatestOrFail")] = "LatestOrFail"  # noqa: S105 - a policy, no password
    """What to do when the latest version is disabled or destroyed: report an error (LatestOrFail), or take
    the newest one that is enabled (LatestOrFetch)."""
