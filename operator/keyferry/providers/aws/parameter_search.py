"""What a search means for Parameter Store: below which path, which filters, and what of the answers fits.

A path is a folder here, as AWS means it: what lies below `/app` begins with `/app/`. Tags are AWS's to
compare: it does so exactly, and its lists do not hold them.

Source of the filters' rules: AWS Systems Manager API Reference, ParameterStringFilter.
"""

from __future__ import annotations

import re
from typing import Any, Final

from keyferry.core.patterns import Pattern
from keyferry.errors import SpecError
from keyferry.ports import Find
from keyferry.providers.aws.find import literal_beginning
from keyferry.providers.aws.parameter_names import absolute, canonical

_PATH: Final = re.compile(r"[A-Za-z0-9_./-]*")
_MOST_TAG_CHARS: Final = 128


class ParameterSearch:
    """See the module's docstring.

    Args:
        find: the search.
        prefix: the store's. It bounds the search, and a path that does not begin with it lies below it.

    Raises:
        SpecError: the search names nothing to search by, or something that AWS cannot search for.
    """

    def __init__(self, find: Find, prefix: str) -> None:
        if not find.path and find.name is None and not find.tags:
            raise SpecError("find: name, path or tags must be set")
        for key, value in find.tags:
            if not key or not value or len(key) > _MOST_TAG_CHARS:
                raise SpecError(
                    f'find.tags: Parameter Store cannot be searched for tag "{key}" with value "{value}"',
                    hint="Key and value must have characters, a key no more than 128",
                )
        path = find.path or ""
        whole = absolute(path if path.startswith(prefix) else prefix + path)
        if not _PATH.fullmatch(whole):
            raise SpecError(
                f'find.path: "{path}" is no path in Parameter Store, or the store\'s prefix is none',
                hint="Write letters, digits, . - _ and /",
            )
        whole = re.sub("/{2,}", "/", whole)
        self._prefix = prefix
        self._begins = whole.rstrip("/") + "/" if path else whole
        self._pattern = None if find.name is None else Pattern(find.name)
        self._tags = find.tags
        literal = "" if find.name is None else literal_beginning(find.name)
        narrow = literal if literal.startswith(self._begins) else self._begins
        self.folder = narrow[: narrow.rindex("/") + 1]
        """Where all that fits lies below; it ends with a slash."""

    @property
    def by_tags(self) -> bool:
        """Whether only a list with filters can answer."""
        return bool(self._tags)

    def filters(self) -> list[dict[str, Any]]:
        """AWS's filters for the list of names that fit, and as little else as they can."""
        filters: list[dict[str, Any]] = [
            {"Key": f"tag:{key}", "Option": "Equals", "Values": [value]} for key, value in self._tags
        ]
        if self.folder != "/":
            below = self.folder.rstrip("/")
            filters.append({"Key": "Path", "Option": "Recursive", "Values": [below]})
        return filters

    def fits(self, name: str) -> bool:
        """Whether a parameter of that name is one that is searched for; its tags have been compared."""
        if not absolute(name).startswith(self._begins):
            return False
        return self._pattern is None or self._pattern.matches(name)

    def key_of(self, name: str) -> str:
        """The key that reads a parameter that fits: its name without the store's prefix."""
        forms = (name, absolute(name), canonical(name))
        return next((form for form in forms if form.startswith(self._prefix)), name).removeprefix(
            self._prefix
        )
