"""A namespace of the double: its engines, logins, policies. Tests set it up with these methods."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from keyferry.testing.vault.logins import AppRole
from keyferry.testing.vaultdouble.answers import Asked
from keyferry.testing.vaultdouble.kv import Engine, KvV1, KvV2
from keyferry.testing.vaultdouble.logins import (
    AppRoleLogin,
    AwsLogin,
    GcpLogin,
    Login,
    PasswordLogin,
    PublicKey,
    Role,
)
from keyferry.testing.vaultdouble.tokens import DEFAULT_POLICY, Rules, Token, capabilities


@dataclass(slots=True)
class Space:
    """A namespace. Methods are named as those of the real server's `Administrator`.

    Args:
        path: its own, without slashes at the ends; empty for the root.
    """

    path: str = ""
    mounts: dict[str, Engine] = field(default_factory=dict)
    logins: dict[str, Login] = field(default_factory=dict)
    policies: dict[str, Rules] = field(default_factory=lambda: {"default": DEFAULT_POLICY})

    # -- key/value secrets

    def mount_kv(self, mount: str, version: int = 2) -> None:
        """Mount an engine there, where none is mounted yet."""
        self.mounts.setdefault(mount.strip("/"), KvV2() if version == 2 else KvV1())

    def put(self, mount: str, key: str, data: Mapping[str, Any]) -> int:
        """Write a secret; the number of its new version, 0 in an engine of version 1."""
        engine = self.mounts[mount.strip("/")]
        if engine.version == 1:
            engine.answer(Asked("update", key, {}, dict(data)))
            return 0
        answer = engine.answer(Asked("update", f"data/{key}", {}, {"data": dict(data)}))
        return int(answer.content["data"]["version"])

    def annotate(
        self, mount: str, key: str, custom: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        """Set a secret's custom_metadata, and `max_versions`, `cas_required`."""
        metadata = {} if custom is None else {"custom_metadata": dict(custom)}
        self._change(mount, f"metadata/{key}", metadata | settings)

    def delete(self, mount: str, key: str, *versions: int) -> None:
        """Delete the newest version of a secret, or these."""
        engine = self.mounts[mount.strip("/")]
        if versions:
            self._change(mount, f"delete/{key}", {"versions": list(versions)})
        else:
            engine.answer(Asked("delete", f"data/{key}" if engine.version == 2 else key, {}, {}))

    def destroy(self, mount: str, key: str, *versions: int) -> None:
        """Destroy versions for good."""
        self._change(mount, f"destroy/{key}", {"versions": list(versions)})

    def _change(self, mount: str, path: str, body: dict[str, Any]) -> None:
        self.mounts[mount.strip("/")].answer(Asked("update", path, {}, body))

    # -- policies and logins

    def policy(self, name: str, rules: Rules) -> str:
        """Write a policy: capabilities by path, below this namespace; its name."""
        self.policies[name] = dict(rules)
        return name

    def ldap_user(
        self, name: str, password: str, policies: Sequence[str], *, path: str = "ldap", **settings: Any
    ) -> None:
        """A user of a directory that `auth/PATH` asks; `settings` of the tokens: `ttl_s`, `max_ttl_s`, `uses`, …."""
        login = self._login(path, lambda: PasswordLogin("ldap operation failed: failed to bind as user"))
        if isinstance(login, PasswordLogin):
            login.users[name] = (password, Role((), policies, settings))

    def user(
        self, name: str, password: str, policies: Sequence[str], *, path: str = "userpass", **settings: Any
    ) -> None:
        """A user with a password."""
        login = self._login(path, lambda: PasswordLogin("invalid username or password"))
        if isinstance(login, PasswordLogin):
            login.users[name] = (password, Role((), policies, settings))

    def app_role(
        self, role: str, policies: Sequence[str], *, path: str = "approle", **settings: Any
    ) -> AppRole:
        """A role for programs, with a secret id."""
        login = self._login(path, AppRoleLogin)
        made = AppRole(secrets.token_hex(16), secrets.token_hex(16))
        if isinstance(login, AppRoleLogin):
            login.roles[made.role_id] = (role, made.secret_id, Role((), policies, settings))
        return made

    def aws(self, sts: str, *, path: str = "aws", server_id: str = "") -> None:
        """Enable a login by AWS identities: STS is at `sts`, such as the endpoint of `StrictAws`.

        Args:
            sts: passed on what the caller has signed, and says who that is.
            path: below `auth/`.
            server_id: what X-Vault-AWS-IAM-Server-ID must say.
        """
        self.logins[path] = AwsLogin(sts, server_id)

    def aws_role(
        self, role: str, arns: Iterable[str], policies: Sequence[str], *, path: str = "aws", **settings: Any
    ) -> None:
        """Let these users or roles (`arn:aws:iam::ACCOUNT:role/NAME`) log in; none named: everybody."""
        login = self.logins[path]
        if isinstance(login, AwsLogin):
            login.roles[role] = Role(tuple(arns), policies, settings)

    def gcp(self, keys: Mapping[tuple[str, str], PublicKey], *, path: str = "gcp") -> None:
        """Enable a login by service accounts, whose public keys are these, by (e-mail address, key id)."""
        self.logins[path] = GcpLogin(keys)

    def gcp_role(
        self, role: str, emails: Iterable[str], policies: Sequence[str], *, path: str = "gcp", **settings: Any
    ) -> None:
        """Let these service accounts log in; `max_jwt_exp_s` (900) is how far ahead their tokens may expire."""
        login = self.logins[path]
        if isinstance(login, GcpLogin):
            login.roles[role] = Role(tuple(emails), policies, settings)

    def _login(self, path: str, make: Any) -> Login:
        login: Login = self.logins.setdefault(path, make())
        return login

    # -- what is asked of it

    def engine(self, path: str) -> tuple[str, Engine] | None:
        """The mount that a path is below, and its engine."""
        found = [mount for mount in self.mounts if f"{path}/".startswith(f"{mount}/")]
        return (max(found, key=len), self.mounts[max(found, key=len)]) if found else None

    def login_at(self, path: str) -> tuple[str, Login, str] | None:
        """Mount, login, and user (where one is named) for `auth/MOUNT/login[/USER]`."""
        for mount, login in self.logins.items():
            prefix = f"auth/{mount}/login"
            if path == prefix and not isinstance(login, PasswordLogin):
                return mount, login, ""
            if isinstance(login, PasswordLogin) and path.startswith(f"{prefix}/"):
                return mount, login, path.removeprefix(f"{prefix}/")
        return None

    def copied(self) -> Self:
        """As it is now; logins stay the same, as nobody logs in at a copy."""
        return type(self)(self.path, copy.deepcopy(self.mounts), self.logins, copy.deepcopy(self.policies))


class World:
    """All that a server holds: namespaces and tokens, and how often it was written to."""

    def __init__(self) -> None:
        self.spaces: dict[str, Space] = {"": Space()}
        self.tokens: dict[str, Token] = {}
        self.index = 0

    def copied(self) -> World:
        """As it is now."""
        other = World()
        other.spaces = {path: space.copied() for path, space in self.spaces.items()}
        other.tokens = copy.deepcopy(self.tokens)
        other.index = self.index
        return other

    def locate(self, namespace: str, path: str) -> tuple[Space, str] | None:
        """The namespace that is meant, and the path in it; its path may begin with more namespaces."""
        space = self.spaces.get(namespace.strip("/"))
        if space is None:
            return None
        while True:
            first, _, rest = path.partition("/")
            deeper = self.spaces.get(f"{space.path}/{first}".strip("/")) if first else None
            if deeper is None or deeper is space:
                return space, path
            space, path = deeper, rest

    def allowed(self, token: Token, space: Space, path: str) -> set[str]:
        """What a token may do at a path of a namespace: of its own, and of those below."""
        own = self.spaces[token.space]
        if "root" in token.policies:
            return {"root"} if _within(space.path, own.path) else set()
        if not _within(space.path, own.path):
            return set()
        below = space.path.removeprefix(own.path).strip("/")
        rules = [own.policies[name] for name in token.policies if name in own.policies]
        return capabilities(rules, f"{below}/{path}" if below else path)

    def token(self, value: str, now: float) -> Token | None:
        """The token of that value, if it is good."""
        found = self.tokens.get(value)
        return found if found is not None and found.expires > now else None


def _within(path: str, parent: str) -> bool:
    return not parent or path == parent or path.startswith(f"{parent}/")


def may(allowed: set[str], asked: Asked, *, exists: bool) -> bool:
    """Whether these capabilities are enough."""
    if "root" in allowed:
        return True
    if asked.operation == "update":
        return ("update" if exists else "create") in allowed
    return asked.operation in allowed
