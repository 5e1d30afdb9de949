"""What can go wrong with the control plane on this machine, told so that a newcomer can act on it."""

from __future__ import annotations

from collections.abc import Sequence

from keyferry.errors import ON_CHANGE, KeyferryError


class LocalClusterError(KeyferryError):
    """The control plane cannot be built, started or stopped.

    Args:
        message: what failed and why, one line.
        hint: what to do about it, one sentence.
        details: lines that show the cause, such as the end of a program's output; printed below the message.
    """

    reason = "LocalCluster"
    default_retry = ON_CHANGE

    def __init__(self, message: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.details = tuple(details)

    def __str__(self) -> str:
        """Message, hint, and the details on lines of their own."""
        return "\n".join([super().__str__(), *(f"    {line}" for line in self.details)])
