"""What a path may cost. Paths and documents come from tenants, and evaluation runs on the event loop.

Go's gjson has no such limits. Here a path has a longest length, a deepest nesting, and an amount of work
that grows with the document; beyond them there is an error instead of a result.
"""

from __future__ import annotations

from typing import Final

MAX_PATH_BYTES: Final = 4096
MAX_DEPTH: Final = 64
"""Steps below each other: components, queries, multipaths, and levels of a document that @pretty, @dig or a
deep @flatten go down. Scanning over nested values has no depth."""

_WORK_BASE: Final = 500_000
_WORK_PER_BYTE: Final = 8
EVALUATION_COST: Final = 64
"""Work of starting one evaluation, however small its text."""


class GJSONLimitError(ValueError):
    """A path asks for more than it may. The text names the limit, never a value, key or path."""


class Work:
    """What is left of the work that one `get` may do, in bytes looked at or written.

    Args:
        size: bytes of the document.
    """

    __slots__ = ("depth", "left")

    def __init__(self, size: int) -> None:
        self.left = _WORK_BASE + _WORK_PER_BYTE * size
        self.depth = 0

    def spend(self, amount: int) -> None:
        """Take this much; called before the work is done.

        Raises:
            GJSONLimitError: there is not that much left.
        """
        self.left -= amount
        if self.left < 0:
            raise GJSONLimitError("it asks for too much work on this document")

    def descend(self) -> None:
        """Go one level down; whoever calls it calls `ascend` afterwards.

        Raises:
            GJSONLimitError: that is too deep.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise GJSONLimitError(f"it nests deeper than {MAX_DEPTH} levels")

    def ascend(self) -> None:
        """Come back up."""
        self.depth -= 1
