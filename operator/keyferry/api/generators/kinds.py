"""The list of all generators: what each is called, its type, and whether this version can run it."""

from __future__ import annotations

from typing import Final, NamedTuple

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
from keyferry.api.model import Model


def plural_of(kind: str) -> str:
    """The name of a kind of this group in URLs, such as ecrauthorizationtokens."""
    return f"{kind.lower()}s"


class GeneratorKind(NamedTuple):
    """A kind of generator.

    Args:
        kind: its name.
        spec: type of its spec.
        available: whether this version can run it; the other ones are kept and reported.
    """

    kind: str
    spec: type[Model]
    available: bool = True

    @property
    def plural(self) -> str:
        """The name in URLs."""
        return plural_of(self.kind)


_LATER: Final = False

GENERATORS: Final = (
    GeneratorKind("ACRAccessToken", ACRAccessTokenSpec),
    GeneratorKind(
        "BeyondtrustWorkloadCredentialsDynamicSecret", BeyondtrustWorkloadCredentialsDynamicSecretSpec, _LATER
    ),
    GeneratorKind("CloudsmithAccessToken", CloudsmithAccessTokenSpec, _LATER),
    GeneratorKind("ECRAuthorizationToken", ECRAuthorizationTokenSpec),
    GeneratorKind("Fake", FakeSpec),
    GeneratorKind("GCRAccessToken", GCRAccessTokenSpec, _LATER),
    GeneratorKind("GithubAccessToken", GithubAccessTokenSpec),
    GeneratorKind("GitlabDeployToken", GitlabDeployTokenSpec),
    GeneratorKind("Grafana", GrafanaSpec, _LATER),
    GeneratorKind("MFA", MFASpec),
    GeneratorKind("Password", PasswordSpec),
    GeneratorKind("QuayAccessToken", QuayAccessTokenSpec),
    GeneratorKind("SSHKey", SSHKeySpec),
    GeneratorKind("STSSessionToken", STSSessionTokenSpec),
    GeneratorKind("UUID", UUIDSpec),
    GeneratorKind("VaultDynamicSecret", VaultDynamicSecretSpec),
    GeneratorKind("Webhook", WebhookSpec),
)
"""All kinds that ExternalSecrets can name, but ClusterGenerator."""

BY_KIND: Final = {generator.kind: generator for generator in GENERATORS}
"""The same, by kind."""
AVAILABLE: Final = tuple(generator.kind for generator in GENERATORS if generator.available)
"""Kinds that this version can run."""
