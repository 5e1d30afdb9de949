"""A small synchronous client of the API server, for tests, the demo and benchmarks.

Paths in, decoded JSON out, one connection per call. The operator itself uses `keyferry.kube`, so that
what tests see of the cluster does not pass through the code under test.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

import yaml

from keyferry.errors import (
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeInvalid,
    KubeNotFound,
    KubeUnavailable,
)

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""
Objects = list[Object]

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
ERRORS: dict[int, type[KubeError]] = {
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
    410: KubeGone,
    422: KubeInvalid,
    429: KubeUnavailable,
}
TIMEOUT_S = 30.0


def path_of(
    api_version: str, plural: str, *, namespace: str = "", name: str = "", subresource: str = ""
) -> str:
    """The URL path of a collection or, with a name, of an object.

    `path_of("v1", "secrets", namespace="team-a", name="db")` is `/api/v1/namespaces/team-a/secrets/db`.
    """
    parts = ["/apis" if "/" in api_version else "/api", api_version]
    parts += ["namespaces", namespace] if namespace else []
    parts += [part for part in (plural, name, subresource) if part]
    return "/".join(parts)


class KubeClient:
    """Calls to one API server as one user.

    Every method raises a `KubeError` with the server's own message: `KubeNotFound`, `KubeConflict`,
    `KubeForbidden` (also for 401), `KubeInvalid`, `KubeUnavailable` (no answer, 429, 5xx).

    Args:
        server: its URL.
        ca_pem: the certificate authority that vouches for it.
        token: the bearer token; empty to call anonymously.
    """

    def __init__(self, server: str, ca_pem: str, token: str = "") -> None:
        self._server = server.rstrip("/")
        self._token = token
        context = ssl.create_default_context(cadata=ca_pem)
        # No proxy: the environment's is for the world outside.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        """The first cluster and the first user of a kubeconfig with inline CA and token."""
        config = yaml.safe_load(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], ca_pem, config["users"][0]["user"].get("token", ""))

    def get(self, path: str, **query: Any) -> Object:
        """The object at the path."""
        return self._json("GET", path, query)

    def find(self, path: str) -> Object | None:
        """The object at the path, None where there is none."""
        try:
            return self.get(path)
        except KubeNotFound:
            return None

    def list(self, path: str, **query: Any) -> Objects:
        """All items of the collection, over as many pages as it takes."""
        items: Objects = []
        while True:
            page = self.get(path, **query)
            items += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

    def post(self, path: str, body: Object, **query: Any) -> Object:
        """Create the object in the collection at the path; as the server has stored it."""
        return self._json("POST", path, query, body)

    def put(self, path: str, body: Object, **query: Any) -> Object:
        """Replace the object."""
        return self._json("PUT", path, query, body)

    def patch(self, path: str, body: Any, *, kind: str = "merge", **query: Any) -> Object:
        """Patch the object.

        Args:
            path: the object's, or its subresource's.
            body: the patch.
            kind: `merge`, `json`, `strategic`, or `apply`, which needs `fieldManager` in the query.
            query: further parameters.
        """
        return self._json("PATCH", path, query, body, PATCH_TYPES[kind])

    def delete(self, path: str, **query: Any) -> None:
        """Delete the object, or all of a collection; it may end later than this returns."""
        self._json("DELETE", path, query)

    def text(self, path: str, **query: Any) -> str:
        """A path that is no JSON, such as `/metrics`."""
        return self._call("GET", path, query).decode()

    def _json(
        self, method: str, path: str, query: dict[str, Any], body: Any = None, kind: str = "application/json"
    ) -> Object:
        answer: Object = json.loads(self._call(method, path, query, body, kind))
        return answer

    def _call(
        self, method: str, path: str, query: dict[str, Any], body: Any = None, kind: str = "application/json"
    ) -> bytes:
        url = self._server + path + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Accept": "application/json, */*", "Content-Type": kind}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        what = f"{method} {path}"
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise _failure(what, error.code, error.read()) from None
        except OSError as error:
            cause = getattr(error, "reason", error)
            raise KubeUnavailable(f"{what}: {cause}") from None


def _failure(what: str, status: int, body: bytes) -> KubeError:
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace")
    kind = KubeForbidden if status == 401 else ERRORS.get(status)
    if kind is None:
        kind = KubeUnavailable if status >= 500 else KubeError
    return kind(f"{what}: {status} {message}", status=status)
