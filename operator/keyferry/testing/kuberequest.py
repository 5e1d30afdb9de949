"""What a request to the API server asks for: verb, resource, namespace, name, read from its URL.

As the API server itself reads it (its documentation calls this request attributes). `apiproxy` uses
it to aim faults and to count.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class KubeRequest:
    """A request, as RBAC would see it.

    Args:
        method, path: as on the wire, the path without its query.
        verb: get, list, watch, create, update, patch, delete, deletecollection; the method in lower case
            for paths that name no resource.
        resource: plural, with its subresource: `secrets`, `externalsecrets/status`; empty for other paths.
        namespace, name: empty where the request has none.
    """

    method: str
    path: str
    verb: str
    resource: str = ""
    namespace: str = ""
    name: str = ""


def read_kube_request(method: str, path: str, query: str) -> KubeRequest:
    """What a request asks for."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        parts = parts[2:]
    elif parts[:1] == ["apis"]:
        parts = parts[3:]
    else:
        parts = []
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in {"status", "finalize"}:
        namespace, parts = parts[1], parts[2:]
    if not parts:
        return KubeRequest(method, path, method.lower())
    resource, name, sub = [*parts, "", ""][:3]
    arguments = parse_qs(query)
    if method == "GET":
        watching = arguments.get("watch", [""])[0] in {"1", "true", "True"}
        verb = "watch" if watching else "get" if name else "list"
    elif method == "DELETE" and not name:
        verb = "deletecollection"
    else:
        verb = _VERBS.get(method, method.lower())
    return KubeRequest(method, path, verb, f"{resource}/{sub}" if sub else resource, namespace, name)


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """Which requests are meant, each field a glob over the field of that name in `KubeRequest`.

    Args:
        user_agent: over the client's User-Agent.
    """

    verb: str = "*"
    resource: str = "*"
    namespace: str = "*"
    name: str = "*"
    method: str = "*"
    path: str = "*"
    user_agent: str = "*"

    def matches(self, request: KubeRequest, user_agent: str) -> bool:
        """Whether a request is meant."""
        pairs = (
            (request.verb, self.verb),
            (request.resource, self.resource),
            (request.namespace, self.namespace),
            (request.name, self.name),
            (request.method, self.method),
            (request.path, self.path),
            (user_agent, self.user_agent),
        )
        return all(pattern == "*" or fnmatch.fnmatchcase(value, pattern) for value, pattern in pairs)
