"""GithubAccessToken: a token of a GitHub App's installation, asked for as the App itself.

The App proves itself with a short-lived JSON Web Token that its private key signs (RS256).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import msgspec

from keyferry.aio import ThreadDoor
from keyferry.api.generators.github import GithubAccessTokenSpec
from keyferry.api.model import Model
from keyferry.clock import Clock
from keyferry.core.generator_spec import check_selectors, spec_path, typed, value_of, where
from keyferry.errors import AuthFailed, ProviderError, RateLimited, SpecError, after
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.providers.outgoing import Address, Ask, Outgoing, Reply, decoded, unreadable
from keyferry.secretdata import SecretBytes, SecretData

DEFAULT_URL: Final = "https://api.github.com"
LIFETIME: Final = timedelta(minutes=5)
"""Of the App's own token; GitHub takes ten minutes at most, and clocks differ."""
SKEW: Final = timedelta(seconds=60)
"""So much earlier the token says it was issued: GitHub refuses one from its future."""
THREADS: Final = 2

_SERVICE: Final = "GitHub"
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_HINTS: Final = {
    401: "Check appID, that the private key is one of this App's, and the clock of the operator's node",
    403: "The installation may be suspended: look at it in the organization's settings",
    404: "Check appID, installID and url; the address of github.com's API is https://api.github.com",
    422: "repositories and permissions must be among those that the installation has",
}


class _Answer(msgspec.Struct):
    token: str


class GithubAccessTokenGenerator:
    """See the module's docstring.

    Args:
        outgoing: the way to GitHub.
        clock: for the App's own token.
    """

    kind: ClassVar[str] = "GithubAccessToken"
    spec: ClassVar[type[Model]] = GithubAccessTokenSpec
    stateful: ClassVar[bool] = False

    def __init__(self, outgoing: Outgoing, clock: Clock) -> None:
        self._outgoing = outgoing
        self._clock = clock
        self._door = ThreadDoor("github-key", THREADS)

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, GithubAccessTokenSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        check_selectors(spec, view.key.namespace, path)
        if not spec.app_id:
            raise SpecError(f"{path}.appID must be set")
        if _NUMBER.fullmatch(spec.install_id) is None:
            raise SpecError(
                f"{path}.installID must be a number", hint="The installation's page has it in its address"
            )
        self._address(view, spec)

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("token",)

    def _address(self, view: GeneratorView, spec: GithubAccessTokenSpec) -> Address:
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        return self._outgoing.check(spec.url, DEFAULT_URL, f"{path}.url")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, GithubAccessTokenSpec)
        selector = spec.auth.private_key.secret_ref
        namespace = where(selector, view.key.namespace, view.namespace)
        found = await cluster.read_secret(namespace, selector.name)
        key = value_of(found.data, selector, namespace)
        proof = await self._door.run(_signed, key, spec.app_id, self._clock.now())
        if proof is None:
            raise AuthFailed(
                f'key "{selector.key}" of Secret "{namespace}/{selector.name}" is no RSA private key as PEM',
                hint="Write it as GitHub gave it, with its first and last line",
            )
        body: dict[str, Any] = {}
        if spec.repositories:
            body["repositories"] = spec.repositories
        if spec.permissions:
            body["permissions"] = spec.permissions
        ask = Ask(
            _SERVICE,
            "CreateInstallationAccessToken",
            self._address(view, spec),
            "POST",
            f"/app/installations/{spec.install_id}/access_tokens",
            {
                "Authorization": f"Bearer {proof}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            body or None,
        )
        reply = await self._outgoing.ask(ask)
        if reply.status not in (200, 201):
            raise self._refused(reply, ask, spec)
        token = decoded(reply, ask, _Answer).token
        if not token:
            raise unreadable(ask)
        return Generated(SecretData({"token": token}))

    def _refused(self, reply: Reply, ask: Ask, spec: GithubAccessTokenSpec) -> ProviderError:
        if reply.status == 403 and reply.headers.get("x-ratelimit-remaining") == "0":
            reset = reply.headers.get("x-ratelimit-reset", "")
            pause = float(reset) - self._clock.now().timestamp() if _NUMBER.fullmatch(reset) else None
            return RateLimited(
                f"{_SERVICE} at {ask.address.host} asks for fewer calls (status 403)",
                hint="The App's hourly limit is used up: raise refreshInterval",
                retry=after(max(0.0, pause)) if pause is not None else None,
            )
        what = f"a token of installation {spec.install_id}"
        return self._outgoing.refused(reply, ask, what=what, hint=_HINTS.get(reply.status, ""))

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """A token ends by itself, after an hour."""

    async def close(self) -> None:
        """Let go of the threads, and end the connections."""
        self._door.close()
        await self._outgoing.close()


def _signed(key: SecretBytes, app_id: str, now: datetime) -> str | None:
    """The App's own token; None where the key is none that can sign it. In a thread: large keys take their time."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        private = serialization.load_pem_private_key(key.reveal(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(private, rsa.RSAPrivateKey):
        return None
    issued = int((now - SKEW).timestamp())
    claims = {"iat": issued, "exp": int((now + LIFETIME).timestamp()), "iss": app_id}
    head = _base64url(msgspec.json.encode({"alg": "RS256", "typ": "JWT"}))
    signed = f"{head}.{_base64url(msgspec.json.encode(claims))}"
    return f"{signed}.{_base64url(private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
