"""Writing a file anew: all of it or nothing, under the same name and with the same rights."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path


def is_readable_as_file(path: Path) -> bool:
    """Whether opening it leads to a file, or to an error that tells why not: a pipe would be waited for."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def rewrite(file: Path, content: bytes) -> None:
    """Put other content into a file. A full disk or the end of the process leaves the old content there.

    A link stays a link, and its file is written. Where no other file can take the file's place (it has several
    names, its folder may not be written, its owner is somebody else), it is written where it is.

    Raises:
        OSError: the file cannot be written.
    """
    place = file.resolve(strict=True)
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    beside = _like(place)
    if beside is None:
        place.write_bytes(content)
        return
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(place)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _like(place: Path) -> Path | None:
    """A new file beside this one with its owner and mode; None where there can be none."""
    about = place.stat()
    if about.st_nlink > 1:
        return None
    try:
        descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    except OSError:
        return None
    os.close(descriptor)
    made = Path(name)
    try:
        if (made.stat().st_uid, made.stat().st_gid) != (about.st_uid, about.st_gid):
            os.chown(made, about.st_uid, about.st_gid)
        shutil.copystat(place, made)
        os.utime(made)
    except OSError:
        with contextlib.suppress(OSError):
            made.unlink()
        return None
    return made
