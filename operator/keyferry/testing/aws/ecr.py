"""The container registries' logins: ECR's and the public gallery's GetAuthorizationToken.

moto has no public gallery, and gives the same login to everybody for ever; here each is new, and allowed
as AWS documents it. Synchronous; lives in the thread that owns moto.
"""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from keyferry.testing.aws.gate import Caller, Gate
from keyferry.testing.aws.wire import Answer, AwsError, Call, json_answer

SERVICES: Final = frozenset({"ecr", "ecr-public"})
LIFETIME: Final = timedelta(hours=12)
PUBLIC_REGION: Final = "us-east-1"


class Registries:
    """Both registries.

    Args:
        gate: judges permissions.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def answer(self, caller: Caller, call: Call, now: datetime) -> Answer:
        """A login.

        Raises:
            AwsError: as AWS tells it, or another operation.
        """
        if call.action != "GetAuthorizationToken":
            raise AwsError("NotImplementedByDouble", f"{call.service}:{call.action}", status=501)
        public = call.service == "ecr-public"
        if public and call.region != PUBLIC_REGION:
            raise AwsError("InvalidSignatureException", "Credential should be scoped to a valid region. ")
        # The public gallery's login is a bearer token of STS, which has an action of its own.
        actions = [
            f"{call.service}:GetAuthorizationToken",
            *(["sts:GetServiceBearerToken"] if public else []),
        ]
        for action in actions:
            self._gate.authorize(caller, action, "*", caller.context(call), said="*")
        login = base64.b64encode(f"AWS:{secrets.token_urlsafe(96)}".encode()).decode()
        data: dict[str, Any] = {"authorizationToken": login, "expiresAt": (now + LIFETIME).timestamp()}
        if public:
            return json_answer({"authorizationData": data})
        host = f"{caller.account}.dkr.ecr.{call.region}.amazonaws.com"
        return json_answer({"authorizationData": [data | {"proxyEndpoint": f"https://{host}"}]})
