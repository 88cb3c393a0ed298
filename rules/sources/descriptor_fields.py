"""fd.*: the file or socket that a call is about. A failed open is about the path that it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rules.fields import Argument, Extractor, FieldInfo, Type, Value, Variation, Where, always, where
from rules.sources import sockets
from rules.sources.activity import Activity
from rules.sources.declarations import boolean, field, integer, missing, nothing, text
from rules.sources.outcome import depends_on_outcome_only
from rules.sources.socket_fields import can_be_bound, has_sockets, may_be_bound, name_may_vary
from rules.sources.syscall_names import OPENS
from rules.sources.thread_fields import thread
from watchkeeper.events import Descriptor, Syscall

MAKES = OPENS | frozenset(
    {
        "accept", "accept4", "bpf", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "eventfd", "eventfd2",
        "inotify_init", "inotify_init1", "io_uring_setup", "memfd_create", "pidfd_getfd", "pidfd_open", "pipe", "pipe2",
        "signalfd", "signalfd4", "socket", "socketpair", "timerfd_create", "userfaultfd",
    }
)  # fmt: skip
_WITHOUT = {**dict.fromkeys(OPENS, "f"), "socket": "4", "accept": "4", "accept4": "4", "pipe": "p", "pipe2": "p"}
_FILES = frozenset({"file", "directory"})
_OF_ENDS = frozenset("0123456789abcdefABCDEF.:->")  # characters of a connection's name
# Operators for which every character of a literal stands for itself.
_LITERAL = frozenset({"=", "!=", "in", "intersects", "contains", "icontains", "startswith", "endswith", "exists"})


def descriptor_fields() -> tuple[FieldInfo, ...]:
    return (*_names(), *_numbers(), *_states())


def _names() -> tuple[FieldInfo, ...]:
    return (
        field("fd.name", Type.PATH, "A file's path; a socket's ends, client->server.", _name, _name_varies),
        field("fd.nameraw", Type.PATH, "The path of an open as the caller gave it.", _raw_name),
        field("fd.directory", Type.PATH, "The directory the file lies in.", _directory),
        text("fd.filename", "The file's name without its directory.", _file_name),
        text(
            "fd.containername",
            "container.id and fd.name with a colon between.",
            _with_container(_name),
            where(name_may_vary, has_sockets),
        ),
        text(
            "fd.containerdirectory", "container.id and fd.directory with a colon between.", _with_container(_directory)
        ),
        text("fd.type", "file, directory, ipv4, ipv6, unix, pipe, event, memfd, …", _of(sockets.kind)),
        text("fd.typechar", "The type as one character: f, d, 4, 6, u, p, e, …", _character),
        text("fd.l4proto", "tcp, udp, icmp or raw; <NA> for what is no internet socket.", _of(_protocol)),
        text("fd.sockfamily", "ip or unix.", _of(_family)),
        FieldInfo(
            "fd.types",
            Type.STRING,
            "Always missing: no table of open descriptors is kept.",
            lambda _argument: nothing,
            Argument.OPTIONAL_INDEX,
            is_list=True,
        ),
    )


def _numbers() -> tuple[FieldInfo, ...]:
    return (
        integer("fd.num", "The descriptor's number; -1 where the call made none.", _number, _number_varies),
        text("fd.uid", "Ids of thread and descriptor in one.", _unique, always),
        integer("fd.ino", "The file's inode.", _of(lambda found: found.inode), always),
        integer("fd.dev", "The file's device.", _of(lambda found: found.device)),
        integer("fd.dev.major", "The major number of it.", _of(_major)),
        integer("fd.dev.minor", "The minor number of it.", _of(_minor)),
    )


def _states() -> tuple[FieldInfo, ...]:
    return (
        boolean(
            "fd.connected",
            "Whether the socket is connected.",
            _of(lambda found: found.connected),
            where(_may_be_connected, has_sockets),
        ),
        boolean(
            "fd.name_changed",
            "Whether this call set the peer, as datagrams to an address do.",
            _name_changed,
            where(_may_set_the_peer, sockets.DATA_CALLS.__contains__),
        ),
        boolean(
            "fd.is_server",
            "Whether the process holds the server's end.",
            _of(_is_server),
            where(may_be_bound, can_be_bound),
        ),
        boolean(
            "fd.is_upper_layer",
            "Whether the file lies in the writable layer of the container.",
            _of(lambda found: found.upper_layer),
        ),
        boolean(
            "fd.is_lower_layer",
            "Whether the file lies in a layer of the image.",
            _of(lambda found: found.lower_layer),
        ),
        *(
            missing(f"fdlist.{name}", Type.STRING, "poll is not told.")
            for name in ("nums", "names", "cips", "sips", "cports", "sports")
        ),
    )


def descriptor(activity: Activity) -> Descriptor | None:
    """What the call is about, where it was told."""
    event = activity.event
    return event.descriptor if type(event) is Syscall else None


def _of(get: Callable[[Descriptor], Value | None]) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        event = activity.event
        if type(event) is not Syscall or event.descriptor is None:
            return None
        return get(event.descriptor)

    return extract


def _asked_for(activity: Activity) -> str | None:
    """The path of an open that failed."""
    event = activity.event
    if type(event) is not Syscall or event.name not in OPENS:
        return None
    return event.resolved.get("name") or _text(event, "name")


def _text(event: Syscall, name: str) -> str | None:
    value = event.arguments.get(name)
    return value if isinstance(value, str) else None


def _name(activity: Activity) -> str | None:
    found = descriptor(activity)
    return sockets.name(found) if found is not None else _asked_for(activity)


def _raw_name(activity: Activity) -> str | None:
    event = activity.event
    if type(event) is not Syscall or event.name not in OPENS:
        return None
    name = _text(event, "name")
    while name is not None and "//" in name:
        name = name.replace("//", "/")
    return name


def _directory(activity: Activity) -> str | None:
    found = descriptor(activity)
    if found is None:
        path = _asked_for(activity)
    elif found.kind in _FILES:
        path = found.path
    else:
        return None
    if path is None or (found is not None and found.kind == "directory"):
        return path
    return _above(path)


def _above(path: str) -> str:
    """A path that ends with a slash is its own directory for Falco."""
    slash = path.rfind("/")
    if slash <= 0:
        return "/"
    return path[:slash] if slash < len(path) - 1 else path


def _file_name(activity: Activity) -> str | None:
    found = descriptor(activity)
    if found is None or found.kind != "file":
        return None
    return found.path.rpartition("/")[2] or found.path or "/"


def _with_container(get: Callable[[Activity], str | None]) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        found, container = get(activity), activity.container
        return None if found is None else f"{container.id[:12] if container is not None else 'host'}:{found}"

    return extract


def _character(activity: Activity) -> str | None:
    found = descriptor(activity)
    return sockets.character(found) if found is not None else _WITHOUT.get(activity.event.name)


def _major(found: Descriptor) -> int:
    return found.device >> 8 & 0xFFF


def _minor(found: Descriptor) -> int:
    return found.device & 0xFF | found.device >> 12 & 0xFFF00


def _protocol(found: Descriptor) -> str:
    return found.protocol or "<NA>"


def _family(found: Descriptor) -> str | None:
    if found.kind in sockets.INTERNET:
        return "ip"
    return "unix" if found.kind == "unix" else None


def _number(activity: Activity) -> int | None:
    event = activity.event
    if type(event) is not Syscall:
        return None
    if event.name in MAKES:
        return max(-1, event.result)
    if event.descriptor is not None:
        return event.descriptor.number
    value = event.arguments.get("fd")
    return value if isinstance(value, int) else None


def _unique(activity: Activity) -> str | None:
    number = _number(activity)
    return None if number is None else f"{thread(activity)}{number}"


def _name_changed(activity: Activity) -> bool | None:
    found = descriptor(activity)
    if found is None:
        return None
    if activity.event.name not in sockets.DATA_CALLS or found.kind not in sockets.INTERNET:
        return False
    return bool(found.remote_address) and not found.connected and found.protocol != "tcp"


def _is_server(found: Descriptor) -> bool:
    return found.kind in sockets.INTERNET and sockets.has_server(found) and sockets.is_server(found)


def _may_be_connected(activity: Activity) -> bool:
    found = descriptor(activity)
    return found is not None and (found.kind in sockets.INTERNET or found.kind == "unix")


def _may_set_the_peer(activity: Activity) -> bool:
    """Whether a datagram has an address of its own is no part of the behaviour."""
    found = descriptor(activity)
    if found is None or activity.event.name not in sockets.DATA_CALLS:
        return False
    return found.kind in sockets.INTERNET and found.protocol != "tcp"


def _name_varies(operator: str, literals: Sequence[str]) -> Variation:
    """A connection's name holds the client's port. A literal with any other character tells no two of them apart."""
    told_apart = operator not in _LITERAL or not all(set(literal) - _OF_ENDS for literal in literals)
    return _NAME_VARIES if told_apart else False


def _number_varies(operator: str, literals: Sequence[str]) -> Variation:
    """Of a call that makes a descriptor it is -1 for every failure."""
    of_outcome = (operator in ("=", "!=") and tuple(literals) == ("-1",)) or depends_on_outcome_only(operator, literals)
    return _NUMBER_VARIES if of_outcome else True


def _makes_none(event_type: str) -> bool:
    return event_type not in MAKES


_NAME_VARIES = Where(name_may_vary, has_sockets)
_NUMBER_VARIES = Where(lambda activity: type(activity.event) is Syscall, _makes_none)
