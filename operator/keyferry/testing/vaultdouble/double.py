"""The double's server: which node answers, in which namespace, to whom; see the package's docstring."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from keyferry.testing.authority import Authority
from keyferry.testing.vault.front import Front, Request, Response
from keyferry.testing.vaultdouble import answers
from keyferry.testing.vaultdouble.answers import Asked, Refusal, document
from keyferry.testing.vaultdouble.space import Space, World, may
from keyferry.testing.vaultdouble.tokens import Token, new_value, seconds

Product = Literal["vault-enterprise", "vault", "openbao"]
Node = Literal["active", "standby", "performance-standby", "dr-secondary", "sealed", "uninitialised"]
VERSIONS: Final[Mapping[Product, str]] = {
    "vault-enterprise": "1.19.0+ent",
    "vault": "1.19.0",
    "openbao": "2.3.1",
}
_HEALTH: Final[Mapping[Node, tuple[int, str]]] = {
    "active": (200, "activecode"),
    "standby": (429, "standbycode"),
    "performance-standby": (473, "performancestandbycode"),
    "dr-secondary": (472, "drsecondarycode"),
    "sealed": (503, "sealedcode"),
    "uninitialised": (501, "uninitcode"),
}
DEFAULT_TTL_S: Final = 2_764_800


class VaultDouble(Front):
    """See the package's docstring.

    Args:
        authority: signs its certificate; one of its own if left out.
        product: what it is: `vault` ignores namespaces, refuses to forward and tells no index, as the community
            edition does.
        forwarding: whether it takes the headers that ask for the active node: an operator of Enterprise sets that.

    Attributes:
        root: the root namespace.
        node: what kind of node answers.
        active_url: where a standby sends clients that want no forwarding.
    """

    def __init__(
        self,
        authority: Authority | None = None,
        *,
        product: Product = "vault-enterprise",
        forwarding: bool = True,
    ) -> None:
        self.product = product
        self.forwarding = forwarding and product == "vault-enterprise"
        self.node: Node = "active"
        self.active_url = ""
        self._world = World()
        self._behind: World | None = None
        self._ahead_s = 0.0
        self._data = threading.RLock()
        self._cluster_id = secrets.token_hex(8)
        super().__init__(authority or Authority())

    # -- set-up

    @property
    def root(self) -> Space:
        """The root namespace."""
        return self._world.spaces[""]

    def namespace(self, path: str) -> Space:
        """A namespace, made where it is missing, with those above it."""
        space = self.root
        for part in path.strip("/").split("/") if path.strip("/") else []:
            deeper = f"{space.path}/{part}".strip("/")
            space = self._world.spaces.setdefault(deeper, Space(deeper))
        return space

    def token(self, *policies: str, namespace: str = "", **settings: Any) -> Token:
        """A token of a namespace; `settings` as of `Token`: `ttl_s`, `max_ttl_s`, `period_s`, `uses`, `renewable`."""
        return self._make("token", [*policies], self.namespace(namespace), "auth/token/create", settings)

    def tokens(self) -> list[Token]:
        """The tokens that live."""
        with self._data:
            return [token for token in self._world.tokens.values() if token.expires > self._now()]

    def revoke(self, accessor: str) -> None:
        """End a token."""
        with self._data:
            for token in self.tokens():
                if token.accessor == accessor:
                    del self._world.tokens[token.value]

    def advance(self, seconds_: float) -> None:
        """Let so much time pass at once: tokens expire."""
        self._ahead_s += seconds_

    # -- a node that is behind

    def lag(self) -> None:
        """From now on answer as a performance standby that gets to know of no write; `catch_up` ends it."""
        with self._data:
            self.node, self._behind = "performance-standby", self._world.copied()

    def catch_up(self) -> None:
        """Know of all writes; it stays a performance standby."""
        with self._data:
            self._behind = None

    # -- answers

    def answer(self, request: Request) -> Response:
        """What Vault answers."""
        with self._data:
            try:
                return self._answer(request)
            except Refusal as refusal:
                return refusal.response

    def _answer(self, request: Request) -> Response:
        path = request.path
        if path == "sys/health":
            return self._health(request)
        if path == "sys/seal-status":
            return Response(200, {"type": "shamir", **self._state(), "t": 1, "n": 1, "progress": 0})
        if path == "sys/leader":
            told = {"ha_enabled": True, "is_self": self.node == "active", "leader_address": self.active_url}
            return Response(200, told | {"performance_standby": self.node == "performance-standby"})
        self._is_it_served_here(request)
        wanted = answers.asked(request, path)
        index = self._world.index
        response = self._in_namespace(request, wanted, self._view(request, wanted))
        if self.product == "vault-enterprise" and self._world.index != index:
            response.headers["X-Vault-Index"] = self._index_header()
        return response

    def _is_it_served_here(self, request: Request) -> None:
        """Raises the refusal, or the way to another node, that this node answers with.

        Raises:
            Refusal: it is not.
        """
        if self.node in {"sealed", "uninitialised"}:
            raise Refusal(503, "Vault is sealed")
        if self.node == "dr-secondary":
            raise Refusal(400, "path disabled in replication DR secondary mode")
        header = request.headers.get("x-vault-inconsistent", "")
        for name, asked in (
            ("X-Vault-Forward", request.headers.get("x-vault-forward", "")),
            ("X-Vault-Inconsistent=forward-active-node", header == "forward-active-node"),
        ):
            if asked and not self.forwarding:
                raise Refusal(400, f"forwarding via header {name} disabled in configuration")
        # Else a standby forwards by itself, and the client does not learn of it.
        if self.node == "standby" and request.headers.get("x-vault-no-request-forwarding"):
            if not self.active_url:
                raise Refusal(500, "local node not active but active cluster node not found")
            redirect = Refusal(307)
            redirect.response = Response(307, None, {"Location": f"{self.active_url}{request.target}"})
            raise redirect

    def _view(self, request: Request, wanted: Asked) -> World:
        """The data that answer: this node's, or where it must be newer the active node's.

        Raises:
            Refusal: this node is behind what the client has seen.
        """
        reading = wanted.operation in {"read", "list"}
        if self.product != "vault-enterprise":
            return self._world
        header = request.headers.get("x-vault-index", "")
        required = self._required(header) if header else 0
        if self._behind is None or request.headers.get("x-vault-forward") == "active-node":
            return self._world
        if required > self._behind.index:
            if request.headers.get("x-vault-inconsistent") == "forward-active-node":
                return self._world
            raise Refusal(412, "required index state not present")
        return self._behind if reading else self._world

    def _in_namespace(self, request: Request, wanted: Asked, view: World) -> Response:
        named = request.headers.get("x-vault-namespace", "").strip("/")
        if self.product == "vault" or named == "root":
            named = ""
        located = view.locate(named, wanted.path)
        if located is None:
            if self.product == "openbao":
                raise Refusal(404, "namespace not found")
            if view.token(request.headers.get("x-vault-token", ""), self._now()) is None:
                raise Refusal(403, "permission denied")
            raise answers.no_route(f"{named}/{wanted.path}")
        space, path = located
        wanted = Asked(wanted.operation, path, wanted.query, wanted.body)
        if (login := space.login_at(path)) is not None:
            return self._log_in(space, login, wanted)
        token = self._caller(request, view)
        allowed = view.allowed(token, space, path.rstrip("/"))
        found = space.engine(path)
        exists = found is None or found[1].exists(path.removeprefix(found[0]).strip("/"))
        if not may(allowed | view.allowed(token, space, path), wanted, exists=exists):
            if path.startswith("sys/internal/ui/mounts/") and self._sees_mount(view, token, space, path):
                return self._mount_told(space, path)
            raise answers.permission_denied()
        return self._route(token, space, wanted)

    def _route(self, token: Token, space: Space, wanted: Asked) -> Response:
        path = wanted.path
        if path.startswith("auth/token/"):
            return self._token_of_oneself(token, wanted)
        if path == "sys/capabilities-self" and wanted.operation == "update":
            told = {
                one: sorted(self._world.allowed(token, space, one)) or ["deny"]
                for one in wanted.body.get("paths", [])
            }
            return document(told, mount="system")
        if path.startswith("sys/internal/ui/mounts/"):
            return self._mount_told(space, path)
        if path.startswith("sys/"):
            raise Refusal(404, "1 error occurred:\n\t* unsupported path\n\n")
        found = space.engine(path)
        if found is None:
            raise answers.no_route(f"{space.path}/{path}".strip("/"))
        if wanted.operation not in {"read", "list"}:
            self._world.index += 1
        return found[1].answer(wanted.below(found[0]))

    def _token_of_oneself(self, token: Token, wanted: Asked) -> Response:
        part = wanted.path.removeprefix("auth/token/")
        if part == "lookup-self" and wanted.operation == "read":
            return document(token.told(self._now()), mount="token")
        if part == "renew-self" and wanted.operation == "update":
            mine = self._world.tokens[token.value]
            mine.renew(self._now(), seconds(wanted.body.get("increment")))
            self._world.index += 1
            return document(auth=mine.granted(), mount="token")
        if part == "revoke-self" and wanted.operation == "update":
            self._world.tokens.pop(token.value, None)
            self._world.index += 1
            return Response(204)
        raise Refusal(404, "1 error occurred:\n\t* unsupported path\n\n")

    def _log_in(self, space: Space, at: tuple[str, Any, str], wanted: Asked) -> Response:
        mount, login, user = at
        if wanted.operation != "update":
            raise Refusal(405, "unsupported operation")
        granted = login.log_in(user, wanted.body)
        path = f"auth/{mount}/login{f'/{user}' if user else ''}"
        name = f"{mount}-{granted.display_name}"
        token = self._make(name, [*granted.policies], space, path, dict(granted.settings))
        token.metadata = granted.metadata
        return document(auth=token.granted())

    def _make(
        self, name: str, policies: list[str], space: Space, path: str, settings: dict[str, Any]
    ) -> Token:
        with self._data:
            value = new_value("s." if self.product == "openbao" else "hvs.")
            ttl_s = settings.pop("ttl_s", settings.get("period_s") or DEFAULT_TTL_S)
            listed = sorted({*policies, *(() if "root" in policies else ("default",))})
            accessor = secrets.token_urlsafe(18)
            made = Token(value, accessor, listed, space.path, path, name, self._now(), ttl_s, **settings)
            self._world.tokens[value] = made
            self._world.index += 1
            return made

    def _caller(self, request: Request, view: World) -> Token:
        value = request.headers.get("x-vault-token", "")
        bearer = request.headers.get("authorization", "")
        if not value and bearer.lower().startswith("bearer "):
            value = bearer[7:]
        if not value:
            raise Refusal(403, "permission denied")
        token = view.token(value, self._now())
        if token is None:
            raise answers.invalid_token()
        if token.uses:
            token.uses -= 1
            if not token.uses:
                self._world.tokens.pop(value, None)
        return token

    @staticmethod
    def _sees_mount(view: World, token: Token, space: Space, path: str) -> bool:
        """Whether a token may know of a mount: it may do something below it."""
        found = space.engine(path.removeprefix("sys/internal/ui/mounts/"))
        own = view.spaces[token.space]
        below = space.path.removeprefix(own.path).strip("/")
        prefix = f"{below}/{found[0]}/".lstrip("/") if found else ""
        rules = [rule for name in token.policies for rule in own.policies.get(name, {})]
        return found is not None and any(rule.startswith(prefix) for rule in rules)

    @staticmethod
    def _mount_told(space: Space, path: str) -> Response:
        wanted = path.removeprefix("sys/internal/ui/mounts/")
        found = space.engine(wanted)
        if found is None:
            said = f'preflight capability check returned 403, please ensure client\'s policies grant access to path "{wanted}/"'
            raise Refusal(403, said)
        mount, engine = found
        told = {"path": f"{mount}/", "type": "kv", "options": {"version": str(engine.version)}}
        return document(told)

    # -- the node

    def _now(self) -> float:
        return time.time() + self._ahead_s

    def _state(self) -> dict[str, Any]:
        return {
            "initialized": self.node != "uninitialised",
            "sealed": self.node in {"sealed", "uninitialised"},
            "version": VERSIONS[self.product],
            "cluster_name": "vault-cluster-double",
            "cluster_id": self._cluster_id,
        }

    def _health(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            raise Refusal(405)
        status, parameter = _HEALTH[self.node]
        query = request.query
        fine = (self.node == "standby" and "standbyok" in query) or (
            self.node == "performance-standby" and {"perfstandbyok", "standbyok"} & set(query)
        )
        if fine and not {query.get("standbyok"), query.get("perfstandbyok")} & {"false"}:
            status, parameter = _HEALTH["active"]
        if query.get(parameter, "").isdigit():
            status = int(query[parameter])
        told = {
            **self._state(),
            "standby": self.node not in {"active", "dr-secondary"},
            "performance_standby": self.node == "performance-standby",
            "replication_performance_mode": "disabled",
            "replication_dr_mode": "secondary" if self.node == "dr-secondary" else "disabled",
            "server_time_utc": int(self._now()),
            "enterprise": self.product == "vault-enterprise",
        }
        return Response(status, told)

    def _index_header(self) -> str:
        state = f"v1:{self._cluster_id}:{self._world.index}:0"
        return base64.b64encode(f"{state}:{self._signed(state)}".encode()).decode()

    def _required(self, header: str) -> int:
        """The state that a client has seen.

        Raises:
            Refusal: we never said so.
        """
        try:
            said = base64.b64decode(header, validate=True).decode()
            state, _, signature = said.rpartition(":")
            version, cluster, index, _ = state.split(":")
        except ValueError:
            raise Refusal(400, "invalid state header format") from None
        if version != "v1" or not secrets.compare_digest(signature, self._signed(state)):
            raise Refusal(400, "invalid hmac in state header")
        return int(index) if cluster == self._cluster_id else 0

    def _signed(self, state: str) -> str:
        return hashlib.sha256(f"{self._cluster_id}{state}".encode()).hexdigest()
