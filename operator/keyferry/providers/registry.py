"""Which providers there are. Their SDKs are imported when a store first asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keyferry.ports import AmbientIdentity, Provider
from keyferry.providers.aws import AWSProvider
from keyferry.providers.fake import FakeProvider

AVAILABLE: Final = ("aws", "fake")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What the flags say about providers.

    Args:
        ambient: which stores may use the operator's own identity.
    """

    ambient: AmbientIdentity = AmbientIdentity.ALL


def build_providers(settings: ProviderSettings) -> Mapping[str, Provider]:
    """All providers, by their key in `spec.provider`."""
    providers: tuple[Provider, ...] = (AWSProvider(settings.ambient), FakeProvider())
    return {provider.name: provider for provider in providers}
