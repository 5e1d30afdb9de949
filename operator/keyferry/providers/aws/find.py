"""What a search means for Secrets Manager: which filters AWS is asked with, and what of its list fits.

AWS's filters match beginnings, and a tag's key and value apart from each other: they make the list shorter
and never exact. What they let pass is judged here.

Source of the filters' rules and limits: AWS Secrets Manager API Reference, Filter and ListSecrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from keyferry.core.patterns import Pattern
from keyferry.errors import SpecError
from keyferry.ports import Find

MOST_FILTERS: Final = 10
_FILTER_VALUE: Final = re.compile(r"(?!!)[a-zA-Z0-9 :_@/+=.!-]{1,512}")
"""What AWS takes as a filter's value; an exclamation mark at its beginning would negate it."""
_ANCHORED: Final = re.compile(r"\^([A-Za-z0-9/_=@-]+)")
"""A regular expression's beginning of characters that mean themselves."""


class Search:
    """See the module's docstring.

    Args:
        find: the search.
        prefix: the store's. It bounds the search, and a path that does not begin with it lies below it.

    Raises:
        SpecError: the search names nothing to search by, or its regular expression is none.
    """

    def __init__(self, find: Find, prefix: str) -> None:
        if not find.path and find.name is None and not find.tags:
            raise SpecError("find: name, path or tags must be set")
        path = find.path or ""
        self._begins = path if path.startswith(prefix) else prefix + path
        self._pattern = None if find.name is None else Pattern(find.name)
        self._literal = "" if find.name is None else literal_beginning(find.name)
        self._tags = find.tags

    def filters(self) -> list[dict[str, Any]]:
        """AWS's filters that let pass all that fits, and as little else as they can."""
        begins = self._literal if self._literal.startswith(self._begins) else self._begins
        wanted = [("name", begins)]
        for key, value in self._tags:
            wanted += [("tag-key", key), ("tag-value", value)]
        usable = [(key, value) for key, value in wanted if _FILTER_VALUE.fullmatch(value)]
        return [{"Key": key, "Values": [value]} for key, value in usable[:MOST_FILTERS]]

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Whether a secret, as AWS lists it, is one that is searched for."""
        name = str(entry.get("Name") or "")
        if not name or entry.get("DeletedDate") or not name.startswith(self._begins):
            return False
        if self._tags:
            carried = {tag.get("Key"): tag.get("Value") or "" for tag in entry.get("Tags") or []}
            if any(carried.get(key) != value for key, value in self._tags):
                return False
        return self._pattern is None or self._pattern.matches(name)


def literal_beginning(regexp: str) -> str:
    """What every name begins with that a regular expression matches, as far as it is plain to see."""
    anchored = _ANCHORED.match(regexp)
    if anchored is None or "|" in regexp:
        return ""
    literal = anchored[1]
    return literal[:-1] if regexp[anchored.end() :].startswith(("*", "?", "{")) else literal
