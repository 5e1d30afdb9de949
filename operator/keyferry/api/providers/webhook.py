"""`spec.provider.webhook`: any HTTP API that answers with JSON."""

from __future__ import annotations

from msgspec import field

from keyferry.api.meta import Base64, CAProvider, GoDuration, SecretKeySelector, check_duration
from keyferry.api.model import Model, SchemaRules


class NTLMProtocol(Model, frozen=True, kw_only=True):
    """Credentials for NTLM."""

    username_secret: SecretKeySelector
    """The user's name."""
    password_secret: SecretKeySelector
    """The user's password."""


class AuthorizationProtocol(Model, frozen=True, kw_only=True):
    """How to authenticate, besides headers."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    ntlm: NTLMProtocol | None = None
    """NTLM with user name and password."""


class WebhookResult(Model, frozen=True, kw_only=True):
    """What to take from the answer."""

    json_path: str = ""
    """JSONPath of the value; the whole answer if unset."""


class WebhookSecret(Model, frozen=True, kw_only=True):
    """A Secret that templates may use."""

    name: str
    """Its name in templates."""
    secret_ref: SecretKeySelector
    """The Secret; it must carry the label external-secrets.io/type: webhook."""


class WebhookRequest(Model, frozen=True, kw_only=True):
    """A request and what to take from its answer: what a store and a generator have in common."""

    method: str = ""
    """HTTP method; GET if unset."""
    url: str
    """Address to call, such as https://example.com/secrets/{{ .remoteRef.key }} in a store."""
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
    ca_bundle: Base64 = ""
    """Certificate authority of the server, as PEM in base64."""
    ca_provider: CAProvider | None = None
    """Where the server's certificate authority is kept."""

    def __post_init__(self) -> None:
        """Check the timeout."""
        check_duration("timeout", self.timeout)


class WebhookProvider(WebhookRequest, frozen=True, kw_only=True):
    """A store behind an HTTP API. Address, headers and body are templates."""

    secrets: tuple[WebhookSecret, ...] = ()
    """Secrets that templates may use."""
