"""Files that we write: whole, or not at all.

A file is written beside its target under a temporary name and takes the target's place in one step at the end. Whoever
reads the target sees the old file or the new one; after an error, a full disk or Ctrl-C the old one is still there and
the temporary file is gone. What one might question: a symbolic link stays a link, and what it points to is replaced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossmargin.basics.errors import InputError, Problem


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write, which takes the place of `path` if the block ends without an exception.

    The temporary file exists, is empty, and is in the folder of `path`, so on the same disk. A file that is replaced
    leaves its permissions to the new one.

    Raises
    ------
    InputError
        If `path` cannot be written, or an `OSError` or a `UnicodeError` leaves the block: which file, and why.
    """
    written: Path | None = None
    try:
        target = _target(path)
        # Named before it is created: whatever interrupts us, there is a name to remove.
        written = target.parent / f".crossmargin-{os.urandom(8).hex()}.tmp"
        written.touch(exist_ok=False)
        yield written
        if target.exists():
            written.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(written, target)
    except BaseException as error:  # Ctrl-C too
        if written is not None:
            written.unlink(missing_ok=True)
        if isinstance(error, OSError | UnicodeError):
            raise InputError(_unwritable(path, getattr(error, "strerror", None) or str(error))) from None
        raise


def require_writable(path: Path) -> None:
    """Find out, before the work begins, whether its answer can be written to `path`.

    Raises
    ------
    InputError
        If `replacing(path)` would be refused.
    """
    try:
        probe = _target(path).parent / f".crossmargin-{os.urandom(8).hex()}.tmp"
        try:
            probe.touch(exist_ok=False)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(_unwritable(path, error.strerror or str(error))) from None


def _target(path: Path) -> Path:
    """Where `path` leads; what could not be replaced by a file is refused."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except ValueError as error:  # a path that no file can have
        raise InputError(_unwritable(path, str(error))) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(0, "Is a directory")
    if not stat.S_ISREG(mode):
        # A pipe or a device: there is no one step, and a file in the place of /dev/null would harm everybody.
        raise InputError(_unwritable(path, "it is no regular file"))
    return Path(os.path.realpath(path))


def _unwritable(path: Path, reason: str) -> Problem:
    return Problem(found=f"cannot be written ({reason})", file=str(path))
