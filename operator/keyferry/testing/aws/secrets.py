"""Secrets Manager: values, batches and lists as AWS gives them, everything else by moto after a check.

moto authorizes per action and not per secret, and its batches know no permissions; here each secret
is judged by its ARN. Synchronous; lives in the thread that owns moto.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from keyferry.testing.aws.faults import Faults
from keyferry.testing.aws.gate import Caller, Gate
from keyferry.testing.aws.listing import list_secrets
from keyferry.testing.aws.moto_store import MotoStore, SecretRecord
from keyferry.testing.aws.policy import context_of
from keyferry.testing.aws.wire import Answer, AwsError, Call, json_answer

BATCH_LIMIT: Final = 20
_WITHOUT_RESOURCE: Final = frozenset({"GetRandomPassword"})


class SecretsManager:
    """Secrets Manager over moto's secrets.

    Args:
        store: moto's state.
        gate: judges permissions.
        faults: failures of single secrets.
    """

    def __init__(self, store: MotoStore, gate: Gate, faults: Faults) -> None:
        self._store = store
        self._gate = gate
        self._faults = faults

    def answer(self, caller: Caller, call: Call, now: datetime) -> Answer:
        """The answer to an operation.

        Raises:
            AwsError: as AWS tells it.
        """
        if call.action == "GetSecretValue":
            return json_answer(self._value(caller, call, call.params, str(call.params["SecretId"])))
        if call.action == "BatchGetSecretValue":
            return json_answer(self._batch(caller, call))
        if call.action == "ListSecrets":
            self._gate.authorize(caller, "secretsmanager:ListSecrets", "*", caller.context(call))
            return json_answer(list_secrets(self._store, caller.account, call))
        if call.action in _WITHOUT_RESOURCE:
            self._gate.authorize(caller, f"secretsmanager:{call.action}", "*", caller.context(call))
            return self._store.ask(call, caller.account, now)
        secret_id = call.text("SecretId") or call.text("Name")
        self.admit(caller, call, call.action, secret_id, {})
        return self._store.ask(call, _account(secret_id) or caller.account, now)

    def _value(self, caller: Caller, call: Call, params: Mapping[str, Any], secret_id: str) -> dict[str, Any]:
        self.admit(caller, call, "GetSecretValue", secret_id, params)
        account = _account(secret_id) or caller.account
        return self._store.secret_value(account, call.region, {**params, "SecretId": secret_id})

    def admit(
        self, caller: Caller, call: Call, action: str, secret_id: str, params: Mapping[str, Any]
    ) -> None:
        """Check that the caller may do this to the secret, and that no fault hits it.

        Raises:
            AwsError: they may not, or one does.
        """
        account = _account(secret_id) or caller.account
        secret = self._store.find_secret(account, call.region, secret_id)
        arn = secret.arn if secret else _arn(secret_id, caller, call.region)
        context = {**caller.context(call), **_secret_context(secret_id, arn, secret, params)}
        policy = secret.policy if secret else ""
        name = f"secretsmanager:{action}"
        self._gate.authorize(caller, name, arn, context, policy=policy, said=secret_id)
        names = (secret_id, arn, *([secret.name] if secret else []))
        self._faults.strike_secret(call, caller.arn, names)

    def _batch(self, caller: Caller, call: Call) -> dict[str, Any]:
        context = caller.context(call)
        self._gate.authorize(caller, "secretsmanager:BatchGetSecretValue", "*", context)
        ids, filters = call.params.get("SecretIdList"), call.params.get("Filters")
        if bool(ids) == bool(filters):
            raise AwsError(
                "InvalidParameterException",
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            )
        result: dict[str, Any] = {"SecretValues": [], "Errors": []}
        if filters:
            self._gate.authorize(caller, "secretsmanager:ListSecrets", "*", context)
            listed = list_secrets(self._store, caller.account, call, limit=BATCH_LIMIT)
            ids = [one["ARN"] for one in listed["SecretList"]]
            if listed.get("NextToken"):
                result["NextToken"] = listed["NextToken"]
        elif call.params.get("MaxResults"):
            raise AwsError(
                "InvalidParameterException",
                "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.",
            )
        elif len(ids or []) > BATCH_LIMIT:
            raise AwsError(
                "ValidationException",
                f"1 validation error detected: Value '[{', '.join(ids or [])}]' at 'secretIdList' failed to "
                f"satisfy constraint: Member must have length less than or equal to {BATCH_LIMIT}",
            )
        for secret_id in ids or []:
            try:
                result["SecretValues"].append(self._value(caller, call, {}, secret_id))
            except AwsError as error:
                about = {"SecretId": secret_id, "ErrorCode": error.code, "Message": error.message}
                result["Errors"].append(about)
        return result


def _account(secret_id: str) -> str:
    parts = secret_id.split(":")
    return parts[4] if secret_id.startswith("arn:") and len(parts) > 6 else ""


def _arn(secret_id: str, caller: Caller, region: str) -> str:
    """The ARN of a secret that does not exist, as policies see it: without the random suffix."""
    if _account(secret_id):
        return secret_id
    return f"arn:{caller.partition}:secretsmanager:{region}:{caller.account}:secret:{secret_id}"


def _secret_context(
    secret_id: str, arn: str, secret: SecretRecord | None, params: Mapping[str, Any]
) -> dict[str, list[str]]:
    tags = secret.tags if secret else {}
    return context_of(
        **{f"secretsmanager:ResourceTag/{key}": value for key, value in tags.items()},
        **{f"aws:ResourceTag/{key}": value for key, value in tags.items()},
        **{
            "secretsmanager:SecretId": arn if secret else secret_id,
            "secretsmanager:Name": secret.name if secret else secret_id,
            "secretsmanager:VersionStage": str(params.get("VersionStage") or ""),
            "secretsmanager:VersionId": str(params.get("VersionId") or ""),
        },
    )
