"""Generators of AWS: ECRAuthorizationToken, STSSessionToken."""

from __future__ import annotations

from typing import Annotated

from keyferry.api.model import Model, schema
from keyferry.api.providers.aws import AWSAuth


class ECRAuthorizationTokenSpec(Model, frozen=True, kw_only=True):
    """A login for Amazon's container registry.

    It is under the keys username, password, proxy_endpoint and expires_at, and lasts 12 hours.
    """

    region: str
    """The region, such as eu-central-1."""
    auth: AWSAuth = AWSAuth()
    """Who asks; the identity that the SDK finds in the operator's surroundings if unset."""
    role: str = ""
    """ARN of a role to assume before any call."""
    scope: str = ""
    """private for the registries of an account, public for the public gallery; private if unset."""


class STSSessionTokenRequestParameters(Model, frozen=True, kw_only=True):
    """What is asked of AWS."""

    session_duration: Annotated[int | None, schema(format="int64")] = None
    """Seconds that the credentials last, from 900 to 129600; 43200 if unset."""
    serial_number: str = ""
    """Serial number or ARN of the caller's MFA device, where AWS asks for one."""
    token_code: str = ""
    """Token that the MFA device shows."""


class STSSessionTokenSpec(Model, frozen=True, kw_only=True):
    """Temporary AWS credentials.

    They are under the keys access_key_id, secret_access_key, session_token and expiration.
    """

    region: str
    """The region, such as eu-central-1."""
    auth: AWSAuth = AWSAuth()
    """Who asks; the identity that the SDK finds in the operator's surroundings if unset."""
    role: str = ""
    """ARN of a role to assume before any call."""
    request_parameters: STSSessionTokenRequestParameters | None = None
    """What is asked of AWS."""
