"""ClusterGenerator: a generator for ExternalSecrets of all namespaces."""

from __future__ import annotations

from typing import Final, Literal

from keyferry.api.generators.aws import ECRAuthorizationTokenSpec, STSSessionTokenSpec
from keyferry.api.generators.azure import ACRAccessTokenSpec
from keyferry.api.generators.beyondtrust import BeyondtrustWorkloadCredentialsDynamicSecretSpec
from keyferry.api.generators.cloudsmith import CloudsmithAccessTokenSpec
from keyferry.api.generators.gcp import GCRAccessTokenSpec
from keyferry.api.generators.github import GithubAccessTokenSpec
from keyferry.api.generators.gitlab import GitlabDeployTokenSpec
from keyferry.api.generators.grafana import GrafanaSpec
from keyferry.api.generators.local import FakeSpec, MFASpec, PasswordSpec, SSHKeySpec, UUIDSpec
from keyferry.api.generators.quay import QuayAccessTokenSpec
from keyferry.api.generators.vault import VaultDynamicSecretSpec
from keyferry.api.generators.webhook import WebhookSpec
from keyferry.api.model import CelRule, Model, SchemaRules

ClusterGeneratorKind = Literal[
    "ACRAccessToken",
    "BeyondtrustWorkloadCredentialsDynamicSecret",
    "CloudsmithAccessToken",
    "ECRAuthorizationToken",
    "Fake",
    "GCRAccessToken",
    "GithubAccessToken",
    "GitlabDeployToken",
    "Grafana",
    "MFA",
    "Password",
    "QuayAccessToken",
    "SSHKey",
    "STSSessionToken",
    "UUID",
    "VaultDynamicSecret",
    "Webhook",
]

BLOCKS: Final = {
    "ACRAccessToken": "acrAccessTokenSpec",
    "BeyondtrustWorkloadCredentialsDynamicSecret": "beyondtrustWorkloadCredentialsDynamicSecretSpec",
    "CloudsmithAccessToken": "cloudsmithAccessTokenSpec",
    "ECRAuthorizationToken": "ecrAuthorizationTokenSpec",
    "Fake": "fakeSpec",
    "GCRAccessToken": "gcrAccessTokenSpec",
    "GithubAccessToken": "githubAccessTokenSpec",
    "GitlabDeployToken": "gitlabDeployTokenSpec",
    "Grafana": "grafanaSpec",
    "MFA": "mfaSpec",
    "Password": "passwordSpec",
    "QuayAccessToken": "quayAccessTokenSpec",
    "SSHKey": "sshKeySpec",
    "STSSessionToken": "stsSessionTokenSpec",
    "UUID": "uuidSpec",
    "VaultDynamicSecret": "vaultDynamicSecretSpec",
    "Webhook": "webhookSpec",
}
"""By kind: the field of `spec.generator` that holds its spec."""

_MATCHES: Final = " || ".join(
    f"(self.kind == '{kind}' && has(self.generator.{key}))" for kind, key in BLOCKS.items()
)
_MISMATCH: Final = "spec.generator must hold the spec of spec.kind"


class ClusterGeneratorBlocks(Model, frozen=True, kw_only=True):
    """The generator's spec, in the field named after its kind. Exactly one of the fields is set."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    acr_access_token_spec: ACRAccessTokenSpec | None = None
    """Spec of an ACRAccessToken."""
    beyondtrust_workload_credentials_dynamic_secret_spec: (
        BeyondtrustWorkloadCredentialsDynamicSecretSpec | None
    ) = None
    """Spec of a BeyondtrustWorkloadCredentialsDynamicSecret."""
    cloudsmith_access_token_spec: CloudsmithAccessTokenSpec | None = None
    """Spec of a CloudsmithAccessToken."""
    ecr_authorization_token_spec: ECRAuthorizationTokenSpec | None = None
    """Spec of an ECRAuthorizationToken."""
    fake_spec: FakeSpec | None = None
    """Spec of a Fake."""
    gcr_access_token_spec: GCRAccessTokenSpec | None = None
    """Spec of a GCRAccessToken."""
    github_access_token_spec: GithubAccessTokenSpec | None = None
    """Spec of a GithubAccessToken."""
    gitlab_deploy_token_spec: GitlabDeployTokenSpec | None = None
    """Spec of a GitlabDeployToken."""
    grafana_spec: GrafanaSpec | None = None
    """Spec of a Grafana."""
    mfa_spec: MFASpec | None = None
    """Spec of an MFA."""
    password_spec: PasswordSpec | None = None
    """Spec of a Password."""
    quay_access_token_spec: QuayAccessTokenSpec | None = None
    """Spec of a QuayAccessToken."""
    ssh_key_spec: SSHKeySpec | None = None
    """Spec of an SSHKey."""
    sts_session_token_spec: STSSessionTokenSpec | None = None
    """Spec of an STSSessionToken."""
    uuid_spec: UUIDSpec | None = None
    """Spec of a UUID."""
    vault_dynamic_secret_spec: VaultDynamicSecretSpec | None = None
    """Spec of a VaultDynamicSecret."""
    webhook_spec: WebhookSpec | None = None
    """Spec of a Webhook."""

    def set_blocks(self) -> dict[str, Model]:
        """The fields that are set, by their name on the wire."""
        fields = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        return {key: block for key, name in fields if (block := getattr(self, name)) is not None}


class ClusterGeneratorSpec(Model, frozen=True, kw_only=True):
    """A generator for ExternalSecrets of all namespaces."""

    schema_rules = SchemaRules(cel=(CelRule(_MATCHES, _MISMATCH),))

    kind: ClusterGeneratorKind
    """Kind of the generator."""
    generator: ClusterGeneratorBlocks
    """The generator's spec, in the field named after its kind."""

    def __post_init__(self) -> None:
        """Check that the one spec is that of the kind."""
        found = list(self.generator.set_blocks())
        if found != [BLOCKS[self.kind]]:
            told = ", ".join(found) or "none"
            raise ValueError(f"{_MISMATCH}: generator.{BLOCKS[self.kind]} for {self.kind}, found {told}")

    def chosen(self) -> Model:
        """The generator's spec."""
        return self.generator.set_blocks()[BLOCKS[self.kind]]
