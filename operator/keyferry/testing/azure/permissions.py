"""Who may do what in a vault: role assignments (Azure RBAC) or access policies, never both."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from keyferry.testing.azure.objects import Kind
from keyferry.testing.azure.tokens import Grant
from keyferry.testing.azure.wire import AzureError, vault_error

Operation = Literal["get", "list", "set", "create", "import", "update", "delete", "recover", "purge"]
Mode = Literal["rbac", "policy"]
_PREFIX: Final = "Microsoft.KeyVault/vaults/"

_ACTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("secrets", "get"): "secrets/getSecret/action",
    ("secrets", "list"): "secrets/readMetadata/action",
    ("secrets", "set"): "secrets/setSecret/action",
    ("secrets", "update"): "secrets/update/action",
    ("secrets", "delete"): "secrets/delete",
    ("secrets", "recover"): "secrets/recover/action",
    ("secrets", "purge"): "secrets/purge/action",
    ("keys", "get"): "keys/read",
    ("keys", "list"): "keys/read",
    ("keys", "create"): "keys/create/action",
    ("keys", "import"): "keys/import/action",
    ("keys", "update"): "keys/update/action",
    ("keys", "delete"): "keys/delete",
    ("keys", "recover"): "keys/recover/action",
    ("keys", "purge"): "keys/purge/action",
    ("certificates", "get"): "certificates/read",
    ("certificates", "list"): "certificates/read",
    ("certificates", "import"): "certificates/import/action",
    ("certificates", "update"): "certificates/update/action",
    ("certificates", "delete"): "certificates/delete",
    ("certificates", "recover"): "certificates/recover/action",
    ("certificates", "purge"): "certificates/purge/action",
}
"""The data action of each operation."""
_POLICY_NAMES: Final[Mapping[tuple[str, str], str]] = {("secrets", "update"): "set"}
"""Operations that access policies call otherwise."""

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "Key Vault Administrator": ("*",),
    "Key Vault Reader": ("certificates/read", "keys/read", "secrets/readMetadata/action"),
    "Key Vault Secrets User": ("secrets/getSecret/action", "secrets/readMetadata/action"),
    "Key Vault Secrets Officer": ("secrets/*",),
    "Key Vault Crypto User": ("keys/read", "keys/update/action"),
    "Key Vault Crypto Officer": ("keys/*",),
    "Key Vault Certificate User": (
        "certificates/read",
        "secrets/getSecret/action",
        "secrets/readMetadata/action",
        "keys/read",
    ),
    "Key Vault Certificates Officer": ("certificates/*",),
}
"""The data actions of built-in roles, as far as this double knows the operations."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role assignment.

    Args:
        actions: patterns of data actions, without their common prefix.
        scope: empty for the whole vault, or one object such as `secrets/db`.
    """

    oid: str
    actions: tuple[str, ...]
    scope: str = ""


class Permissions:
    """What is granted in one vault.

    Args:
        vault: its name.
        mode: which of the two models it uses.
    """

    def __init__(self, vault: str, mode: Mode) -> None:
        self.mode: Mode = mode
        self._vault = vault
        self._assignments: list[Assignment] = []
        self._policies: dict[str, set[str]] = {}

    def grant(self, oid: str, permissions: Sequence[str], scope: str = "") -> None:
        """Grant something.

        Args:
            permissions: in RBAC role names or data actions, else such as `secrets/get`.
            scope: see `Assignment`; for RBAC alone.
        """
        if self.mode == "policy":
            if scope:
                raise ValueError("access policies are for whole vaults")
            self._policies.setdefault(oid, set()).update(permissions)
            return
        actions = [action for one in permissions for action in ROLES.get(one, (one.removeprefix(_PREFIX),))]
        self._assignments.append(Assignment(oid, tuple(actions), scope.lower()))

    def revoke(self, oid: str) -> None:
        """Take back all that an identity was granted."""
        self._assignments = [one for one in self._assignments if one.oid != oid]
        self._policies.pop(oid, None)

    def check(self, grant: Grant, issuer: str, kind: Kind, operation: Operation, name: str = "") -> None:
        """Check that somebody may do something.

        Args:
            name: the object; empty where the operation is about none.

        Raises:
            AzureError: they may not.
        """
        caller = f"appid={grant.client_id};oid={grant.oid};iss={issuer}"
        if self.mode == "policy":
            named = _POLICY_NAMES.get((kind, operation), operation)
            if f"{kind}/{named}" not in self._policies.get(grant.oid, ()):
                raise self._no_policy(caller, kind, named)
            return
        action = _ACTIONS[kind, operation]
        resource = f"{kind}/{name}".lower() if name else ""
        for one in self._assignments:
            covers = one.oid == grant.oid and one.scope in ("", resource)
            if covers and any(fnmatch.fnmatchcase(action, pattern) for pattern in one.actions):
                return
        raise self._no_role(caller, action, resource)

    def _no_policy(self, caller: str, kind: str, operation: str) -> AzureError:
        return vault_error(
            403,
            "Forbidden",
            f"The user, group or application '{caller}' does not have {kind} {operation} permission on key vault "
            f"'{self._vault};location=westeurope'. For help resolving this issue, please see "
            "https://go.microsoft.com/fwlink/?linkid=2125287",
            "ForbiddenByPolicy",
        )

    def _no_role(self, caller: str, action: str, resource: str) -> AzureError:
        scope = f"{resource}" if resource else ""
        return vault_error(
            403,
            "Forbidden",
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or "
            "role definitions were changed recently, please observe propagation time.\r\n"
            f"Caller: {caller}\r\nAction: '{_PREFIX}{action}'\r\nResource: '/subscriptions/double/resourcegroups/"
            f"double/providers/microsoft.keyvault/vaults/{self._vault}/{scope}'\r\nAssignment: (not found)\r\n"
            f"DenyAssignmentId: null\r\nDecisionReason: null \r\nVault: {self._vault};location=westeurope\r\n",
            "ForbiddenByRbac",
        )
