"""A kubeconfig that a tenant keeps in a Secret: its current context, with nothing that reaches out of the file.

No programs, no files, no proxies, no server that goes unchecked: the operator would run, read and trust what a
tenant writes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyferry.clusters import ClientCertificate
from keyferry.errors import SpecError
from keyferry.secretdata import SecretBytes

MAX_BYTES: Final = 64 * 1024
_MAX_DEPTH: Final = 20
_REFUSED: Final[Mapping[str, Mapping[str, str]]] = {
    "cluster": {
        "certificate-authority": "names a file: use certificate-authority-data",
        "insecure-skip-tls-verify": "is not allowed: whoever answers there would get the credentials",
        "proxy-url": "is not allowed: the operator's own proxy settings count",
        "tls-server-name": "is not supported: let the server's address be a name in its certificate",
    },
    "user": {
        "exec": "names a program, which is not run",
        "auth-provider": "is not supported",
        "client-certificate": "names a file: use client-certificate-data",
        "client-key": "names a file: use client-key-data",
        "tokenFile": "names a file: use token",
        "username": "is not supported: no API server takes passwords any more",
        "password": "is not supported: no API server takes passwords any more",
        **dict.fromkeys(("as", "as-uid", "as-groups", "as-user-extra"), "is not supported"),
    },
}
"""What a kubeconfig may not say, and why."""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What counts of the current context."""

    server: str
    ca_pem: bytes = b""
    token: SecretBytes | None = field(default=None, repr=False)
    certificate: ClientCertificate | None = field(default=None, repr=False)


def read_kubeconfig(text: SecretBytes, where: str) -> Kubeconfig:
    """The current context of a kubeconfig.

    Args:
        where: it is kept, for errors.

    Raises:
        SpecError: it cannot be used; nothing of its content is told but names of fields.
    """
    document = _loaded(text.reveal(), where)
    context = _entry(document, "contexts", "context", document.get("current-context"), where)
    cluster = _entry(document, "clusters", "cluster", context.get("cluster"), where)
    user = _entry(document, "users", "user", context.get("user"), where)
    for what, entry in (("cluster", cluster), ("user", user)):
        for name, why in _REFUSED[what].items():
            if entry.get(name) and not entry.get(f"{name}-data"):
                raise SpecError(f"the kubeconfig in {where}: {name} {why}")
    server = cluster.get("server")
    if not isinstance(server, str) or not server:
        raise SpecError(f"the kubeconfig in {where} names no server")
    certificate, key = _data(user, "client-certificate", where), _data(user, "client-key", where)
    token = user.get("token")
    if not token and not (certificate and key):
        raise SpecError(
            f"the kubeconfig in {where} has no login: neither token, nor client-certificate-data and client-key-data"
        )
    return Kubeconfig(
        server,
        _data(cluster, "certificate-authority", where),
        SecretBytes(str(token)) if token else None,
        ClientCertificate(certificate, SecretBytes(key)) if certificate and key else None,
    )


def _loaded(text: bytes, where: str) -> Mapping[str, Any]:
    """The document: checked for what is small and grows when it is read, before it is built."""
    import yaml

    if len(text) > MAX_BYTES:
        raise SpecError(f"the kubeconfig in {where} has more than {MAX_BYTES >> 10} KiB")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH or isinstance(event, yaml.AliasEvent):
                raise SpecError(f"the kubeconfig in {where} has aliases, or is nested too deep")
        document = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, UnicodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SpecError(f"the kubeconfig in {where} is no YAML that can be read")
    return document


def _entry(
    document: Mapping[str, Any], section: str, what: str, name: object, where: str
) -> Mapping[str, Any]:
    entries = document.get(section)
    for entry in entries if isinstance(entries, list) else ():
        if (
            isinstance(entry, dict)
            and name
            and entry.get("name") == name
            and isinstance(entry.get(what), dict)
        ):
            found: Mapping[str, Any] = entry[what]
            return found
    raise SpecError(f"the kubeconfig in {where} has no {what} of its current context")


def _data(entry: Mapping[str, Any], name: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(str(entry.get(f"{name}-data") or "").split()), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise SpecError(f"the kubeconfig in {where}: {name}-data is no base64")
