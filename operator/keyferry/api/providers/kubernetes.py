"""`spec.provider.kubernetes`: Secrets of this or another Kubernetes cluster."""

from __future__ import annotations

from typing import Annotated

from keyferry.api.meta import Base64, CAProvider, Namespace, SecretKeySelector, ServiceAccountSelector
from keyferry.api.model import Model, SchemaRules, schema


class KubernetesServer(Model, frozen=True, kw_only=True):
    """The API server to ask."""

    url: Annotated[str, schema(default="kubernetes.default")] = "kubernetes.default"
    """Its address."""
    ca_bundle: Base64 = ""
    """Its certificate authority, as PEM in base64."""
    ca_provider: CAProvider | None = None
    """Where its certificate authority is kept."""


class CertAuth(Model, frozen=True, kw_only=True):
    """A client certificate."""

    client_cert: SecretKeySelector
    """The certificate, as PEM."""
    client_key: SecretKeySelector
    """Its private key, as PEM."""


class TokenAuth(Model, frozen=True, kw_only=True):
    """A fixed token."""

    bearer_token: SecretKeySelector
    """The token."""


class KubernetesAuth(Model, frozen=True, kw_only=True):
    """Who asks. Exactly one of the fields is set."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    cert: CertAuth | None = None
    """A client certificate."""
    token: TokenAuth | None = None
    """A fixed token."""
    service_account: ServiceAccountSelector | None = None
    """A ServiceAccount of this cluster; its tokens are issued as needed."""


class KubernetesProvider(Model, frozen=True, kw_only=True):
    """A store in a Kubernetes cluster."""

    server: KubernetesServer = KubernetesServer()
    """The API server to ask; this cluster's own if unset."""
    auth: KubernetesAuth | None = None
    """Who asks."""
    auth_ref: SecretKeySelector | None = None
    """A kubeconfig kept in a Secret, instead of server and auth."""
    remote_namespace: Annotated[Namespace, schema(default="default")] = "default"
    """Namespace whose Secrets are read."""
