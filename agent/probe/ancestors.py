"""The processes above one, as executions tell of them; the layout is bpf/ancestors.h's."""

from __future__ import annotations

import struct

from agent.probe.record import c_string, identifier
from watchkeeper.events import Ancestor

_ANCESTOR = struct.Struct("@QII16s16s")
SIZE = _ANCESTOR.size


def read(raw: bytes) -> tuple[Ancestor, ...]:
    """Raises struct.error when it ends amid one."""
    return tuple(
        Ancestor(pid, start, c_string(comm), identifier(context))
        for start, pid, _, comm, context in _ANCESTOR.iter_unpack(raw)
    )
