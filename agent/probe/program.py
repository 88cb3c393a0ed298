"""The instructions of a compiled program, with the one call that BCC can not write put in its place."""

from __future__ import annotations

import ctypes
import struct

RDONLY_CAST = 1 << 20
"""Stands for the kernel's function bpf_rdonly_cast, as if it were a helper's number: no helper has this one."""

_INSTRUCTION = struct.Struct("@BBhi")
_CALL, _OF_KERNEL_FUNCTION = 0x85, 2


def instructions(start: int, size: int, rdonly_cast: int) -> ctypes.Array[ctypes.c_char]:
    """A copy of the ``size`` bytes at ``start``. ``rdonly_cast``: the number of that function in the kernel's BTF."""
    text = ctypes.create_string_buffer(ctypes.string_at(start, size), size)
    for at in range(0, size, _INSTRUCTION.size):
        code, registers, offset, number = _INSTRUCTION.unpack_from(text, at)
        if code == _CALL and number == RDONLY_CAST:
            registers = registers & 0x0F | _OF_KERNEL_FUNCTION << 4
            _INSTRUCTION.pack_into(text, at, code, registers, offset, rdonly_cast)
    return text
