"""The instructions of a compiled program made ready for the kernel: maps, and the one call that BCC can not write."""

from __future__ import annotations

import struct
from collections.abc import Sequence

RDONLY_CAST = 1 << 20
"""Stands for the kernel's function bpf_rdonly_cast, as if it were a helper's number: no helper has this one."""

_INSTRUCTION = struct.Struct("@BBhi")
_CALL, _OF_KERNEL_FUNCTION = 0x85, 2
_LOAD_WIDE, _OF_MAPS = 0x18, (1, 2)  # a map, and its only value


def instructions(numbered: bytes, maps: Sequence[int], rdonly_cast: int) -> bytes:
    """``maps``: the descriptors that the numbers in the instructions stand for. ``rdonly_cast``: the number of that
    function in the kernel's BTF."""
    text = bytearray(numbered)
    for at in range(0, len(text), _INSTRUCTION.size):
        code, registers, offset, value = _INSTRUCTION.unpack_from(text, at)
        if code == _CALL and value == RDONLY_CAST:
            _INSTRUCTION.pack_into(text, at, code, registers & 0x0F | _OF_KERNEL_FUNCTION << 4, offset, rdonly_cast)
        elif code == _LOAD_WIDE and registers >> 4 in _OF_MAPS:
            _INSTRUCTION.pack_into(text, at, code, registers, offset, maps[value])
    return bytes(text)
