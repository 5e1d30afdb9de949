"""Which providers and generators of providers there are. Their SDKs are imported when a store first asks for them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keyferry.clock import SystemClock
from keyferry.clusters import Clusters
from keyferry.core.addresses import AddressPolicy
from keyferry.core.origins import TrustedVaults
from keyferry.ports import AmbientIdentity, Generator, Provider
from keyferry.providers.aws import AWSProvider
from keyferry.providers.azure import AzureKVProvider
from keyferry.providers.fake import FakeProvider
from keyferry.providers.github import GithubAccessTokenGenerator
from keyferry.providers.gitlab import GitlabDeployTokenGenerator
from keyferry.providers.kubernetes import KubernetesProvider
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.quay import QuayAccessTokenGenerator
from keyferry.providers.vault import OpenBaoProvider, VaultProvider
from keyferry.providers.webhook import WebhookGenerator, WebhookProvider

AVAILABLE: Final = ("aws", "azurekv", "fake", "kubernetes", "openBao", "vault", "webhook")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What the flags say about providers.

    Args:
        ambient: which stores and generators may use the operator's own identity.
        addresses: what they may connect to, where tenants choose the address.
        trusted_vaults: Vaults that get ServiceAccount tokens which the API server accepts.
    """

    ambient: AmbientIdentity = AmbientIdentity.ALL
    addresses: AddressPolicy = field(default_factory=AddressPolicy)
    trusted_vaults: TrustedVaults = field(default_factory=TrustedVaults)


def build_providers(settings: ProviderSettings, clusters: Clusters | None = None) -> Mapping[str, Provider]:
    """All providers, by their key in `spec.provider`.

    Args:
        clusters: the way to API servers; without one there is no provider that needs it.
    """
    clock = SystemClock()
    aws = AWSProvider(settings.ambient)
    vaults = (VaultProvider, OpenBaoProvider)
    providers: tuple[Provider, ...] = (
        aws,
        AzureKVProvider(settings.ambient, settings.addresses, clock),
        FakeProvider(),
        *(
            kind(settings.addresses, settings.ambient, settings.trusted_vaults, aws=aws.lender(), clock=clock)
            for kind in vaults
        ),
        WebhookProvider(Outgoing(settings.addresses, clock), clock, secrets.token_bytes),
    )
    if clusters is not None:
        providers += (KubernetesProvider(clusters, Outgoing(settings.addresses, clock), clock),)
    return {provider.name: provider for provider in providers}


def build_generators(
    settings: ProviderSettings, providers: Mapping[str, Provider]
) -> Mapping[str, Generator]:
    """All generators that ask somebody, by their kind.

    Args:
        providers: as `build_providers` made them: those of a provider share its connections. Close the
            generators first.
    """
    clock = SystemClock()
    outgoing = Outgoing(settings.addresses, clock)
    generators: list[Generator] = [
        GithubAccessTokenGenerator(outgoing, clock),
        GitlabDeployTokenGenerator(outgoing, clock),
        QuayAccessTokenGenerator(outgoing),
        WebhookGenerator(outgoing, clock, secrets.token_bytes),
    ]
    for provider in providers.values():
        if isinstance(provider, AWSProvider | AzureKVProvider | VaultProvider):
            generators += provider.generators()
    return {generator.kind: generator for generator in generators}
