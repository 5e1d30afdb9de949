"""What a search means for Key Vault: which of the secrets in its list fit. The list itself cannot be narrowed.

Source of the list's shape: Azure Key Vault REST API, Get Secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keyferry.core.patterns import Pattern
from keyferry.errors import SpecError
from keyferry.ports import Find

MOST_PAGES: Final = 2500
"""So many pages of 25 a search looks through: a list that does not end is none of Key Vault."""


class Search:
    """See the module's docstring.

    Args:
        find: the search. Its path is what the names begin with: they have no folders.

    Raises:
        SpecError: the search names nothing to search by, or its regular expression is none.
    """

    def __init__(self, find: Find) -> None:
        if not find.path and find.name is None and not find.tags:
            raise SpecError("find: name, path or tags must be set")
        self._begins = find.path or ""
        self._pattern = None if find.name is None else Pattern(find.name)
        self._tags = find.tags

    def fits(self, name: str, *, enabled: bool, tags: Mapping[str, str]) -> bool:
        """Whether a secret is one that is searched for. One that is disabled cannot be read, and is none."""
        if not enabled or not name.startswith(self._begins):
            return False
        if any(tags.get(key) != value for key, value in self._tags):
            return False
        return self._pattern is None or self._pattern.matches(name)
