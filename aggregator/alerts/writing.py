"""Writing that may block, away from the event loop."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable

Write = Callable[[bytes], None]
_Job = tuple[bytes, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class WritingThread:
    """Calls ``write`` in a thread of its own. Unlike an executor's it is never waited for: a pipe that nobody reads, or
    a file on a server that does not answer, must not keep the program from ending."""

    def __init__(self, name: str, write: Write) -> None:
        self._write = write
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"alerts-{name}", daemon=True).start()

    async def write(self, data: bytes) -> None:
        """Returns when ``data`` is written; raises the OSError that kept it from that."""
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        self._jobs.put((data, loop, written))
        await written

    def close(self) -> None:
        """The thread ends after what it has."""
        self._jobs.put(None)

    def _run(self) -> None:
        while job := self._jobs.get():
            data, loop, written = job
            error = self._attempt(data)
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, written, error)

    def _attempt(self, data: bytes) -> OSError | None:
        try:
            self._write(data)
        except OSError as error:
            return error
        return None


def write_all(descriptor: int, data: bytes) -> None:
    """All of it, past the buffers of Python: nothing is left to flush when the program ends."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _settle(written: asyncio.Future[None], error: OSError | None) -> None:
    if written.cancelled():
        return
    if error:
        written.set_exception(error)
    else:
        written.set_result(None)
