"""What was asked of Vault, by its own audit log: who read what, how often anybody logged in.

Vault writes an entry before it answers, so that a count after an answer is exact. Values and tokens are HMACs
there; paths and accessors are plain.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A request that Vault has answered.

    Args:
        operation: `read`, `update`, `list`, `delete`, …; a login is an `update`.
        path: below `/v1/`, such as `secret/data/app/db` or `auth/kubernetes/login`.
        accessor: of the token that asked; for a login, of the new one.
        entity: id of who asked.
        display_name: of the token: `token-…`, `kubernetes-NAMESPACE-ACCOUNT`, `root`.
        error: why it was refused; empty where it was not.
    """

    operation: str
    path: str
    accessor: str = ""
    entity: str = ""
    display_name: str = ""
    error: str = ""


class AuditLog:
    """A file of an audit device.

    Args:
        path: where Vault writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = 0

    def reset(self) -> None:
        """Forget what was so far."""
        self._begin = self._path.stat().st_size if self._path.exists() else 0

    def calls(
        self, path: str = "*", *, operation: str = "*", display_name: str = "*", by_root: bool = False
    ) -> list[Call]:
        """The calls since the last reset, by globs; without those of the administrator, unless asked for."""
        return [
            call
            for call in self._all()
            if fnmatch.fnmatchcase(call.path, path)
            and fnmatch.fnmatchcase(call.operation, operation)
            and fnmatch.fnmatchcase(call.display_name, display_name)
            and (by_root or call.display_name != "root")
        ]

    def logins(self, mount: str = "*") -> list[Call]:
        """Logins, also refused ones, at `auth/MOUNT/login…`."""
        return self.calls(f"auth/{mount}/login*", operation="update")

    def _all(self) -> Iterator[Call]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._begin)
            content = file.read()
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            entry = json.loads(line)
            if entry.get("type") == "response":
                yield _call(entry)


def _call(entry: dict[str, Any]) -> Call:
    request = entry.get("request") or {}
    # A login's own entry tells of the new token beside the answer.
    who = entry.get("auth") or {}
    new = (entry.get("response") or {}).get("auth") or {}
    return Call(
        operation=request.get("operation", ""),
        path=request.get("path", ""),
        accessor=new.get("accessor") or who.get("accessor", ""),
        entity=new.get("entity_id") or who.get("entity_id", ""),
        display_name=new.get("display_name") or who.get("display_name", ""),
        error=entry.get("error", ""),
    )
