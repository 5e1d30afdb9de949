"""The `aws` provider: Secrets Manager, with the workload's own identity.

`identity.py` finds out who asks, `credentials.py` gets and renews what proves it, `secrets_manager.py` reads,
`errors.py` translates what AWS says; only `sdk.py`, with `chain.py` and `settings.py`, touches the SDK.
"""

from keyferry.providers.aws.provider import AWSProvider

__all__ = ["AWSProvider"]
