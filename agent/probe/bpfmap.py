"""bpf(2) without a library: maps read and written, programs counted and attached."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

_MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE = 1, 2, 3
_PROGRAM_NEXT_ID, _OBJECT_INFO, _RAW_TRACEPOINT_OPEN, _LINK_CREATE = 11, 15, 17, 28
_NUMBERS = {"x86_64": 321, "aarch64": 280}
_ANY = 0

_libc = ctypes.CDLL(None, use_errno=True)


def call(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    """bpf(2). Raises OSError with the kernel's errno."""
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) is not known on {platform.machine()}")
    result: int = _libc.syscall(number, command, ctypes.byref(attributes), len(attributes))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def attributes(layout: str, *values: int) -> ctypes.Array[ctypes.c_char]:
    """A zero-padded ``union bpf_attr`` that begins with these values."""
    buffer = ctypes.create_string_buffer(128)
    struct.pack_into(layout, buffer, 0, *values)
    return buffer


class Map:
    """A BPF map by its descriptor, which it owns. Keys and values are bytes of the map's sizes."""

    def __init__(self, descriptor: int, value_size: int, per_cpu: bool = False) -> None:
        self._descriptor = descriptor
        self._copies = possible_cpus() if per_cpu else 1
        self._value_size = value_size

    def lookup(self, key: bytes) -> list[bytes] | None:
        """The value, one for each possible CPU of a per-CPU map; None when the key is not there."""
        stride = (self._value_size + 7) & ~7
        value = ctypes.create_string_buffer(stride * self._copies)
        try:
            self._call(_MAP_LOOKUP, key, value)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return [value.raw[i * stride : i * stride + self._value_size] for i in range(self._copies)]

    def update(self, key: bytes, value: bytes) -> None:
        self._call(_MAP_UPDATE, key, ctypes.create_string_buffer(value, len(value)))

    def delete(self, key: bytes) -> bool:
        """False when the key was not there."""
        try:
            self._call(_MAP_DELETE, key, None)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def close(self) -> None:
        os.close(self._descriptor)

    def _call(self, command: int, key: bytes, value: ctypes.Array[ctypes.c_char] | None) -> None:
        held = ctypes.create_string_buffer(key, len(key))
        where = ctypes.addressof(value) if value is not None else 0
        call(command, attributes("@IxxxxQQQ", self._descriptor, ctypes.addressof(held), where, _ANY))


def possible_cpus() -> int:
    """How many values a per-CPU map has: the kernel's possible CPUs, not the ones online."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(text.rpartition(",")[2].rpartition("-")[2]) + 1


def program_ids() -> list[int]:
    """Ids of every BPF program in the kernel. Needs CAP_SYS_ADMIN."""
    found: list[int] = []
    current = 0
    while True:
        request = attributes("@II", current, 0)
        try:
            call(_PROGRAM_NEXT_ID, request)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return found
            raise
        current = struct.unpack_from("@I", request, 4)[0]
        found.append(current)


def recursion_misses(program: int) -> int:
    """How often the kernel skipped the program because one was already running on that CPU."""
    info = ctypes.create_string_buffer(240)
    call(_OBJECT_INFO, attributes("@IIQ", program, len(info), ctypes.addressof(info)))
    return int(struct.unpack_from("@Q", info, 208)[0])


def open_raw_tracepoint(program: int, name: str) -> int:
    """Attach to a raw tracepoint; the program stays there while the returned descriptor is open."""
    held = ctypes.create_string_buffer(name.encode())
    return call(_RAW_TRACEPOINT_OPEN, attributes("@QI", ctypes.addressof(held), program))


def link_cgroup(program: int, cgroup: int, attach_type: int) -> int:
    """Attach to a cgroup (an open directory's descriptor) by a link that detaches when it is closed."""
    return call(_LINK_CREATE, attributes("@IIII", program, cgroup, attach_type, 0))
