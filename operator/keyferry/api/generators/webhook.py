"""Webhook: any HTTP API that makes values."""

from __future__ import annotations

from msgspec import field

from keyferry.api.meta import Base64, CAProvider, GoDuration, LocalSecretKeySelector, check_duration
from keyferry.api.model import Model
from keyferry.api.providers.webhook import AuthorizationProtocol, WebhookResult


class WebhookGeneratorSecret(Model, frozen=True, kw_only=True):
    """A Secret that templates may use."""

    name: str
    """Its name in templates."""
    secret_ref: LocalSecretKeySelector
    """The Secret; it must carry the label external-secrets.io/type: webhook."""


class WebhookSpec(Model, frozen=True, kw_only=True):
    """Whatever an HTTP API answers, one key for each member of the JSON object.

    Address, headers and body are templates.
    """

    method: str = ""
    """HTTP method; GET if unset."""
    url: str
    """Address to call."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the request."""
    auth: AuthorizationProtocol | None = None
    """How to authenticate, besides headers."""
    body: str = ""
    """Body of the request."""
    timeout: GoDuration = ""
    """How long to wait for the answer, such as 10s."""
    result: WebhookResult = WebhookResult()
    """What to take from the answer."""
    secrets: tuple[WebhookGeneratorSecret, ...] = ()
    """Secrets that templates may use."""
    ca_bundle: Base64 = ""
    """Certificate authority of the server, as PEM in base64."""
    ca_provider: CAProvider | None = None
    """Where the server's certificate authority is kept."""

    def __post_init__(self) -> None:
        """Check the timeout."""
        check_duration("timeout", self.timeout)
