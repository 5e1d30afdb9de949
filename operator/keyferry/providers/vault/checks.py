"""What of a vault block can be judged without asking anybody: its fields, and its trust boundaries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keyferry.api.meta import SecretKeySelector
from keyferry.api.providers.vault import VaultAuth, VaultGCPAuth, VaultIamAuth, VaultKubernetesAuth
from keyferry.api.providers.vault import VaultProvider as VaultBlock
from keyferry.core.addresses import AddressPolicy
from keyferry.core.origins import TrustedVaults
from keyferry.core.stores import check_references
from keyferry.errors import ForbiddenError, SpecError
from keyferry.ports import AmbientIdentity, ObjectKey
from keyferry.providers.outgoing import Address, Outgoing

_METHODS: Final = (
    "token_secret_ref",
    "app_role",
    "kubernetes",
    "ldap",
    "user_pass",
    "jwt",
    "cert",
    "iam",
    "gcp",
)
"""In the order in which the reference operator looks for one."""
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OURS: Final = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-vault-inconsistent",
        "x-vault-index",
        "x-vault-request",
        "x-vault-token",
        "x-vault-wrap-ttl",
    }
)
"""Headers that decide who asks, or how a message is framed."""
_NAMESPACE_HEADER: Final = "x-vault-namespace"
_MOUNT: Final = re.compile(r"[^\x00-\x20\x7f?#%\\]{1,512}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vault block stands.

    Args:
        owner: the store or generator.
        path: of the block in it, for errors.
    """

    owner: ObjectKey
    path: str

    @property
    def cluster_scoped(self) -> bool:
        """Whether references may name a namespace of their own."""
        return not self.owner.namespace


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator's flags say.

    Args:
        ambient: who may use the operator's own identity.
        trusted: Vaults that the platform gives tokens for the API server.
        addresses: what may be connected to.
        outgoing: reads addresses.
    """

    ambient: AmbientIdentity
    trusted: TrustedVaults
    addresses: AddressPolicy
    outgoing: Outgoing

    def address(self, block: VaultBlock, place: Place) -> Address:
        """The server's address.

        Raises:
            SpecError: it is none.
            ForbiddenError: it is none that may be connected to.
        """
        if not block.server.strip():
            raise SpecError(f"{place.path}.server must be set")
        return self.outgoing.check(block.server, "", f"{place.path}.server")

    def check(self, block: VaultBlock, place: Place) -> None:
        """Check a block.

        Raises:
            SpecError, NotAvailableError, ForbiddenError: see `ports.Provider.check`.
        """
        check_references(block, place.owner.namespace, place.path)
        self.address(block, place)
        _check_headers(block, place.path)
        _check_pair(block, place.path)
        for name, mount in _mounts(block):
            check_mount(mount, f"{place.path}.{name}")
        if block.auth is None:
            return  # a proxy of Vault's own logs in, and adds its token to what comes without
        _check_method(block.auth, f"{place.path}.auth")
        if method_uses_ambient(block.auth):
            self._check_ambient(block, place)

    def _check_ambient(self, block: VaultBlock, place: Place) -> None:
        """Check that the store may use the operator's own identity at this Vault.

        Raises:
            ForbiddenError: it may not.
        """
        hint = f"Set {place.path}.auth.kubernetes.serviceAccountRef, or another identity of the store's own"
        what = "generator" if not place.owner.kind.endswith("SecretStore") else "store"
        if not self.ambient.allows(cluster_scoped=place.cluster_scoped):
            raise ForbiddenError(
                f"the {what} names no identity of its own, and --ambient-identity={self.ambient.value} does not "
                "let it use the operator's",
                hint=hint,
            )
        if not place.cluster_scoped and not self.trusted.includes(block.server):
            raise ForbiddenError(
                f"the {what} names no identity of its own, and the operator's is not shown to a Vault that a "
                "namespace chooses",
                hint=f"{hint}; or let the platform add the server to --trusted-vaults",
            )


def method_of(auth: VaultAuth) -> str:
    """The login method that is set; empty for none."""
    return next((name for name in _METHODS if getattr(auth, name) is not None), "")


def method_uses_ambient(auth: VaultAuth) -> bool:
    """Whether the operator's own identity is what logs in."""
    match getattr(auth, method_of(auth) or "namespace"):
        case VaultKubernetesAuth(service_account_ref=None, secret_ref=None):
            return True
        case VaultIamAuth(secret_ref=None, jwt=None):
            return True
        case VaultGCPAuth(secret_ref=None, workload_identity=None):
            return True
    return False


def check_mount(mount: str, field: str) -> None:
    """Check a path in Vault.

    Raises:
        SpecError: it leads elsewhere than it looks, or cannot be one.
    """
    plain = mount.strip("/")
    if not plain or _MOUNT.fullmatch(plain) is None or {".", "..", ""} & set(plain.split("/")):
        raise SpecError(f"{field} is not a path in Vault")


def _mounts(block: VaultBlock) -> Iterable[tuple[str, str]]:
    if block.path is not None:
        yield "path", block.path
    auth = block.auth
    if auth is None:
        return
    for name, method, field in (
        ("appRole", auth.app_role, "path"),
        ("kubernetes", auth.kubernetes, "mount_path"),
        ("ldap", auth.ldap, "path"),
        ("userPass", auth.user_pass, "path"),
        ("jwt", auth.jwt, "path"),
        ("cert", auth.cert, "path"),
        ("gcp", auth.gcp, "path"),
    ):
        if method is not None and (mount := getattr(method, field)):
            yield f"auth.{name}.{'mountPath' if field == 'mount_path' else 'path'}", mount
    if auth.iam is not None and auth.iam.path:
        yield "auth.iam.path", auth.iam.path


def _check_headers(block: VaultBlock, path: str) -> None:
    for name, value in block.headers.items():
        field = f'{path}.headers["{name[:64]}"]'
        if _HEADER.fullmatch(name) is None:
            raise SpecError(f"{field} is no name of a header")
        if name.lower() in _OURS:
            raise SpecError(f"{field} is set by Keyferry alone", hint="Remove it")
        if name.lower() == _NAMESPACE_HEADER and block.namespace is not None:
            raise SpecError(f"{field} contradicts {path}.namespace", hint="Remove the header")
        if not value.isprintable() or value != value.strip() or not value.isascii():
            raise SpecError(f"{field} has a value that no header may have")


def _check_pair(block: VaultBlock, path: str) -> None:
    tls = block.tls
    if (tls.cert_secret_ref is None) != (tls.key_secret_ref is None):
        raise SpecError(f"{path}.tls needs both certSecretRef and keySecretRef")
    if block.check_and_set is not None and block.check_and_set.required and block.version == "v1":
        raise SpecError(f"{path}.checkAndSet needs version v2 of the KV engine")


def _check_method(auth: VaultAuth, path: str) -> None:
    """Check that the method in use has what it needs. Others are not looked at, as in the reference operator."""
    method = method_of(auth)
    if not method:
        raise SpecError(f"{path} names no way to log in", hint="Set one, such as kubernetes or appRole")
    missing = [name for name, is_there in _needs(auth, method) if not is_there]
    if missing:
        raise SpecError(f"{path}.{missing[0]} must be set")


def _needs(auth: VaultAuth, method: str) -> list[tuple[str, bool]]:
    """What a method cannot do without, and whether it is there."""
    match method:
        case "jwt" | "iam" | "gcp":
            return _needs_of_proof(auth)
        case "app_role" if (app := auth.app_role) is not None:
            ids = [] if app.role_id else _selector("appRole.roleRef", app.role_ref)
            return [*_selector("appRole.secretRef", app.secret_ref), *ids]
        case "kubernetes" if (kubernetes := auth.kubernetes) is not None:
            token = kubernetes.secret_ref if kubernetes.service_account_ref is None else None
            return [
                ("kubernetes.role", bool(kubernetes.role)),
                ("kubernetes.secretRef.name", token is None or bool(token.name)),
            ]
        case "ldap" if (ldap := auth.ldap) is not None:
            return [("ldap.username", bool(ldap.username)), *_selector("ldap.secretRef", ldap.secret_ref)]
        case "user_pass" if (user := auth.user_pass) is not None:
            named = ("userPass.username", bool(user.username))
            return [named, *_selector("userPass.secretRef", user.secret_ref)]
        case "cert" if (cert := auth.cert) is not None:
            shown = _selector("cert.clientCert", cert.client_cert, key=False)
            return [*shown, *_selector("cert.secretRef", cert.secret_ref, key=False)]
    return _selector("tokenSecretRef", auth.token_secret_ref)


def _needs_of_proof(auth: VaultAuth) -> list[tuple[str, bool]]:
    """The same for methods that prove who somebody is elsewhere."""
    if (jwt := auth.jwt) is not None:
        if jwt.secret_ref is not None:
            return _selector("jwt.secretRef", jwt.secret_ref)
        token = jwt.kubernetes_service_account_token
        return [("jwt.secretRef or jwt.kubernetesServiceAccountToken", token is not None)]
    if auth.iam is not None:
        return [("iam.vaultRole", bool(auth.iam.vault_role)), *_aws_keys(auth.iam)]
    if (gcp := auth.gcp) is None or gcp.secret_ref is None:
        return [("gcp.role", gcp is not None and bool(gcp.role))]
    key = gcp.secret_ref.secret_access_key
    return [("gcp.role", bool(gcp.role)), *_selector("gcp.secretRef.secretAccessKeySecretRef", key)]


def _selector(name: str, selector: SecretKeySelector | None, *, key: bool = True) -> list[tuple[str, bool]]:
    """What a selector needs: a name, and a key where there is none by default."""
    named = (f"{name}.name", selector is not None and bool(selector.name))
    return [named, (f"{name}.key", selector is not None and bool(selector.key))] if key else [named]


def _aws_keys(iam: VaultIamAuth) -> list[tuple[str, bool]]:
    if iam.jwt is not None:
        return [("iam.jwt.serviceAccountRef", iam.jwt.service_account_ref is not None)]
    if iam.secret_ref is None:
        return []
    return [
        *_selector("iam.secretRef.accessKeyIDSecretRef", iam.secret_ref.access_key_id),
        *_selector("iam.secretRef.secretAccessKeySecretRef", iam.secret_ref.secret_access_key),
    ]
