"""`python -m keyferry.testing.vault`: builds Vault and its plugins where they are missing; prints their folder."""

from __future__ import annotations

import sys

from keyferry.localcluster import LocalClusterError, StreamProgress, binaries


def main() -> int:
    """Exit code."""
    try:
        print(binaries.obtain_vault(StreamProgress(sys.stderr)))  # noqa: T201 - a command
    except LocalClusterError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
