"""Compiled hooks in the kernel: maps made, programs loaded."""

from __future__ import annotations

import os

from agent.probe import bpfmap
from agent.probe.compiled import Compiled
from agent.probe.program import instructions


class Module:
    """Makes the maps at once; OSError when the kernel refuses one. Whoever takes descriptors out of it owns them: it
    closes none, as the process that has it ends soon. ``rdonly_cast``: the number of that function in the kernel's
    BTF."""

    def __init__(self, compiled: Compiled, rdonly_cast: int) -> None:
        self._compiled = compiled
        self._rdonly_cast = rdonly_cast
        self._maps = {
            name: bpfmap.create(name, shape.type, shape.key_size, shape.value_size, shape.entries, shape.flags)
            for name, shape in compiled.maps.items()
        }
        self._loaded: dict[tuple[str, int], int] = {}

    def map(self, name: str) -> int:
        """The map's descriptor."""
        return self._maps[name]

    def load(self, function: str, kind: int, attach_type: int) -> int:
        """The program's descriptor. One function is loaded once for each attach type (-1: none). OSError when
        refused."""
        key = function, attach_type
        if key not in self._loaded:
            text = instructions(self._compiled.programs[function], list(self._maps.values()), self._rdonly_cast)
            try:
                self._loaded[key] = bpfmap.load_program(function, kind, text, attach_type)
            except OSError as error:
                reason = error.strerror or os.strerror(error.errno or 0)
                raise OSError(error.errno, f"the kernel refused program {function}: {reason}") from error
        return self._loaded[key]
