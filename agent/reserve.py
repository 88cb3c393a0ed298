"""Disk space kept back, so that a full disk can still be worked down."""

from __future__ import annotations

import os
from pathlib import Path


class Reserve:
    """A file without content. Deleting spooled rows needs space for SQLite's log; giving this up provides it."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._held = False

    def hold(self) -> bool:
        """Take the space if it is not held already; False when the disk has not got it."""
        if self._held:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        self._held = True
        return True

    def release(self) -> None:
        self._held = False
        self._path.unlink(missing_ok=True)
