"""bpf(2) without a library: maps read and written, programs counted and attached."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

_MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE = 1, 2, 3
_LOOKUP_BATCH, _UPDATE_BATCH, _DELETE_BATCH = 24, 26, 27
_MAP_CREATE, _PROGRAM_LOAD = 0, 5
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


_Bytes = ctypes.Array[ctypes.c_char]
_AT_ONCE = 2_048  # entries copied by one call


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

    def update_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> int:
        """How many of them, from the first on, went in: fewer than all when the map is full."""
        if not keys:
            return 0
        count, error = self._batch(_UPDATE_BATCH, _buffer(b"".join(keys)), _buffer(b"".join(values)), len(keys))
        if error not in (0, errno.E2BIG, errno.ENOMEM):
            raise OSError(error, os.strerror(error))
        return count

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Those that are there."""
        while keys:
            count, error = self._batch(_DELETE_BATCH, _buffer(b"".join(keys)), None, len(keys))
            if error not in (0, errno.ENOENT):
                raise OSError(error, os.strerror(error))
            keys = keys[count + 1 :]  # it stops at the first that is not there

    def items(self, key_size: int) -> Iterator[tuple[bytes, bytes]]:
        """Everything in a hash map, a copy at a time; what changes meanwhile may or may not be among it."""
        keys = ctypes.create_string_buffer(key_size * _AT_ONCE)
        values = ctypes.create_string_buffer(self._value_size * self._copies * _AT_ONCE)
        at = ctypes.create_string_buffer(8)
        begun, error = False, 0
        while error == 0:
            count, error = self._batch(_LOOKUP_BATCH, keys, values, _AT_ONCE, at, begun)
            if error not in (0, errno.ENOENT):
                raise OSError(error, os.strerror(error))
            begun = True
            found, stride = (keys.raw, values.raw), self._value_size * self._copies
            for number in range(count):
                yield (
                    found[0][number * key_size : (number + 1) * key_size],
                    found[1][number * stride : (number + 1) * stride],
                )

    def close(self) -> None:
        os.close(self._descriptor)

    def _batch(
        self,
        command: int,
        keys: _Bytes,
        values: _Bytes | None,
        count: int,
        at: _Bytes | None = None,
        begun: bool = False,
    ) -> tuple[int, int]:
        """(how many were done, errno)."""
        where = ctypes.addressof(at) if at is not None else 0
        held = ctypes.addressof(values) if values is not None else 0
        request = attributes(
            "@QQQQIIQQ", where if begun else 0, where, ctypes.addressof(keys), held, count, self._descriptor, 0, 0
        )
        error = 0
        try:
            call(command, request)
        except OSError as failure:
            error = failure.errno or errno.EINVAL
        return struct.unpack_from("@I", request, 32)[0], error

    def _call(self, command: int, key: bytes, value: ctypes.Array[ctypes.c_char] | None) -> None:
        held = ctypes.create_string_buffer(key, len(key))
        where = ctypes.addressof(value) if value is not None else 0
        call(command, attributes("@IxxxxQQQ", self._descriptor, ctypes.addressof(held), where, _ANY))


def _buffer(content: bytes) -> _Bytes:
    return ctypes.create_string_buffer(content, len(content))


def possible_cpus() -> int:
    """How many values a per-CPU map has: the kernel's possible CPUs, not the ones online."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(text.rpartition(",")[2].rpartition("-")[2]) + 1


def create(name: str, kind: int, key_size: int, value_size: int, entries: int, flags: int) -> int:
    """The new map's descriptor."""
    request = attributes("@IIIII", kind, key_size, value_size, entries, flags)
    struct.pack_into("16s", request, 28, name.encode()[:15])
    return call(_MAP_CREATE, request)


def shape(descriptor: int) -> tuple[int, int, int, int, int]:
    """Of a map: type, sizes of key and value, entries, flags."""
    info = ctypes.create_string_buffer(88)
    call(_OBJECT_INFO, attributes("@IIQ", descriptor, len(info), ctypes.addressof(info)))
    kind, _, key_size, value_size, entries, flags = struct.unpack_from("@6I", info)
    return kind, key_size, value_size, entries, flags


_LOG_SIZE, _LOG_LINES = 1 << 24, 2


def load_program(name: str, kind: int, instructions: bytes, attach_type: int) -> int:
    """The new program's descriptor; ``attach_type`` -1: none is expected."""
    text, license_name = _buffer(instructions), ctypes.create_string_buffer(b"GPL")
    request = attributes("@IIQQ", kind, len(instructions) // 8, ctypes.addressof(text), ctypes.addressof(license_name))
    struct.pack_into("16s", request, 48, name.encode()[:15])
    if attach_type >= 0:
        struct.pack_into("@I", request, 68, attach_type)
    try:
        return call(_PROGRAM_LOAD, request)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}{_objection(request)}") from error


def _objection(request: ctypes.Array[ctypes.c_char]) -> str:
    """What the kernel's verifier has against the program, from a second try that it keeps a log of."""
    log = ctypes.create_string_buffer(_LOG_SIZE)
    struct.pack_into("@IIQ", request, 24, 1, len(log), ctypes.addressof(log))
    with contextlib.suppress(OSError):
        os.close(call(_PROGRAM_LOAD, request))
    lines = [line for line in log.value.decode(errors="replace").splitlines() if not line.startswith("processed ")]
    return "".join(f"; {line.strip()}" for line in lines[-_LOG_LINES:])


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
