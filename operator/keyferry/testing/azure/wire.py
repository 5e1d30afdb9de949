"""What goes over the wire: a request as it came, and the errors of each service in its own form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from keyferry.testing.httpdouble import Answer

_AADSTS_URI: Final = "https://login.microsoftonline.com/error?code="


@dataclass(frozen=True, slots=True)
class Request:
    """A request. Header names and the host are lower case; the host is without its port.

    Args:
        port: where it was meant to go, 443 unless it says otherwise.
        path: decoded, without an empty last part.
        query: each parameter's first value.
    """

    method: str
    host: str
    port: int
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def parts(self) -> list[str]:
        """The path's parts."""
        return [part for part in self.path.split("/") if part]

    @property
    def authority(self) -> str:
        """Host and port, as links in answers name them."""
        return f"{self.host}:{self.port}"

    def form(self) -> dict[str, str]:
        """The body as a form; a parameter that comes twice counts by its last value."""
        found = parse_qs(self.body.decode(errors="replace"), keep_blank_values=True)
        return {name: values[-1] for name, values in found.items()}

    def json(self) -> dict[str, Any]:
        """The body as an object.

        Raises:
            AzureError: it is none.
        """
        try:
            content = json.loads(self.body or b"{}")
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise vault_error(400, "BadParameter", "The request body is not a valid JSON object.")
        return content

    @property
    def bearer(self) -> str:
        """The token that it bears; empty for none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


class AzureError(Exception):
    """A service says no.

    Args:
        answer: what it answers.
        code: the error's code, for the call log.
    """

    def __init__(self, answer: Answer, code: str) -> None:
        super().__init__(code)
        self.answer = answer
        self.code = code


def entra_error(status: int, error: str, code: int, text: str, **headers: str) -> AzureError:
    """An error of Entra ID.

    Args:
        error: the OAuth error.
        code: the number behind AADSTS.
    """
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    told = f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {moment}"
    content = {
        "error": error,
        "error_description": told,
        "error_codes": [code],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{_AADSTS_URI}{code}",
    }
    return AzureError(Answer(status, content, dict(headers)), f"AADSTS{code}")


def vault_error(status: int, code: str, text: str, inner: str = "", **headers: str) -> AzureError:
    """An error of Key Vault.

    Args:
        inner: the code of the inner error; empty for none.
    """
    error: dict[str, Any] = {"code": code, "message": text}
    if inner:
        error["innererror"] = {"code": inner}
    return AzureError(Answer(status, {"error": error}, dict(headers)), inner or code)


def registry_error(status: int, code: str, text: str, **headers: str) -> AzureError:
    """An error of a container registry."""
    content = {"errors": [{"code": code, "message": text}]}
    return AzureError(Answer(status, content, dict(headers)), code)


def machine_error(status: int, error: str, text: str) -> AzureError:
    """An error of the metadata service of a machine."""
    return AzureError(Answer(status, {"error": error, "error_description": text}), error)


def site_error(status: int, text: str) -> AzureError:
    """An error of App Service's token endpoint."""
    return AzureError(Answer(status, {"statusCode": status, "message": text}), f"Site{status}")
