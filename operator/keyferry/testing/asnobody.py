"""Runs a program as the user `nobody`: for servers that refuse to run as root, where tests run as root.

Usage: asnobody.py UID GID PROGRAM [ARGUMENTS]. Only the standard library here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become that user, then the program; its process id stays the same."""
    uid, gid, *command = sys.argv[1:]
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
    if sys.platform == "linux":  # changing the user has made it forget that it ends with its parent
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
