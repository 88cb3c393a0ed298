"""What the pipeline asks of the parts that it is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agent.health import SpoolFigures
from watchkeeper.events import AnyEvent


class Spool(SpoolFigures, Protocol):
    """What the pipeline asks of agent.spool.Spool."""

    def append_many(self, records: list[tuple[str, bytes]], *, again: bool = False) -> list[bool]: ...

    def close(self) -> None: ...


class Uplink(Protocol):
    """What the pipeline asks of agent.uplink.Uplink."""

    connected: bool

    async def run(self) -> None: ...

    def wake(self) -> None: ...


class Recorder(Protocol):
    """What the pipeline asks of agent.probe.recording.Recorder."""

    def write(self, event: AnyEvent) -> None: ...

    def close(self) -> None: ...


class Tenure(Protocol):
    """What the pipeline asks of agent.tenure.Tenure."""

    def renew(self, until: float) -> None: ...

    def leaving(self) -> None: ...

    def took(self, events: Iterable[AnyEvent]) -> None: ...

    def end(self, until: float) -> None: ...

    def close(self) -> None: ...
