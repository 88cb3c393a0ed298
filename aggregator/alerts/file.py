"""Alerts appended to a file, one JSON object a line, readable by its owner only."""

from __future__ import annotations

import os
from pathlib import Path

from aggregator.alerts.sink import UnavailableError
from aggregator.alerts.writing import WritingThread, write_all


class FileSink:
    """Opens the file anew when it was moved away or removed, as log rotation does."""

    name = "file"
    concurrency = 1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._thread = WritingThread(self.name, self._append)

    async def deliver(self, alert: bytes) -> None:
        try:
            await self._thread.write(alert + b"\n")
        except OSError as error:
            raise UnavailableError(f"{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        self._thread.close()

    def _append(self, data: bytes) -> None:
        descriptor = self._opened()
        size = os.fstat(descriptor).st_size
        try:
            write_all(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, size)  # half a line would spoil the next one
            raise

    def _opened(self) -> int:
        if self._descriptor is not None and not self._is_current(self._descriptor):
            os.close(self._descriptor)
            self._descriptor = None
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
