"""The control API's client, synchronous, for tests and the demo."""

from __future__ import annotations

from typing import Any

from keyferry.testing.aws.calls import CallFilter, CallRecord
from keyferry.testing.aws.faults import Fault
from keyferry.testing.owned.client import ControlClient


class AwsControl(ControlClient[CallRecord]):
    """Orders to an AWS double. See `ControlClient`."""

    double = "AWS"
    record = CallRecord
    filter = CallFilter

    def fail(self, code: str, **fault: Any) -> str:
        """Answer with an AWS error; `fault` holds further fields of `Fault`. The fault's id."""
        return self.add_fault(Fault(code=code, **fault))

    def deny_kms(self, secret: str) -> str:
        """Deny the use of the KMS key of these secrets (a glob). The fault's id."""
        return self.fail("AccessDeniedException", action="*GetSecretValue", secret=secret)

    def throttle(self, *, retry_after_s: int = 0, **fault: Any) -> str:
        """Throttle, with a Retry-After header if it has a value. The fault's id."""
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        return self.fail("ThrottlingException", headers=headers, **fault)

    def trust_issuer(self, url: str, ca_pem: str) -> None:
        """Believe this CA for the discovery document and keys of this issuer."""
        self._post("trust_issuer", {"url": url, "ca_pem": ca_pem})

    def session_lifetime(self, seconds: float) -> None:
        """Let all new credentials live so long, whatever is asked for; 0 ends that."""
        self._post("lifetime", {"seconds": seconds})

    def expire_sessions(self, access_key_id: str = "") -> int:
        """End temporary credentials now: those with that key id, or all. How many there were."""
        return int(self._post("expire", {"access_key_id": access_key_id})["ended"])

    def administrator_keys(self, account: str, partition: str = "aws") -> tuple[str, str]:
        """Access key id and secret key of a user who may do everything in that account."""
        keys = self._post("administrator", {"account": account, "partition": partition})
        return keys["access_key_id"], keys["secret_access_key"]
