"""The user's cache folder, where built programs stay."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """`keyferry/localcluster` in the user's cache, made where it is missing."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        wished = os.environ.get("XDG_CACHE_HOME", "")
        # A relative value is invalid by the XDG base directory specification, and ignored.
        base = Path(wished) if Path(wished).is_absolute() else Path.home() / ".cache"
    folder = base / "keyferry" / "localcluster"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
