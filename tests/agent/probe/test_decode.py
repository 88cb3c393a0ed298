"""Records that no hook would write are refused, never misread and never a traceback."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probe.decode import capability_name, decode
from agent.probe.hooks import CLASSES
from agent.probe.record import IDENTITY, DecodeError, event_class
from agent.probe.source import Ticket
from agent.probe.syscalls import on_machine
from watchkeeper import events

HEADER = struct.Struct("@IIQQQIIIIII16sQQQIIII16s16s16s")


def header(event_class: str, flags: int = 0, key: bytes = b"") -> bytes:
    """Of a task whose context of behaviours, epoch and effective ids are 51 to 56."""
    ids = (51, 52, 1000, 100, 53, 54, 0xFFFFFFFF, 55)
    number = CLASSES.index(event_class)
    return HEADER.pack(
        number, flags, 7, *ids, b"name\0rest", 2_500_000_000, 11, 13, 17, 19, 42, 56, key, b"c" * 16, bytes(16)
    )


TASK = events.Task(
    pid=17, start=11, parent_pid=19, parent_start=13, uid=1000, gid=100, login_uid=-1, cgroup=7, comm="name",
    network_namespace=42, context=b"c" * 16,
)  # fmt: skip


def test_header_becomes_task_and_time():
    """Boot time becomes unix time; the unset login is -1; the name ends at its NUL."""
    identity = IDENTITY.pack(0, 0, 0, 29, 2, 2, 17, 1, 16, 0, 0)
    record = header("fork") + struct.pack("@QII16s", 23, 29, 0, b"f" * 16) + identity
    assert decode(record, 100.0).event == events.Fork(
        at=102.5,
        task=TASK,
        child_pid=29,
        child_start=23,
        child_context=b"f" * 16,
        child_virtual_pid=2,
        group=17,
        virtual_group=1,
        session=16,
    )


def test_key_becomes_a_ticket():
    """A record with a key has a ticket with the generation it happened in; one without has none."""
    body = struct.pack("@QII", 5, 1, 0)
    assert decode(header("open") + body, 0.0).ticket is None
    assert decode(header("open", key=b"k" * 16) + body, 0.0).ticket == Ticket(b"k" * 16, 56, 7, "open")


@pytest.mark.parametrize(
    ("names", "flags", "path"),
    [
        (b"leaf\0etc\0", 0, "/etc/leaf"),
        (b"", 0, "/"),
        (b"leaf\0etc\0", 1, "/etc/leaf"),
        (b"memfd:x\0", 2, "memfd:x"),
        (b"leaf\0d\0", 4, "[truncated]/d/leaf"),
    ],
)
def test_walked_names_become_a_path(names, flags, path):
    """Names come leaf first; what was cut or has no directory says so."""
    record = header("open", flags) + struct.pack("@QII", 5, 1, len(names)) + names
    assert decode(record, 0.0).event == events.Open(at=2.5, task=TASK, path=path, flags=1, inode=5)


@pytest.mark.parametrize(
    ("directory", "name", "path"),
    [
        (b"dir\0", b"file\0", "/dir/file"),
        (b"dir\0", b"../file\0", "/file"),
        (b"", b"//etc/./x\0", "/etc/x"),
        (b"file\0dir\0", b"", "/dir/file"),
    ],
)
def test_directory_and_name_become_a_path(directory, name, path):
    """A name given by the caller is joined to the kernel's directory."""
    places = struct.pack("@IIIIIIIIII", len(directory), len(name), 0, 0, 0, 0, 0, 0, 0, 0)
    record = header("unlink") + places + directory + name
    assert decode(record, 0.0).event == events.Unlink(at=2.5, task=TASK, path=path)


def test_capabilities_the_program_does_not_know_keep_their_number():
    """A newer kernel's capability is told by its number."""
    assert (capability_name(21), capability_name(0), capability_name(63)) == ("CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_63")


@given(st.sampled_from(CLASSES), st.binary(max_size=600))
def test_arbitrary_bodies_decode_or_are_refused(name, body):
    """Whatever follows the header, the result is an event or a DecodeError."""
    with contextlib.suppress(DecodeError):
        assert isinstance(decode(header(name) + body, 0.0).event, events.Event)


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_refused_or_classed(record):
    """Whatever a record begins with, it has a known class or is refused."""
    with contextlib.suppress(DecodeError):
        assert event_class(record) in CLASSES


@pytest.mark.parametrize("record", [b"", b"\0" * 159, HEADER.pack(99, *[0] * 10, b"", *[0] * 7, b"", b"", b"")])
def test_short_and_unknown_records_are_refused(record):
    """Too few bytes or an unknown class is an error that says which."""
    with pytest.raises(DecodeError, match=r"too short|unknown class 99"):
        event_class(record)


FIXED = struct.Struct("@11qQQiIIIHHIIIII")
DESCRIBED = struct.Struct("@QIIIIHHHHIIII16s16s")
SOCKET, FILE = 0o140777, 0o100644


def described(mode: int, path: int = 0, local: int = 0, remote: int = 0, family: int = 1) -> bytes:
    return DESCRIBED.pack(8, 0, mode, 0, path, family, 1, 6, 0, 0, local, remote, 0, b"", b"")


def call(number: int, end: bytes, description: bytes, places: bytes, address: bytes = b"", buffer: int = 0) -> bytes:
    """A record of a system call whose arguments are all 1 and whose result is 3."""
    slots = (1, 1, 1, 1, 1, 1, 3, 0, 1, 1, 1)
    fixed = FIXED.pack(*slots, 7, 9, 3, 0, 0, buffer, 0, 0, 1, number, 0, len(address), 0)
    begin = header("syscall", key=b"k" * 16) + IDENTITY.pack(*[0] * 11) + b"o" * 16
    return begin + fixed + description + address.ljust(112, b"\0") + places + end


PLACE = struct.Struct("@IIII")
OPENED = call(
    next(number for number, each in on_machine().items() if each.name == "openat"),
    b"leaf\0etc\0" + b"dir\0" + b"name\0",
    described(FILE, path=9),
    PLACE.pack(4, 5, 0, 0) + PLACE.pack(0, 0, 0, 0) * 2,
)


def test_record_of_a_call_becomes_an_event():
    """Arguments, resolved path and descriptor are where the table says."""
    decoded = decode(OPENED, 0.0)
    assert decoded.ticket == Ticket(b"k" * 16, 56, 7, "syscall", b"o" * 16)
    found = decoded.event
    assert isinstance(found, events.Syscall)
    assert (found.name, found.result, found.arguments, found.resolved, found.descriptor) == (
        "openat",
        3,
        {"fd": 3, "dirfd": 1, "flags": 1, "mode": 0, "name": "name", "dev": 0, "ino": 9, "created": 0},
        {"name": "/dir/name"},
        events.Descriptor(3, "file", path="/etc/leaf", inode=9),
    )


@given(st.integers(0, len(OPENED) - 1))
def test_truncated_records_of_calls_are_refused(length):
    """A record that ends too early is refused, wherever it ends."""
    with pytest.raises(DecodeError):
        name = event_class(OPENED[:length])
        assert name == "syscall"
        decode(OPENED[:length], 0.0)


LENGTH = st.one_of(st.integers(0, 60), st.integers(0, 2**32 - 1))


@given(
    st.sampled_from([*on_machine(), 511]),
    st.binary(max_size=200),
    st.builds(described, st.integers(0, 2**17), LENGTH, LENGTH, LENGTH, st.integers(0, 40)),
    st.lists(LENGTH, min_size=12, max_size=12).map(lambda numbers: struct.pack("@12I", *numbers)),
    st.binary(max_size=112),
    LENGTH,
)
def test_arbitrary_records_of_calls_decode_or_are_refused(number, end, description, places, address, buffer):
    """Whatever lengths, kinds and addresses a record claims, the result is an event or a DecodeError."""
    with contextlib.suppress(DecodeError):
        decoded = decode(call(number, end, description, places, address, buffer), 0.0)
        assert isinstance(decoded.event, events.Syscall)
