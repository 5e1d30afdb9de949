"""All that decides about a call, in one place and one thread: the checks, the services, moto.

`front` owns the thread and does what needs an event loop (connections, faults, fetching an issuer's
keys); everything here is synchronous and never waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from keyferry.testing.aws import ecr
from keyferry.testing.aws.faults import Faults
from keyferry.testing.aws.gate import Caller, Gate, Session
from keyferry.testing.aws.moto_store import SERVICES, Keys, MotoStore
from keyferry.testing.aws.parameters import ParameterStore
from keyferry.testing.aws.secrets import SecretsManager
from keyferry.testing.aws.sts import SecurityTokenService
from keyferry.testing.aws.web_identity import WebIdentity
from keyferry.testing.aws.wire import Answer, AwsError, Call


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, and the session that it grants."""

    answer: Answer
    session: Session | None = None


class AwsDouble:
    """AWS's decisions over moto's state.

    Args:
        faults: failures of single secrets.
    """

    def __init__(self, faults: Faults) -> None:
        self._store = MotoStore()
        self._gate = Gate(self._store)
        self.sts = SecurityTokenService(self._store, self._gate)
        self._secrets = SecretsManager(self._store, self._gate, faults)
        self._parameters = ParameterStore(self._store, self._gate, faults, self._secrets)
        self._registries = ecr.Registries(self._gate)

    def administrator(self, account: str, partition: str) -> Keys:
        """Keys that may do everything in an account."""
        return self._store.administrator(account, partition)

    def find(self, call: Call) -> Caller | None:
        """Whose key the call names, unproven."""
        return self._gate.find(call)

    def known_audiences(self, call: Call, issuer: str) -> frozenset[str]:
        """The audiences that the OIDC provider in the role's account knows for this issuer.

        Raises:
            AwsError: the account has no such provider.
        """
        parts = call.text("RoleArn").split(":")
        known = self._store.provider_audiences(parts[4], parts[1], issuer) if len(parts) == 6 else None
        if known is None:
            raise AwsError(
                "InvalidIdentityToken",
                f"No OpenIDConnect provider found in your account for {issuer}",
                verbatim=True,
            )
        return known

    def answer(self, call: Call, caller: Caller | None, identity: WebIdentity | None) -> Outcome:
        """The answer to a call.

        Raises:
            AwsError: as AWS tells it.
        """
        now = datetime.now(UTC)
        if identity is not None:
            return Outcome(*self.sts.assume_role_with_web_identity(call, identity, now))
        proven = self._gate.authenticate(caller, call, now)
        if call.service == "sts":
            return self._token_service(proven, call, now)
        if call.service in ecr.SERVICES:
            return Outcome(self._registries.answer(proven, call, now))
        if call.service not in SERVICES:
            raise AwsError("UnknownOperationException")
        if call.service == "secretsmanager":
            return Outcome(self._secrets.answer(proven, call, now))
        if call.service == "ssm":
            return Outcome(self._parameters.answer(proven, call, now))
        if (
            call.service == "iam"
            and proven.session
            and proven.session.user_key
            and not proven.session.with_mfa
        ):
            raise AwsError("UnrecognizedClientException")
        # Without knowledge of a service's resources, only policies for all of them can allow.
        self._gate.authorize(proven, f"{call.service}:{call.action}", "*", proven.context(call))
        return Outcome(self._store.ask(call, proven.account, now))

    def _token_service(self, caller: Caller, call: Call, now: datetime) -> Outcome:
        if call.action == "GetCallerIdentity":
            return Outcome(self.sts.get_caller_identity(caller))
        if call.action == "AssumeRole":
            return Outcome(*self.sts.assume_role(caller, call, now))
        if call.action == "GetSessionToken":
            return Outcome(*self.sts.get_session_token(caller, call, now))
        raise AwsError("NotImplementedByDouble", f"sts:{call.action}", status=501)
