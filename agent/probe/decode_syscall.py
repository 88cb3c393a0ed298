"""Records of system calls into events; the layout is bpf/syscalls.c's, the names are those of agent.probe.syscalls."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from agent.probe import ancestors, descriptor
from agent.probe.descriptor import Address
from agent.probe.record import HEADER, IDENTITY, Buffer, DecodeError, part, place, text
from agent.probe.syscalls import NONE, PLAIN, RESULT, Call, Form, on_machine
from watchkeeper.events import Descriptor, Syscall, Task

_FIXED = struct.Struct("@11qQQiIIIHHIIIII")
_BY_OBJECT = slice(HEADER.size + IDENTITY.size, HEADER.size + IDENTITY.size + 16)
_PLACE = struct.Struct("@IIII")
_ADDRESS = 112
_CREATES = 0o100 | 0o20000000  # O_CREAT, O_TMPFILE: without them there is no mode


def by_object(record: Buffer) -> bytes:
    """The key without the wording of names; empty: it has none."""
    key = bytes(record[_BY_OBJECT])
    return key if any(key) else b""


@dataclass(frozen=True, slots=True)
class _Record:
    call: Call
    slots: tuple[int, ...]
    size: int
    queued: int
    queue_size: int
    address: Address
    descriptor: Descriptor | None
    created: bool
    texts: tuple[str, ...]
    paths: tuple[str, ...]
    buffer: bytes


def decode(record: Buffer, when: float, who: Task) -> Syscall:
    """Raises DecodeError, struct.error, IndexError or ValueError for what is no such record."""
    found = _read(record)
    call, result = found.call, found.slots[RESULT]
    return Syscall(
        at=when,
        task=who,
        name=call.type,
        result=result,
        arguments=_arguments(found),
        resolved={
            each.name: path
            for each, path in zip(call.texts, found.paths, strict=False)
            if path and each.directory != PLAIN
        },
        descriptor=found.descriptor,
        buffer=b"" if call.executes else found.buffer,
        ancestors=ancestors.read(found.buffer) if call.executes else (),
    )


def _read(record: Buffer) -> _Record:
    offset = _BY_OBJECT.stop
    (*slots, size, inode, number_of, queued, queue_size, buffer_length, local_port, remote_port, state, number, _,
     address_length, _) = _FIXED.unpack_from(record, offset)  # fmt: skip
    call = on_machine().get(number)
    if call is None:
        raise DecodeError(f"a record tells of the unknown system call {number}")
    offset += _FIXED.size
    described = offset
    offset += descriptor.SIZE
    told = descriptor.sockaddr(part(record, offset, min(address_length, _ADDRESS)))
    offset += _ADDRESS
    places = [_PLACE.unpack_from(record, offset + i * _PLACE.size) for i in range(3)]
    offset += 3 * _PLACE.size
    passing = descriptor.Passing(number_of, inode, local_port, remote_port, state)
    found, taken = descriptor.read(record, described, offset, call, told, passing)
    offset += taken
    texts, paths = [], []
    for where in places:
        texts.append(text(part(record, offset + where[0], where[1]).rstrip(b"\0")))
        paths.append(place(record, offset, where) if where[1] else "")
        offset += where[0] + where[1]
    return _Record(
        call, tuple(slots), size, queued, queue_size, told, found, descriptor.was_created(record, described),
        tuple(texts), tuple(paths), part(record, offset, buffer_length),
    )  # fmt: skip


def _arguments(found: _Record) -> dict[str, int | str]:
    call = found.call
    told: dict[str, int | str] = {name: _value(form, found.slots[slot]) for name, form, slot in call.numbers}
    told |= {each.name: value for each, value in zip(call.texts, found.texts, strict=False)}
    if call.flags != NONE and not found.slots[call.flags] & _CREATES:
        told["mode"] = 0
    if call.opens:
        file = found.descriptor
        told |= {"dev": file.device if file else 0, "ino": file.inode if file else 0, "created": int(found.created)}
    if call.listener != NONE:
        percent = found.queued * 100 // found.queue_size if found.queue_size else 0
        told |= {"queuepct": percent, "queuelen": found.queued, "queuemax": found.queue_size}
    if call.tells_address:
        told["addr"] = str(found.address)
    if call.message != NONE:
        told["size"] = max(0, found.slots[RESULT]) if call.receives else found.size
    return told


def _value(form: Form, raw: int) -> int:
    match form:
        case Form.INT:
            return (raw & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
        case Form.LONG:
            return raw & 0xFFFFFFFFFFFFFFFF
        case Form.ID if raw & 0xFFFFFFFF == 0xFFFFFFFF:
            return -1
        case _:
            return raw & 0xFFFFFFFF
