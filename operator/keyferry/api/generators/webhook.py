"""Webhook: any HTTP API that makes values."""

from __future__ import annotations

from keyferry.api.meta import LocalSecretKeySelector
from keyferry.api.model import Model
from keyferry.api.providers.webhook import WebhookRequest


class WebhookGeneratorSecret(Model, frozen=True, kw_only=True):
    """A Secret that templates may use."""

    name: str
    """Its name in templates."""
    secret_ref: LocalSecretKeySelector
    """The Secret; it must carry the label external-secrets.io/type: webhook."""


class WebhookSpec(WebhookRequest, frozen=True, kw_only=True):
    """Whatever an HTTP API answers, one key for each member of the JSON object.

    Address, headers and body are templates.
    """

    secrets: tuple[WebhookGeneratorSecret, ...] = ()
    """Secrets that templates may use."""
