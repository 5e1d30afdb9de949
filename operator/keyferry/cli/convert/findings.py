"""What is found in a text of manifests: places to change, and what a person has to look at."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from keyferry.api import names
from keyferry.api.crd import KINDS, has_legacy_version
from keyferry.api.model import Model

OLD: Final = names.LEGACY_VERSION
NEW: Final = names.VERSION
OLD_API: Final = f"{names.GROUP}/{OLD}"
OLDEST_API: Final = f"{names.GROUP}/v1alpha1"
"""Older still: these kinds had other fields in it, so that a new name for the version would not do."""

SPECS: Final[dict[str, type[Model]]] = {kind.kind: kind.spec for kind in KINDS if has_legacy_version(kind)}
"""By kind: what its spec is in the present version."""

MENTION: Final = re.compile(rf"(?<![\w.-]){re.escape(names.GROUP)}(\\?/){OLD}(?!\w)")
"""The old version's name, as YAML and JSON write it."""

CHANGED: Final = "changed"
BY_HAND: Final = "by hand"
LEFT: Final = "left"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to tell.

    Args:
        line: where, from 1.
        sort: `CHANGED`; `BY_HAND`, a person has to do it; `LEFT`, nothing is wrong, and nothing was changed.
        text: what, in one line.
    """

    line: int
    sort: str
    text: str


@dataclass(slots=True)
class Found:
    """What is found while a text is read, by character.

    Args:
        edits: where each old version's name starts that is to be changed.
        notes: what else there is to tell: where, its sort, and the text.
    """

    edits: dict[int, str] = field(default_factory=dict)
    notes: list[tuple[int, str, str]] = field(default_factory=list)

    def change(self, at: int, what: str) -> None:
        """The old version's name that starts here is to be changed."""
        self.edits.setdefault(at, what)

    def by_hand(self, at: int, text: str) -> None:
        """Here a person has to do something."""
        self.notes.append((at, BY_HAND, text))
