"""All kinds of stores that the common suite asks."""

from __future__ import annotations

from tests.contract.providers.backends import aws, azurekv, fake, kubernetes, parameterstore, vault, webhook

BACKENDS = {
    "fake": fake.make,
    "aws": aws.make,
    "azurekv": azurekv.make,
    "kubernetes": kubernetes.make,
    "parameterstore": parameterstore.make,
    "vault": vault.make,
    "webhook": webhook.make,
}
"""What makes the backend of each, by the name that tests show."""

SERVED = [name for name in BACKENDS if name != "fake"]
"""Those with a server behind them."""
