"""Where a machine's workloads get tokens of its managed identities: IMDS of virtual machines, and App Service.

Plain HTTP as there. What each asks for that no other page would send (`Metadata: true`, the header of App
Service) is asked for here as well.
"""

from __future__ import annotations

import hmac
import secrets
import time

from keyferry.testing.azure.identities import Identity
from keyferry.testing.azure.tokens import Tokens
from keyferry.testing.azure.wire import AzureError, Request, machine_error, site_error
from keyferry.testing.httpdouble import Answer

IMDS_PATH = "/metadata/identity/oauth2/token"
SITE_PATH = "/msi/token"


class Machine:
    """The machine that the operator runs on.

    Args:
        tokens: issues what it gives.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.identities: list[Identity] = []
        self.header = secrets.token_urlsafe(16)
        """What App Service's clients must send."""

    def answer(self, request: Request) -> tuple[Answer, Identity]:
        """The answer to a request, and who it is about.

        Raises:
            AzureError: as the machine tells it.
        """
        if request.method == "GET" and request.path == IMDS_PATH:
            return self._imds(request)
        if request.method == "GET" and request.path == SITE_PATH:
            return self._site(request)
        raise AzureError(Answer(404), "NotFound")

    def _imds(self, request: Request) -> tuple[Answer, Identity]:
        if request.headers.get("metadata", "").lower() != "true":
            raise machine_error(400, "invalid_request", "Required metadata header not specified")
        if "x-forwarded-for" in request.headers:
            raise machine_error(400, "invalid_request", "X-Forwarded-For is not allowed")
        if request.query.get("api-version") not in ("2018-02-01", "2019-08-01"):
            raise machine_error(400, "bad_request_102", "Required audience parameter not specified")
        query = request.query
        wanted = (query.get("client_id"), query.get("object_id"), query.get("msi_res_id"))
        identity = self._find(*wanted)
        if identity is None:
            several = not any(wanted) and bool(self.identities)
            raise machine_error(
                400,
                "invalid_request",
                "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity "
                "in the token request"
                if several
                else "Identity not found",
            )
        resource = _resource(request, identity)
        if resource is None:
            raise machine_error(
                400,
                "invalid_resource",
                f"AADSTS500011: The resource principal named {request.query.get('resource')} was not found in the "
                f"tenant named {identity.tenant.domain}.",
            )
        token, seconds = self._tokens.issue(identity, resource, proof="2")
        now = int(time.time())
        content = {
            "access_token": token,
            "client_id": identity.client_id,
            "expires_in": str(seconds),
            "expires_on": str(now + seconds),
            "ext_expires_in": str(seconds),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }
        return Answer(200, content), identity

    def _site(self, request: Request) -> tuple[Answer, Identity]:
        if not hmac.compare_digest(request.headers.get("x-identity-header", ""), self.header):
            raise site_error(401, "The identity header is missing or wrong.")
        if request.query.get("api-version") != "2019-08-01":
            raise site_error(400, "The api-version is not supported.")
        query = request.query
        identity = self._find(query.get("client_id"), query.get("object_id"), query.get("mi_res_id"))
        if identity is None:
            raise site_error(
                400, "No User Assigned or Delegated Managed Identity found for specified parameters."
            )
        resource = _resource(request, identity)
        if resource is None:
            raise site_error(500, "The resource is not known.")
        token, seconds = self._tokens.issue(identity, resource, proof="2")
        content = {
            "access_token": token,
            "client_id": identity.client_id,
            "expires_on": str(int(time.time()) + seconds),
            "resource": resource,
            "token_type": "Bearer",
        }
        return Answer(200, content), identity

    def _find(self, client_id: str | None, oid: str | None, resource_id: str | None) -> Identity | None:
        if client_id or oid or resource_id:
            for one in self.identities:
                if client_id == one.client_id or oid == one.oid:
                    return one
                if resource_id and resource_id.lower() == one.resource_id.lower():
                    return one
            return None
        system = [one for one in self.identities if one.kind == "system"]
        if system:
            return system[0]
        return self.identities[0] if len(self.identities) == 1 else None


def _resource(request: Request, identity: Identity) -> str | None:
    resource = request.query.get("resource", "")
    return resource if resource.rstrip("/").lower() in identity.tenant.cloud.resources else None
