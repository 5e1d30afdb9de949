"""Any HTTP API as a store, and as a generator: the manifest says what is sent and what of the answer is taken.

A question goes this way: `provider` or `generator` gathers Secrets and CA (`material`), renders the request
(`templates`, `request`), sends it (`outgoing`), tells what a status means (`errors`), and takes the value out of
the answer (`result`, `jsonpath`). Tenants write the manifests: templates and paths have budgets, Secrets must be
labelled to be sent, and every address is checked after rendering.

Nothing is shared between requests that may differ: the identity is a hash over manifest, Secrets and CA, and a
question holds all that templates can see of a reference, its namespace included.
"""

from keyferry.providers.webhook.generator import WebhookGenerator
from keyferry.providers.webhook.provider import WebhookProvider

__all__ = ["WebhookGenerator", "WebhookProvider"]
