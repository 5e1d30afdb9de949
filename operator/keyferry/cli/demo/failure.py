"""How the demo fails: one exception for all that people should read, and the logs that outlive it.

A wait that is not fulfilled, a program that ended: told with what was awaited, why it did not come, and the
end of the log that shows it. `cli.demo` prints it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from keyferry.errors import ON_CHANGE, KeyferryError

LOG_LINES: Final = 8


class DemoFailed(KeyferryError):
    """The demo cannot go on.

    Args:
        message: what failed and why, one line.
        hint: what to do about it, one sentence.
        details: lines that show the cause; printed below the message.
    """

    reason = "DemoFailed"
    default_retry = ON_CHANGE

    def __init__(self, message: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.details = tuple(details)

    def __str__(self) -> str:
        """Message, hint, and the details on lines of their own."""
        return "\n".join([super().__str__(), *(f"    {line}" for line in self.details)])


def end_of_log(log: Path) -> list[str]:
    """The last lines of a log, none where there is no log."""
    return log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []


def keep_logs(folders: Iterable[Path]) -> Path:
    """Copy the logs out of folders that are about to go away; where they are now."""
    kept = Path(tempfile.mkdtemp(prefix="keyferry-demo-logs-")).resolve()
    for log in sorted(log for folder in folders for log in folder.glob("*.log")):
        shutil.copy(log, kept)
    return kept
