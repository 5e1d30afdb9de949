"""The shapes of Vault's answers: documents, refusals, and what a request wants of a path."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from keyferry.testing.vault.front import Request, Response

Operation = Literal["read", "list", "update", "patch", "delete"]
_OPERATIONS: Final[dict[str, Operation]] = {
    "GET": "read",
    "LIST": "list",
    "POST": "update",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


class Refusal(Exception):
    """Vault says no.

    Args:
        status: of the answer.
        errors: what it says; none where there is nothing.
    """

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.response = Response(status, {"errors": list(errors)})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as a handler sees it.

    Args:
        operation: what it wants.
        path: below the handler's own, without slashes at its ends but the one that a list may have.
    """

    operation: Operation
    path: str
    query: dict[str, str]
    body: dict[str, Any]

    def below(self, prefix: str) -> Asked:
        """The same for what is under `prefix`."""
        return Asked(self.operation, self.path.removeprefix(prefix).lstrip("/"), self.query, self.body)


def asked(request: Request, path: str) -> Asked:
    """A request as a handler sees it.

    Raises:
        Refusal: it is malformed.
    """
    operation = _OPERATIONS.get(request.method)
    if operation is None:
        raise Refusal(405)
    if operation == "read" and request.query.get("list", "").lower() in {"1", "t", "true"}:
        operation = "list"
    if operation == "patch" and "merge-patch+json" not in request.headers.get("content-type", ""):
        given = request.headers.get("content-type", "")
        raise Refusal(415, f"PATCH requires Content-Type of application/merge-patch+json, provided {given}")
    try:
        body = request.json()
    except ValueError:
        raise Refusal(400, "failed to parse JSON input") from None
    if operation == "list":
        path = f"{path.rstrip('/')}/"  # what is asked for is a folder, also where policies are looked up
    return Asked(operation, path, request.query, body)


def permission_denied() -> Refusal:
    """A good token may not do it."""
    return Refusal(403, "1 error occurred:\n\t* permission denied\n\n")


def invalid_token() -> Refusal:
    """The token is none, or no longer."""
    return Refusal(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")


def no_route(path: str) -> Refusal:
    """Nothing is mounted there."""
    return Refusal(404, f'no handler for route "{path}". route entry not found.')


def document(
    data: Any = None,
    *,
    auth: Any = None,
    status: int = 200,
    warnings: Sequence[str] = (),
    lease_s: int = 0,
    mount: str = "",
) -> Response:
    """A document as nearly all of Vault's answers are one."""
    content = {
        "request_id": str(uuid.uuid4()),
        "lease_id": "",
        "renewable": False,
        "lease_duration": lease_s,
        "data": data,
        "wrap_info": None,
        "warnings": list(warnings) or None,
        "auth": auth,
        "mount_type": mount,
    }
    return Response(status, content)
