"""How to reach the API server: from inside a pod, or from a kubeconfig.

Tokens are read again from time to time, because projected tokens rotate. Exec plugins are run as the
client authentication protocol says (client.authentication.k8s.io/v1 and v1beta1).
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from keyferry.clientcert import ClientCertificateError, load_client_certificate
from keyferry.errors import KubeError

SERVICE_ACCOUNT_DIR: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_REREAD_S: Final = 60.0
_EXEC_TIMEOUT_S: Final = 30.0
_EXEC_EARLY_S: Final = 60.0
_NOT_SUPPORTED: Final = ("tls-server-name", "as", "as-uid", "as-groups", "as-user-extra", "auth-provider")


class TokenSource:
    """A bearer token that may change: read anew when its time has come.

    Args:
        read: gives the token and for how many seconds it may be used before it is read again; blocking.
    """

    def __init__(self, read: Callable[[], tuple[str, float]]) -> None:
        self._read = read
        self._token = ""
        self._until = 0.0

    def token(self, *, fresh: bool = False) -> str:
        """The token to use now.

        Args:
            fresh: read it again in any case, for example after the server refused it.
        """
        now = time.monotonic()
        if fresh or now >= self._until:
            self._token, lifetime = self._read()
            self._until = now + lifetime
        return self._token


@dataclass(frozen=True)
class ClusterConfig:
    """Address and credentials of an API server.

    Args:
        server: base URL, without a slash at the end.
        ca_pem: the server's CA; empty for the system's.
        insecure: do not verify the server (kubeconfigs may say so).
        namespace: the default namespace of the credentials.
        client_certificate: PEM certificate and key, where that is the login.
        username, password: basic authentication, where that is the login.
    """

    server: str
    ca_pem: str = ""
    insecure: bool = False
    namespace: str = "default"
    tokens: TokenSource | None = field(default=None, repr=False)
    client_certificate: tuple[str, str] | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)  # its URL may hold a password

    def proxy_url(self) -> str | None:
        """The proxy to use: the configuration's own, else what HTTPS_PROXY and NO_PROXY say of the server.

        Asked for once: aiohttp's own look at the environment costs two thread switches a request.
        """
        if self.proxy:
            return self.proxy
        parts = urllib.parse.urlsplit(self.server)
        if urllib.request.proxy_bypass(parts.netloc) or _is_in_no_proxy(parts.hostname or ""):
            return None
        return urllib.request.getproxies().get(parts.scheme)

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings, None for a plain http server.

        Raises:
            KubeError: the CA, the client certificate or its key cannot be used; nothing of them is told.
        """
        if not self.server.startswith("https:"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca_pem or None)
            if self.ca_pem:
                # From Python 3.13 on strict by default: it refuses CAs as EKS and old installers make them
                # (no key identifiers), which every other client of the cluster accepts.
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.client_certificate is not None:
                certificate, key = self.client_certificate
                load_client_certificate(context, certificate.encode(), key.encode())
        except (ssl.SSLError, ValueError, TypeError) as error:
            why = error.reason if isinstance(error, ssl.SSLError) and error.reason else type(error).__name__
            why = str(error) if isinstance(error, ClientCertificateError) else why
            raise KubeError(
                f"the certificates for the API server cannot be used: {why}",
                hint="Check its CA, and the client certificate and key",
            ) from None
        return context


def _is_in_no_proxy(host: str) -> bool:
    """Whether NO_PROXY holds a network of the host's address: usual in clusters, unknown to urllib."""
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for entry in listed.split(","):
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def load_config(kubeconfig: str | None = None, context: str | None = None) -> ClusterConfig:
    """The configuration by the usual rules: the given file, $KUBECONFIG, the pod's own, ~/.kube/config.

    Raises:
        KubeError: none is there or it cannot be used; says what was looked for.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    if named:
        # Several files in $KUBECONFIG are merged by kubectl; we take the first that exists.
        for name in [kubeconfig] if kubeconfig else named.split(os.pathsep):
            if name and (path := Path(name).expanduser()).exists():
                return from_kubeconfig(path, context)
        raise KubeError(f"the kubeconfig {named!r} does not exist", hint="Check --kubeconfig or KUBECONFIG")
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster()
    home = Path.home() / ".kube" / "config"
    if home.exists():
        return from_kubeconfig(home, context)
    raise KubeError(
        "no API server is configured: not in a pod, no --kubeconfig, no $KUBECONFIG, no ~/.kube/config",
        hint="Give --kubeconfig FILE",
    )


def in_cluster(folder: Path = SERVICE_ACCOUNT_DIR) -> ClusterConfig:
    """The pod's own: service host and port, the mounted CA, and the projected token, read every minute."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if ":" in host:
        host = f"[{host}]"
    try:
        ca_pem = (folder / "ca.crt").read_text()
        namespace = (folder / "namespace").read_text().strip()
    except OSError as error:
        raise KubeError(f"the pod's service account files cannot be read: {error.strerror}") from error
    return ClusterConfig(
        f"https://{host}:{port}",
        ca_pem,
        namespace=namespace,
        tokens=file_token(folder / "token"),
    )


def file_token(path: Path) -> TokenSource:
    """A token kept in a file that somebody else renews."""
    return TokenSource(lambda: (path.read_text().strip(), TOKEN_REREAD_S))


def from_kubeconfig(path: Path, context: str | None = None) -> ClusterConfig:
    """One context of a kubeconfig file.

    Args:
        path: the file.
        context: the context's name; None for its current one.

    Raises:
        KubeError: the file or an entry in it is missing or malformed.
    """
    import yaml  # a dependency of kopf; only people's kubeconfigs need it

    try:
        document = yaml.safe_load(path.read_text())
        name = context or document.get("current-context", "")
        chosen = _entry(document, "contexts", "context", name)
        cluster = _entry(document, "clusters", "cluster", chosen["cluster"])
        user = _entry(document, "users", "user", chosen["user"]) if chosen.get("user") else {}
        return _config(path.parent, cluster, user, chosen.get("namespace") or "default")
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        # The text of a YAML error quotes the file, which holds credentials: only its kind is told.
        raise KubeError(f"the kubeconfig {str(path)!r} cannot be used: {type(error).__name__}") from None


def _entry(document: Mapping[str, Any], section: str, what: str, name: str) -> Mapping[str, Any]:
    for entry in document.get(section) or []:
        if entry.get("name") == name:
            found: Mapping[str, Any] = entry.get(what) or {}
            return found
    raise KubeError(f"the kubeconfig has no {what} {name!r}")


def _config(base: Path, cluster: Mapping[str, Any], user: Mapping[str, Any], namespace: str) -> ClusterConfig:
    for name in _NOT_SUPPORTED:
        if cluster.get(name) or user.get(name):
            # Left out silently, it would make us somebody else, or fail with a cause that misleads.
            raise KubeError(f"the kubeconfig sets {name!r}, which is not supported")
    certificate = _inline_or_file(base, user, "client-certificate")
    key = _inline_or_file(base, user, "client-key")
    basic = None
    if user.get("username") and user.get("password"):
        basic = (str(user["username"]), str(user["password"]))  # YAML makes numbers of digits
    proxy = cluster.get("proxy-url")
    if proxy and not str(proxy).startswith(("http://", "https://")):
        raise KubeError("the kubeconfig's proxy-url is no http or https proxy: others are not supported")
    return ClusterConfig(
        server=str(cluster["server"]).rstrip("/"),
        ca_pem=_inline_or_file(base, cluster, "certificate-authority"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        namespace=namespace,
        tokens=_token_source(base, user),
        client_certificate=(certificate, key) if certificate and key else None,
        basic=basic,
        proxy=str(proxy) if proxy else None,
    )


def _inline_or_file(base: Path, entry: Mapping[str, Any], name: str) -> str:
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return (base / entry[name]).read_text() if entry.get(name) else ""


def _token_source(base: Path, user: Mapping[str, Any]) -> TokenSource | None:
    if user.get("tokenFile"):
        return file_token(base / user["tokenFile"])
    if user.get("token"):
        token = str(user["token"])
        return TokenSource(lambda: (token, float("inf")))
    if user.get("exec"):
        spec = user["exec"]
        return TokenSource(lambda: _exec_token(spec, base))
    return None


def _exec_token(spec: Mapping[str, Any], base: Path) -> tuple[str, float]:
    """Run a client authentication plugin once: its token, and for how long to keep it."""
    try:
        info = {"apiVersion": spec["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
        environment = os.environ | {e["name"]: e["value"] for e in spec.get("env") or []}
        environment["KUBERNETES_EXEC_INFO"] = json.dumps(info)
        program = str(spec["command"])
        if os.sep in program:
            program = str(base / program)  # relative to the kubeconfig; a bare name is looked for in PATH
        command = [program, *(spec.get("args") or [])]
        done = subprocess.run(  # noqa: S603 - the user's own kubeconfig names the command
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_EXEC_TIMEOUT_S,
            check=True,
        )
        status = json.loads(done.stdout)["status"]
        return str(status["token"]), _exec_lifetime(status.get("expirationTimestamp"))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise KubeError(
            f"the kubeconfig's credential plugin {spec.get('command')!r} failed: {type(error).__name__}",
            hint=spec.get("installHint") or "Run it by hand to see why",
        ) from None


def _exec_lifetime(ends: str | None) -> float:
    if not ends:
        return float("inf")
    left = datetime.fromisoformat(ends).timestamp() - time.time()
    return max(1.0, left - _EXEC_EARLY_S)
