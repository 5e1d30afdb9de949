"""GitlabDeployToken: a deploy token of a project or group. It lasts until it is revoked, by `cleanup`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec

from keyferry.api.generators.gitlab import GitlabDeployTokenSpec
from keyferry.api.model import Model
from keyferry.clock import Clock
from keyferry.core.generator_spec import check_selectors, spec_path, typed, value_of, where
from keyferry.duration import parse_go_duration_nanos
from keyferry.errors import AuthFailed, ForbiddenError, SpecError
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.providers.outgoing import Address, Ask, Outgoing, decoded, unreadable
from keyferry.secretdata import SecretData

DEFAULT_URL: Final = "https://gitlab.com"
MIN_LIFETIME: Final = timedelta(hours=24)

_SERVICE: Final = "GitLab"
_HINTS: Final = {
    400: "Check scopes, username and expiresAt; some scopes are for projects alone",
    401: "The access token in the Secret may be revoked or expired",
    403: "The access token needs the scope api, and the role Maintainer in the project or Owner in the group",
    422: "Check name, username and expiresAt",
    404: "Check projectID or groupID, and that the access token may see it",
}


class _Token(msgspec.Struct):
    id: int
    username: str
    token: str


class _State(
    msgspec.Struct, rename={"project_id": "projectID", "group_id": "groupID", "token_id": "tokenID"}
):
    """Where a token was made, and which: as the established operator writes it.

    So each of the two can take back what the other one made.
    """

    url: str = ""
    project_id: str = ""
    group_id: str = ""
    token_id: int = 0


class GitlabDeployTokenGenerator:
    """See the module's docstring.

    Args:
        outgoing: the way to GitLab.
        clock: for tokens with an end.
    """

    kind: ClassVar[str] = "GitlabDeployToken"
    spec: ClassVar[type[Model]] = GitlabDeployTokenSpec
    stateful: ClassVar[bool] = True

    def __init__(self, outgoing: Outgoing, clock: Clock) -> None:
        self._outgoing = outgoing
        self._clock = clock

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, GitlabDeployTokenSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        check_selectors(spec, view.key.namespace, path)
        if bool(spec.project_id) == bool(spec.group_id):
            raise SpecError(f"{path}: exactly one of projectID or groupID must be set")
        if spec.expires_at is not None and spec.expires_after:
            raise SpecError(f"{path}: expiresAt and expiresAfter are mutually exclusive")
        if spec.expires_after and _duration(spec.expires_after) < MIN_LIFETIME:
            raise SpecError(f"{path}.expiresAfter must be at least 24h")
        self._expiry(spec, path)
        self._address(view, spec)

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("username", "token")

    def _address(self, view: GeneratorView, spec: GitlabDeployTokenSpec) -> Address:
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        return self._outgoing.check(spec.url, DEFAULT_URL, f"{path}.url")

    def _expiry(self, spec: GitlabDeployTokenSpec, path: str) -> str | None:
        """When a token that is made now is to end, as GitLab reads it."""
        if spec.expires_after:
            try:
                moment = self._clock.now() + _duration(spec.expires_after)
            except OverflowError:
                raise SpecError(f"{path}.expiresAfter is too long") from None
        elif spec.expires_at is not None:
            try:
                moment = datetime.fromisoformat(spec.expires_at)
            except ValueError:
                raise SpecError(
                    f"{path}.expiresAt is no moment as RFC 3339 writes it",
                    hint='Write "2030-01-31T12:00:00Z"',
                ) from None
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        else:
            return None
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`. The state tells which token was made where."""
        spec = typed(view.spec, GitlabDeployTokenSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        body: dict[str, Any] = {"name": spec.name, "scopes": spec.scopes}
        if spec.username:
            body["username"] = spec.username
        if expiry := self._expiry(spec, path):
            body["expires_at"] = expiry
        state = _State(spec.url, spec.project_id or "", spec.group_id or "")
        ask = Ask(
            _SERVICE,
            "CreateDeployToken",
            self._address(view, spec),
            "POST",
            _collection(state),
            await self._headers(view, spec, cluster),
            body,
        )
        reply = await self._outgoing.ask(ask)
        if reply.status not in (200, 201):
            what = f'deploy token "{spec.name}" in {_place(state)}'
            raise self._outgoing.refused(reply, ask, what=what, hint=_HINTS.get(reply.status, ""))
        made = decoded(reply, ask, _Token)
        if not made.token or made.id <= 0:
            raise unreadable(ask)
        state.token_id = made.id
        return Generated(
            SecretData({"username": made.username, "token": made.token}), msgspec.json.encode(_filled(state))
        )

    async def _headers(
        self, view: GeneratorView, spec: GitlabDeployTokenSpec, cluster: ClusterAccess
    ) -> dict[str, str]:
        selector = spec.auth.token.secret_ref
        namespace = where(selector, view.key.namespace, view.namespace)
        found = await cluster.read_secret(namespace, selector.name)
        # A line break at the end is what `echo` leaves behind, never a part of a token.
        token = value_of(found.data, selector, namespace).reveal().strip()
        if not token.isascii() or not token.decode().isprintable():
            raise AuthFailed(
                f'key "{selector.key}" of Secret "{namespace}/{selector.name}" is no access token',
                hint="Write it as GitLab showed it",
            )
        return {"PRIVATE-TOKEN": token.decode(), "Accept": "application/json"}

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """Revoke the token that the state tells of; one that is gone already is fine.

        Raises:
            ForbiddenError: the state tells of another place than the spec, whose access token is not for it.
        """
        try:
            made = msgspec.json.decode(state, type=_State)
        except msgspec.DecodeError:
            raise SpecError("the generator's state is none of a GitlabDeployToken") from None
        if not made.token_id:
            return
        spec = typed(view.spec, GitlabDeployTokenSpec)
        address = self._address(view, spec)
        if self._outgoing.check(made.url, DEFAULT_URL, "the state's url").base != address.base:
            raise ForbiddenError(
                f"the token was made at another address than {address.field} names, and the access token is not sent there",
                hint="Revoke it at GitLab",
            )
        if (made.project_id, made.group_id) != (spec.project_id or "", spec.group_id or ""):
            raise ForbiddenError(
                f"the token was made in {_place(made)}, which the generator does not name",
                hint="Revoke it at GitLab",
            )
        ask = Ask(
            _SERVICE,
            "DeleteDeployToken",
            address,
            "DELETE",
            f"{_collection(made)}/{made.token_id}",
            await self._headers(view, spec, cluster),
        )
        reply = await self._outgoing.ask(ask)
        if reply.status != 404 and not 200 <= reply.status < 300:
            what = f"the end of deploy token {made.token_id} in {_place(made)}"
            raise self._outgoing.refused(reply, ask, what=what, hint=_HINTS.get(reply.status, ""))

    async def close(self) -> None:
        """End the connections."""
        await self._outgoing.close()


def _duration(text: str) -> timedelta:
    return timedelta(microseconds=parse_go_duration_nanos(text) / 1000)


def _collection(state: _State) -> str:
    kind, name = ("projects", state.project_id) if state.project_id else ("groups", state.group_id)
    return f"/api/v4/{kind}/{quote(name, safe='')}/deploy_tokens"


def _place(state: _State) -> str:
    return f'project "{state.project_id}"' if state.project_id else f'group "{state.group_id}"'


def _filled(state: _State) -> dict[str, Any]:
    """The state without its empty fields, but with the url."""
    return {"url": state.url} | {key: value for key, value in msgspec.to_builtins(state).items() if value}
