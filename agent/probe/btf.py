"""Offsets of kernel structure members and values of enumerators, from the running kernel's own BTF.

libbpf parses the 5 MB of BTF in milliseconds; only its C interface is used. The result is C text: one definition per
structure with just the wanted members at their real offsets, ``SIZE_struct``, ``HAS_struct_member`` for each member
that this kernel has, and ``TYPE_OF(pointer)``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from agent.probe.source import ProbeError

_KIND_STRUCT, _KIND_UNION, _KIND_TYPEDEF, _KIND_VOLATILE, _KIND_CONST, _KIND_RESTRICT = 4, 5, 8, 9, 10, 11
_KIND_ENUM, _KIND_PTR, _KIND_FUNC, _KIND_FUNC_PROTO = 6, 2, 12, 13
_MODIFIERS = {_KIND_TYPEDEF, _KIND_VOLATILE, _KIND_CONST, _KIND_RESTRICT, 18}  # 18: type tag
_LIBRARIES = ("libbpf.so.1", "libbpf.so.0")


# Where members are put that the kernel lacks: any address of the kernel's plus this is one that can not be read, so
# such reads yield zeros and the code around needs no conditions.
NOWHERE = 1 << 60


class Btf:
    """The kernel's types. Raises ProbeError when the kernel or the library has none."""

    def __init__(self) -> None:
        self._library = _library()
        handle = self._library.btf__load_vmlinux_btf()
        if not handle or handle > 2**64 - 4096:  # older libbpf returns an ERR_PTR
            raise ProbeError(
                "this kernel has no BTF (/sys/kernel/btf/vmlinux); run a kernel built with CONFIG_DEBUG_INFO_BTF=y"
            )
        self._handle = handle

    def close(self) -> None:
        self._library.btf__free(self._handle)

    def offset(self, structure: str, path: str) -> int | None:
        """Bytes from the structure's start to the member, through anonymous members; ``path`` may be dotted."""
        bits = self.bits(structure, path)
        return None if bits is None else bits // 8

    def bits(self, structure: str, path: str) -> int | None:
        """Bits from the structure's start to the member."""
        type_id = self._find(structure, _KIND_STRUCT)
        bits = 0
        for name in path.split("."):
            found = self._member(type_id, name) if type_id else None
            if found is None:
                return None
            member_bits, type_id = found
            bits += member_bits
            type_id = self._strip(type_id)
        return bits

    def size(self, structure: str) -> int | None:
        type_id = self._find(structure, _KIND_STRUCT)
        return self._words(type_id)[2] if type_id else None

    def structure(self, name: str) -> int:
        """The type's number; 0 when there is none."""
        return self._find(name, _KIND_STRUCT)

    def function(self, name: str) -> int:
        """The number of a function's type; 0 when the kernel has no such function that programs could know of."""
        return self._find(name, _KIND_FUNC)

    def enumerator(self, enum: str, name: str) -> int | None:
        type_id = self._find(enum, _KIND_ENUM)
        if not type_id:
            return None
        count = self._words(type_id)[1] & 0xFFFF
        values = self._words(type_id, 3 + 2 * count)[3:]
        for index in range(count):
            if self._name(values[2 * index]) == name:
                return values[2 * index + 1]
        return None

    def tracepoint_arguments(self, event: str) -> int | None:
        """How many arguments the tracepoint passes; None when this kernel has no such tracepoint."""
        type_id = self._find(f"btf_trace_{event}", _KIND_TYPEDEF)
        if not type_id:
            return None
        prototype = self._words(self._words(type_id)[2])[2]  # typedef → pointer → prototype
        return (self._words(prototype)[1] & 0xFFFF) - 1  # the first is the tracepoint's private pointer

    def _find(self, name: str, kind: int) -> int:
        found: int = self._library.btf__find_by_name_kind(self._handle, name.encode(), kind)
        return max(0, found)

    def _words(self, type_id: int, count: int = 3) -> ctypes.Array[ctypes.c_uint32]:
        return (ctypes.c_uint32 * count).from_address(self._library.btf__type_by_id(self._handle, type_id))

    def _name(self, offset: int) -> str:
        name: bytes | None = self._library.btf__name_by_offset(self._handle, offset)
        return (name or b"").decode()

    def _strip(self, type_id: int) -> int:
        words = self._words(type_id)
        while (words[1] >> 24) & 0x1F in _MODIFIERS:
            type_id = words[2]
            words = self._words(type_id)
        return type_id

    def _member(self, type_id: int, wanted: str) -> tuple[int, int] | None:
        """(offset in bits, type) of a member, looking into anonymous structures and unions."""
        info = self._words(type_id)[1]
        if (info >> 24) & 0x1F not in (_KIND_STRUCT, _KIND_UNION):
            return None
        count = info & 0xFFFF
        words = self._words(type_id, 3 + 3 * count)
        mask = 0xFFFFFF if info >> 31 else 0xFFFFFFFF  # with the flag set the upper byte is a bit-field's width
        for base in range(3, 3 + 3 * count, 3):
            name, inner, offset = self._name(words[base]), words[base + 1], words[base + 2] & mask
            if name == wanted:
                return offset, inner
            if not name and (deeper := self._member(self._strip(inner), wanted)):
                return offset + deeper[0], deeper[1]
        return None


def definitions(btf: Btf, wanted: Mapping[str, Mapping[str, str]]) -> tuple[str, list[str]]:
    """C definitions of ``{structure: {dotted member: C type}}``, and the ``structure.member`` this kernel lacks.

    Other names that some kernels give the member may follow it behind "|"; it is called by the first one.
    """
    lines = [f"struct {name};" for name in wanted]
    missing: list[str] = []
    for structure, members in wanted.items():
        offsets = {names.partition("|")[0]: _first_offset(btf, structure, names) for names in members}
        kinds = {names.partition("|")[0]: kind for names, kind in members.items()}
        missing += [f"{structure}.{path}" for path, offset in offsets.items() if offset is None]
        lines += _definition(structure, btf.size(structure) or 0, kinds, offsets)
    lines.append(_types(btf, wanted))
    return "\n".join(lines) + "\n", missing


def _types(btf: Btf, wanted: Mapping[str, object]) -> str:
    """``TYPE_OF(pointer)``: the number of the structure's type, 0 for pointers to anything else."""
    numbers = {name: number for name in wanted if (number := btf.structure(name))}
    cases = ", ".join(f"struct {name} *: {number}" for name, number in numbers.items())
    return f"#define TYPE_OF(pointer) _Generic((pointer), {cases}, default: 0)"


def _first_offset(btf: Btf, structure: str, names: str) -> int | None:
    found = (btf.offset(structure, path) for path in names.split("|"))
    return next((offset for offset in found if offset is not None), None)


def _definition(structure: str, size: int, members: Mapping[str, str], offsets: Mapping[str, int | None]) -> list[str]:
    """A union of padded members, since a wanted member may lie inside another one's bytes."""
    lines = [f"struct {structure} {{ union {{"]
    for path, offset in offsets.items():
        name = path.replace(".", "_")
        before = NOWHERE if offset is None else offset
        declarator = _declare(members[path], name)
        lines.append(f"  struct {{ char _before_{name}[{before}]; {declarator}; }} __attribute__((packed));")
    lines += ["}; };", f"#define SIZE_{structure} {size}"]
    lines += [f"#define HAS_{structure}_{path.replace('.', '_')} 1" for path, at in offsets.items() if at is not None]
    return lines


def _declare(kind: str, name: str) -> str:
    base, bracket, length = kind.partition("[")
    return f"{base} {name}{bracket}{length}"


def _library() -> ctypes.CDLL:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.btf__load_vmlinux_btf.restype = ctypes.c_void_p
        library.btf__free.argtypes = [ctypes.c_void_p]
        library.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
        library.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        library.btf__type_by_id.restype = ctypes.c_void_p
        library.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        library.btf__name_by_offset.restype = ctypes.c_char_p
        return library
    raise ProbeError("libbpf is not installed; install the package libbpf1 (Debian, Ubuntu) and start again")
