"""Entra ID: its discovery documents and its token endpoint, with all proofs checked.

Client secrets by their digest, assertions by a registered certificate or by the keys that a federated issuer
publishes. Only the grant that workloads use (client_credentials) is known.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keyferry.testing.azure.clouds import CLOUDS, LOCAL, STACK, Cloud
from keyferry.testing.azure.identities import Identity, Tenant
from keyferry.testing.azure.proofs import base_of, check_assertion, check_secret
from keyferry.testing.azure.tokens import Tokens
from keyferry.testing.azure.wire import AzureError, Request, entra_error
from keyferry.testing.httpdouble import Answer
from keyferry.testing.issuerkeys import IssuerKeys

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SHARED: Final = frozenset({"common", "organizations", "consumers"})
_UNKNOWN_HOSTS: Final = {*LOCAL.login_hosts, *STACK.login_hosts}
"""Of clouds that the instance discovery does not know."""


@dataclass(slots=True)
class Asked:
    """What a token request has told so far, for the call log."""

    client_id: str = ""
    oid: str = ""
    subject: str = ""


class Entra:
    """The directory service of all clouds.

    Args:
        tokens: issues what it grants.
        issuers: knows the keys of federated issuers.
    """

    def __init__(self, tokens: Tokens, issuers: IssuerKeys) -> None:
        self._tokens = tokens
        self._issuers = issuers
        self.tenants: dict[str, Tenant] = {}

    async def answer(self, request: Request, cloud: Cloud, asked: Asked) -> Answer:
        """The answer to a request.

        Raises:
            AzureError: as Entra ID tells it.
        """
        parts = request.parts
        if parts == ["common", "discovery", "instance"]:
            return self._instances(request)
        if len(parts) < 2:
            raise AzureError(Answer(404), "NotFound")
        match request.method, parts[1:]:
            case "GET", ["v2.0", ".well-known", "openid-configuration"]:
                return self._configuration(request, self._tenant(parts[0], cloud, error="invalid_tenant"))
            case "GET", ["discovery", "v2.0", "keys"]:
                return Answer(200, self._tokens.key_set())
            case "POST", ["oauth2", "v2.0", "token"]:
                return await self._token(request, parts[0], cloud, asked)
        raise AzureError(Answer(404), "NotFound")

    # Discovery

    def _tenant(self, name: str, cloud: Cloud, error: str = "invalid_request") -> Tenant:
        for tenant in self.tenants.values():
            if name.lower() in (tenant.id, tenant.domain) and tenant.cloud is cloud:
                return tenant
        raise entra_error(
            400,
            error,
            90002,
            f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into "
            "the correct cloud. Check with your subscription administrator, this may happen if there are no "
            "active subscriptions for the tenant.",
        )

    def _configuration(self, request: Request, tenant: Tenant) -> Answer:
        base = f"{base_of(request)}/{tenant.id}"
        return Answer(
            200,
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "tenant_region_scope": "EU",
                "cloud_instance_name": tenant.cloud.login_hosts[0],
            },
        )

    @staticmethod
    def _instances(request: Request) -> Answer:
        wanted = request.query.get("authorization_endpoint", "")
        found = re.fullmatch(r"https://([^/]+)/([^/]+)/oauth2/(?:v2\.0/)?authorize", wanted)
        hosts = {host for cloud in CLOUDS.values() for host in cloud.login_hosts} - _UNKNOWN_HOSTS
        if found is None or found[1].lower() not in hosts:
            raise entra_error(400, "invalid_instance", 50049, "Unknown or invalid instance.")
        metadata = [
            {
                "preferred_network": cloud.login_hosts[0],
                "preferred_cache": cloud.login_hosts[0],
                "aliases": list(cloud.login_hosts),
            }
            for cloud in CLOUDS.values()
        ]
        endpoint = f"https://{found[1]}/{found[2]}/v2.0/.well-known/openid-configuration"
        return Answer(
            200, {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": metadata}
        )

    # Tokens

    async def _token(self, request: Request, name: str, cloud: Cloud, asked: Asked) -> Answer:
        form = request.form()
        grant = _needed(form, "grant_type")
        client_id = _needed(form, "client_id")
        asked.client_id = client_id
        if grant != "client_credentials":
            raise entra_error(
                400,
                "unsupported_grant_type",
                70003,
                f"The app requested an unsupported grant type '{grant}'.",
            )
        if name.lower() in _SHARED:
            raise entra_error(
                400,
                "invalid_request",
                50059,
                "No tenant-identifying information found in either the request or implied by any provided "
                "credentials.",
            )
        tenant = self._tenant(name, cloud)
        identity = tenant.identities.get(client_id.lower())
        if identity is None or identity.kind == "system":
            raise entra_error(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory '{tenant.domain}'. This "
                "can happen if the application has not been installed by the administrator of the tenant or "
                "consented to by any user in the tenant. You may have sent your authentication request to the "
                "wrong tenant.",
            )
        proof = await self._prove(request, form, identity, asked)
        if identity.disabled:
            raise entra_error(
                401,
                "unauthorized_client",
                7000112,
                f"Application '{client_id}'({tenant.domain}) is disabled.",
            )
        resource = _resource(_needed(form, "scope"), tenant)
        asked.oid = identity.oid
        token, seconds = self._tokens.issue(identity, resource, proof=proof)
        content = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds}
        return Answer(200, {**content, "access_token": token})

    async def _prove(
        self, request: Request, form: Mapping[str, str], identity: Identity, asked: Asked
    ) -> str:
        """How the client proved that it is the identity: `appidacr` of its token."""
        assertion = form.get("client_assertion", "")
        if assertion:
            if form.get("client_assertion_type") != _ASSERTION:
                raise entra_error(
                    400,
                    "invalid_request",
                    50027,
                    "JWT token is invalid or malformed: the assertion's type is not supported.",
                )
            asked.subject = await check_assertion(request, assertion, identity, self._issuers)
            return "2"
        secret = form.get("client_secret", "")
        if not secret:
            raise entra_error(
                401,
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )
        check_secret(secret, identity)
        return "1"


def _needed(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise entra_error(
            400,
            "invalid_request",
            900144,
            f"The request body must contain the following parameter: '{name}'.",
        )
    return form[name]


def _resource(scope: str, tenant: Tenant) -> str:
    resource, dot, rest = scope.rpartition("/.default")
    if not dot or rest or " " in scope:
        raise entra_error(
            400,
            "invalid_scope",
            1002012,
            f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
            "with /.default suffixed to the resource identifier (application ID URI).",
        )
    if resource.rstrip("/").lower() not in tenant.cloud.resources:
        raise entra_error(
            400,
            "invalid_resource",
            500011,
            f"The resource principal named {resource} was not found in the tenant named {tenant.domain}. This can "
            "happen if the application has not been installed by the administrator of the tenant or consented to "
            "by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
        )
    return resource


def correlation_headers(request: Request) -> dict[str, str]:
    """The headers that every answer has."""
    headers = {"x-ms-request-id": str(uuid.uuid4()), "x-ms-ests-server": "2.1.1 - double"}
    if "client-request-id" in request.headers:
        headers["client-request-id"] = request.headers["client-request-id"]
    return headers
