"""`spec.provider.vault`: the KV engine of HashiCorp Vault."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import field

from keyferry.api.meta import Base64, CAProvider, SecretKeySelector, ServiceAccountSelector
from keyferry.api.model import Model, schema
from keyferry.api.providers.gcpsm import GCPSMAuthSecretRef, GCPWorkloadIdentity

KVVersion = Literal["v1", "v2"]


class VaultAppRole(Model, frozen=True, kw_only=True):
    """AppRole: a role id and a secret id."""

    path: Annotated[str, schema(default="approle")] = "approle"
    """Where the method is mounted."""
    role_id: str = ""
    """The role id."""
    role_ref: SecretKeySelector | None = None
    """The role id, kept in a Secret."""
    secret_ref: SecretKeySelector
    """The secret id, kept in a Secret."""


class VaultKubernetesAuth(Model, frozen=True, kw_only=True):
    """Kubernetes: a ServiceAccount token. The operator's own if neither reference is set."""

    mount_path: Annotated[str, schema(default="kubernetes")] = "kubernetes"
    """Where the method is mounted."""
    service_account_ref: ServiceAccountSelector | None = None
    """The ServiceAccount; its tokens are issued as needed."""
    secret_ref: SecretKeySelector | None = None
    """A token kept in a Secret, under the key token if none is named."""
    role: str
    """The role in Vault."""


class VaultLdapAuth(Model, frozen=True, kw_only=True):
    """LDAP: a user name and a password."""

    path: Annotated[str, schema(default="ldap")] = "ldap"
    """Where the method is mounted."""
    username: str
    """The user's name."""
    secret_ref: SecretKeySelector | None = None
    """The user's password, kept in a Secret."""


class VaultUserPassAuth(Model, frozen=True, kw_only=True):
    """Userpass: a user name and a password."""

    path: Annotated[str, schema(default="userpass")] = "userpass"
    """Where the method is mounted."""
    username: str
    """The user's name."""
    secret_ref: SecretKeySelector | None = None
    """The user's password, kept in a Secret."""


class VaultKubernetesServiceAccountTokenAuth(Model, frozen=True, kw_only=True):
    """A ServiceAccount token that is issued as needed."""

    service_account_ref: ServiceAccountSelector
    """The ServiceAccount."""
    audiences: tuple[str, ...] = ()
    """Audiences of the token; vault if none. Deprecated: use serviceAccountRef.audiences."""
    expiration_seconds: int | None = None
    """Lifetime of the token in seconds; 600 if unset. Deprecated."""


class VaultJwtAuth(Model, frozen=True, kw_only=True):
    """JWT/OIDC: a signed token."""

    path: Annotated[str, schema(default="jwt")] = "jwt"
    """Where the method is mounted."""
    role: str = ""
    """The role in Vault."""
    secret_ref: SecretKeySelector | None = None
    """The token, kept in a Secret."""
    kubernetes_service_account_token: VaultKubernetesServiceAccountTokenAuth | None = None
    """A ServiceAccount token that is issued as needed."""


class VaultCertAuth(Model, frozen=True, kw_only=True):
    """TLS certificates: a client certificate."""

    path: Annotated[str, schema(default="cert")] = "cert"
    """Where the method is mounted."""
    vault_role: str = ""
    """The role in Vault; Vault picks one by the certificate if unset."""
    client_cert: SecretKeySelector | None = None
    """The certificate, as PEM."""
    secret_ref: SecretKeySelector | None = None
    """Its private key, as PEM."""


class VaultAwsAuthSecretRef(Model, frozen=True, kw_only=True):
    """AWS access keys kept in Secrets."""

    access_key_id: SecretKeySelector | None = field(name="accessKeyIDSecretRef", default=None)
    """The access key's id."""
    secret_access_key: SecretKeySelector | None = field(name="secretAccessKeySecretRef", default=None)
    """The secret access key."""
    session_token: SecretKeySelector | None = field(name="sessionTokenSecretRef", default=None)
    """The session token; needed with temporary access keys."""


class VaultAwsJWTAuth(Model, frozen=True, kw_only=True):
    """A ServiceAccount that stands for an IAM role (IRSA)."""

    service_account_ref: ServiceAccountSelector | None = None
    """The ServiceAccount; its annotation eks.amazonaws.com/role-arn names the role."""


class VaultIamAuth(Model, frozen=True, kw_only=True):
    """AWS IAM: a signed AWS request. The operator's own identity if neither secretRef nor jwt is set."""

    path: str = ""
    """Where the method is mounted; aws if unset."""
    region: str = ""
    """The AWS region."""
    role: str = ""
    """ARN of a role to assume before Vault is asked."""
    vault_role: str
    """The role in Vault."""
    external_id: str = field(name="externalID", default="")
    """External id that the AWS role's trust policy asks for."""
    vault_aws_iam_server_id: str = field(name="vaultAwsIamServerID", default="")
    """Value of the header X-Vault-AWS-IAM-Server-ID, where Vault asks for it."""
    secret_ref: VaultAwsAuthSecretRef | None = None
    """AWS access keys kept in Secrets."""
    jwt: VaultAwsJWTAuth | None = None
    """A ServiceAccount that stands for an IAM role (IRSA)."""


class VaultGCPAuth(Model, frozen=True, kw_only=True):
    """Google Cloud: a signed identity. The operator's own where no reference is set."""

    path: Annotated[str, schema(default="gcp")] = "gcp"
    """Where the method is mounted."""
    role: str
    """The role in Vault."""
    project_id: str = field(name="projectID", default="")
    """Google Cloud project."""
    location: str = ""
    """Location of the project's resources."""
    secret_ref: GCPSMAuthSecretRef | None = None
    """A service account key kept in a Secret."""
    workload_identity: GCPWorkloadIdentity | None = None
    """A ServiceAccount that stands for a Google service account (GKE Workload Identity)."""
    service_account_ref: ServiceAccountSelector | None = None
    """A ServiceAccount to act as."""


class VaultAuth(Model, frozen=True, kw_only=True):
    """How to log in. One method is set."""

    namespace: str | None = None
    """Vault namespace to log in to, if it is not the one of the secrets."""
    token_secret_ref: SecretKeySelector | None = None
    """A Vault token kept in a Secret."""
    app_role: VaultAppRole | None = None
    """AppRole: a role id and a secret id."""
    kubernetes: VaultKubernetesAuth | None = None
    """Kubernetes: a ServiceAccount token."""
    ldap: VaultLdapAuth | None = None
    """LDAP: a user name and a password."""
    jwt: VaultJwtAuth | None = None
    """JWT/OIDC: a signed token."""
    cert: VaultCertAuth | None = None
    """TLS certificates: a client certificate."""
    iam: VaultIamAuth | None = None
    """AWS IAM: a signed AWS request."""
    user_pass: VaultUserPassAuth | None = None
    """Userpass: a user name and a password."""
    gcp: VaultGCPAuth | None = None
    """Google Cloud: a signed identity."""


class VaultClientTLS(Model, frozen=True, kw_only=True):
    """A client certificate for the connection; not the login method cert."""

    cert_secret_ref: SecretKeySelector | None = None
    """The certificate, as PEM; key tls.crt if none is named."""
    key_secret_ref: SecretKeySelector | None = None
    """Its private key, as PEM; key tls.key if none is named."""


class VaultCheckAndSet(Model, frozen=True, kw_only=True):
    """Check-and-set of the KV engine, version 2, when a PushSecret writes."""

    required: bool = False
    """Every write names the version that it replaces."""


class VaultProvider(Model, frozen=True, kw_only=True):
    """A store in HashiCorp Vault."""

    auth: VaultAuth | None = None
    """How to log in."""
    server: str
    """Address of Vault, such as https://vault.example.com:8200."""
    path: str | None = None
    """Where the KV engine is mounted, such as secret. The first part of the key if unset."""
    version: Annotated[KVVersion, schema(default="v2")] = "v2"
    """Version of the KV engine."""
    namespace: str | None = None
    """Vault namespace that keeps the secrets."""
    ca_bundle: Base64 = ""
    """Certificate authority of the server, as PEM in base64."""
    tls: VaultClientTLS = VaultClientTLS()
    """Client certificate, where the server asks for one."""
    ca_provider: CAProvider | None = None
    """Where the server's certificate authority is kept."""
    read_your_writes: bool = False
    """Reads after a write see it, on replicated clusters too."""
    forward_inconsistent: bool = False
    """Has Vault forward reads that a standby cannot answer yet."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers added to each request."""
    check_and_set: VaultCheckAndSet | None = None
    """Check-and-set when a PushSecret writes."""
