"""How the raw values of an event's parameters are told: flags and constants by Falco's names, paths resolved.

``Exec`` carries its parameters as fields of its own and of its task; ``Syscall`` in ``arguments``. The result, what a
descriptor stands for, and the bytes sent or received are taken from where they lie in both. The kinds are those of
``rules.sources.parameters``. Of open's flags, ``arguments["created"]`` says that the call made the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

from rules.sources import flags, sockets
from rules.sources.activity import Activity
from rules.sources.parameters import PARAMETERS
from watchkeeper.events import Descriptor, Exec, Syscall

Raw = int | str | bytes
Told = tuple[str, str]
"""The plain text of a value and, where Falco resolves it to something more telling, that, else ""."""

AT_FDCWD = -100
NOBODY = 0xFFFFFFFF  # an id of -1
UNKNOWN = "<NA>"  # what Falco calls a user nobody knows

_DOTS = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))
_NOTHING: tuple[tuple[str, str], ...] = ()

_EXECUTION: dict[str, Callable[[Activity, Exec], Raw | None]] = {
    "res": lambda activity, event: 0,
    "exe": lambda activity, event: event.arguments[0] if event.arguments else event.executable,
    "args": lambda activity, event: _packed(event.arguments[1:]),
    "tid": lambda activity, event: event.task.thread or event.task.pid,
    "pid": lambda activity, event: event.task.pid,
    "ptid": lambda activity, event: event.task.parent_pid,
    "cwd": lambda activity, event: event.working_directory,
    "comm": lambda activity, event: event.task.comm,
    "env": lambda activity, event: _packed(event.environment),
    "tty": lambda activity, event: event.tty_number,
    "vpgid": lambda activity, event: event.task.virtual_group or event.task.group,
    "loginuid": lambda activity, event: event.task.login_uid,
    "flags": lambda activity, event: _executable_flags(event),
    "cap_inheritable": lambda activity, event: event.task.cap_inheritable,
    "cap_permitted": lambda activity, event: event.task.cap_permitted,
    "cap_effective": lambda activity, event: event.task.cap_effective,
    "exe_ino": lambda activity, event: event.inode,
    "exe_ino_ctime": lambda activity, event: event.changed_at,
    "exe_ino_mtime": lambda activity, event: event.modified_at,
    "uid": lambda activity, event: effective(event.task.effective_uid, event.task.uid),
    "trusted_exepath": lambda activity, event: event.executable,
    "pgid": lambda activity, event: event.task.group,
    "gid": lambda activity, event: effective(event.task.effective_gid, event.task.gid),
    "filename": lambda activity, event: event.executable,
}


def effective(identifier: int, real: int) -> int:
    """An effective id, which is -1 where it is the real one."""
    return real if identifier < 0 else identifier


def result(activity: Activity) -> int:
    """What the call returned: a negative errno for failure."""
    event = activity.event
    return event.result if type(event) is Syscall else 0


def parameters(event_type: str) -> tuple[tuple[str, str], ...]:
    """Names and kinds of an event's parameters; none for those nobody has described."""
    return PARAMETERS.get(event_type, _NOTHING)


def raw(activity: Activity, name: str, kind: str, position: int) -> Raw | None:
    """The value of one parameter of the event as Falco would hold it; None: it was not told."""
    event = activity.event
    if type(event) is Exec:
        get = _EXECUTION.get(name)
        return get(activity, event) if get else None
    assert isinstance(event, Syscall)
    if position == 0:
        return event.result
    descriptor = event.descriptor
    if kind == "tuple":
        return sockets.name(descriptor)
    if kind == "bytes":
        return event.buffer
    value = event.arguments.get(name)
    if value is None and descriptor is not None:
        return _address(event.name, descriptor) if kind == "address" else _of_descriptor(name, descriptor)
    return value


def number(activity: Activity, name: str, kind: str, value: int) -> int:
    """The number by which Falco knows the kernel's value."""
    if kind == "open_flags":
        return _open_flags(activity, name, value)[0]
    if kind in flags.KINDS:
        return flags.flags(kind, value)[0]
    if kind in flags.NUMBERED:
        return flags.NUMBERED[kind](value)[0]
    return value


def tell(activity: Activity, name: str, kind: str, value: Raw) -> Told:
    """Texts of a raw value."""
    if isinstance(value, bytes):
        return dotted(value), ""
    if isinstance(value, str):
        return value, _resolved(activity, name, value) if kind == "path" else ""
    if kind == "open_flags":
        number, text = _open_flags(activity, name, value)
        return str(number), text
    if kind in flags.KINDS:
        number, text = flags.flags(kind, value)
        return octal(value) if kind == "mode" else str(number), text
    if kind in flags.NUMBERED:
        number, text = flags.NUMBERED[kind](value)
        return str(number), text
    teller = _TELLERS.get(kind)
    return teller(activity, value) if teller else (str(value), "")


def dotted(content: bytes) -> str:
    """Bytes as Falco prints them: what is not printable ASCII as a dot."""
    return content.translate(_DOTS).decode("ascii")


@lru_cache(1024)
def octal(value: int) -> str:
    return f"0{value:o}" if value else "0"


def _open_flags(activity: Activity, name: str, value: int) -> tuple[int, str]:
    """With what only the kernel knows of the opened file."""
    number, text = flags.flags("open_flags", value)
    event = activity.event
    if type(event) is not Syscall or name != "flags":
        return number, text
    descriptor = event.descriptor
    layers = (descriptor.upper_layer, descriptor.lower_layer) if descriptor else (False, False)
    marks = (flags.OPEN_CREATED, flags.OPEN_UPPER_LAYER, flags.OPEN_LOWER_LAYER)
    for (mark, bit), present in zip(marks, (event.arguments.get("created"), *layers), strict=True):
        if present:
            number, text = number | bit, f"{text}|{mark}" if text else mark
    return number, text


def _executable_flags(event: Exec) -> int:
    return event.writable | event.upper_layer << 1 | event.memfd << 2 | event.lower_layer << 3


def _packed(texts: tuple[str, ...]) -> bytes:
    """As the kernel keeps arguments: each with a zero byte behind."""
    return b"".join(text.encode("utf-8", "replace") + b"\0" for text in texts)


def _of_descriptor(name: str, descriptor: Descriptor) -> int | None:
    match name:
        case "fd":
            return descriptor.number
        case "dev":
            return descriptor.device
        case "ino":
            return descriptor.inode
        case _:
            return None


def _address(event_type: str, descriptor: Descriptor) -> str:
    """The address that was given to the call."""
    return sockets.local(descriptor) if event_type == "bind" else sockets.remote(descriptor)


def _resolved(activity: Activity, name: str, path: str) -> str:
    event = activity.event
    if type(event) is not Syscall or path.startswith("/"):
        return ""
    return event.resolved.get(name, "")


def _tell_descriptor(activity: Activity, value: int) -> Told:
    event = activity.event
    if value >= 0:
        descriptor = event.descriptor if type(event) is Syscall else None
        return str(value), sockets.marked(descriptor) if descriptor and descriptor.number == value else ""
    return str(value), "AT_FDCWD" if value == AT_FDCWD else flags.error(value)


def _tell_result(activity: Activity, value: int) -> Told:
    return str(value), flags.error(value) if value < 0 else ""


def _tell_user(activity: Activity, value: int) -> Told:
    if value in (-1, NOBODY):
        return "-1", "<NONE>"
    return str(value), activity.accounts.user(value) or UNKNOWN


def _tell_group(activity: Activity, value: int) -> Told:
    if value in (-1, NOBODY):
        return "-1", "<NONE>"
    return str(value), activity.accounts.group(value) or UNKNOWN


def _tell_process(activity: Activity, value: int) -> Told:
    task = activity.event.task
    if value == task.pid:
        return str(value), task.comm
    parent = activity.ancestor(1) if value == task.parent_pid else None
    return str(value), parent.name if parent else ""


def _tell_capabilities(activity: Activity, value: int) -> Told:
    return f"{value:X}", ""


def _tell_time(activity: Activity, value: int) -> Told:
    second, nanosecond = divmod(value, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(second))}.{nanosecond:09d} +0000", ""


_TELLERS: dict[str, Callable[[Activity, int], Told]] = {
    "fd": _tell_descriptor,
    "errno": _tell_result,
    "uid": _tell_user,
    "gid": _tell_group,
    "pid": _tell_process,
    "capabilities": _tell_capabilities,
    "time": _tell_time,
    "octal": lambda activity, value: (octal(value), ""),
    "hex": lambda activity, value: (f"{value:X}", ""),
}
