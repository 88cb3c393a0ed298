"""What BCC makes of the hooks' text: maps by their shapes, programs by their instructions. Only here BCC is imported.

Compiling takes two seconds and 100 MB, and its result depends on the text alone: so it is kept in a directory. It must
belong to root, as what is in it goes into the kernel (where the verifier looks at it like at any program).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.probe import bpfmap
from agent.probe.source import ProbeError

_INSTRUCTION = struct.Struct("@BBhi")
_LOAD_WIDE, _OF_MAP = 0x18, 1
_PREFIX = "probe-"


class MapShape(msgspec.Struct, frozen=True):
    """As bpf(2) takes them."""

    type: int
    key_size: int
    value_size: int
    entries: int
    flags: int


class Compiled(msgspec.Struct, frozen=True):
    """In the instructions a map, or the value of a map that has only one, is its number in ``maps``, in their order."""

    maps: dict[str, MapShape]
    programs: dict[str, bytes]


def compile_text(text: str, maps: Iterable[str], programs: Iterable[str]) -> Compiled:
    """Raises ProbeError when BCC is not there or can not compile."""
    try:
        import bcc
        from bcc.libbcc import lib
    except ImportError as error:
        raise ProbeError(_NO_BCC) from error
    if not hasattr(bcc, "BPF"):
        raise ProbeError(_NO_BCC)
    try:
        module = bcc.BPF(text=text, cflags=["-w"]).module
    except Exception as error:  # BCC raises the bare class
        raise ProbeError(f"BCC could not compile the hooks: {error}") from error
    descriptors = {name: int(lib.bpf_table_fd(module, name.encode())) for name in maps}
    numbers = {descriptor: number for number, descriptor in enumerate(descriptors.values()) if descriptor >= 0}
    shapes = {name: MapShape(*bpfmap.shape(descriptor)) for name, descriptor in descriptors.items() if descriptor >= 0}
    if len(shapes) != len(descriptors):
        raise ProbeError(f"the hooks' text has no map {', '.join(descriptors.keys() - shapes.keys())}")
    made = {}
    for name in programs:
        start, size = lib.bpf_function_start(module, name.encode()), lib.bpf_function_size(module, name.encode())
        made[name] = _numbered(ctypes.string_at(start, size), numbers)
    return Compiled(shapes, made)


def kept(directory: Path | None, text: str, maps: Iterable[str], programs: Iterable[str]) -> Compiled:
    """From the directory, else compiled and put there instead of what was there before. None: nothing is kept."""
    if directory is None:
        return compile_text(text, maps, programs)
    path = directory / f"{_PREFIX}{hashlib.sha256(text.encode()).hexdigest()}"
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Compiled)
    except (OSError, msgspec.DecodeError):  # not there yet, or damaged: it is made anew either way
        made = compile_text(text, maps, programs)
    _keep(path, msgspec.msgpack.encode(made))
    return made


def _keep(path: Path, content: bytes) -> None:
    """A directory that can not be written costs the next start its time, and nothing else."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in path.parent.glob(f"{_PREFIX}*"):
            old.unlink()
        descriptor, temporary = tempfile.mkstemp(prefix=_PREFIX, dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        return


def _numbered(instructions: bytes, numbers: dict[int, int]) -> bytes:
    text = bytearray(instructions)
    for at in range(0, len(text), _INSTRUCTION.size):
        code, registers, offset, value = _INSTRUCTION.unpack_from(text, at)
        if code == _LOAD_WIDE and registers >> 4 == _OF_MAP:
            if value not in numbers:
                raise ProbeError("a hook uses a map that is not in the list of maps")
            _INSTRUCTION.pack_into(text, at, code, registers, offset, numbers[value])
    return bytes(text)


_NO_BCC = (
    "BCC's Python module is not there; install the package python3-bpfcc (not PyPI's bcc, which is another program) "
    "and run the agent with the system's Python or a virtual environment that has --system-site-packages"
)
