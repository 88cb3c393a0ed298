"""Events written down, one JSON object a line, so that they can be played again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from watchkeeper.events import AnyEvent

_ENCODER = msgspec.json.Encoder()


class Recorder:
    """Appends to a file. Raises OSError when it can not be written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def write(self, event: AnyEvent) -> None:
        self._file.write(_ENCODER.encode(event) + b"\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
