"""From an event to behaviours: the accidental parts (times, ids, generated names) are removed.

Peers are addresses for now; naming them by workload and service needs the cluster's view.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

from agent.paths import generalise, printable
from agent.process import Known
from watchkeeper.events import AnyEvent, Bind, Capability, Chmod, Connect, Exec, Listen, Open, Rename, Unlink
from watchkeeper.findings import Behaviour, BehaviourClass

# In the place of the process, for a program that came into the container from outside.
ENTRYPOINT = "entrypoint"
EXEC_IN = "exec_in"
# In the place of the process: the executable lies in the container's writable layer, the image does not hold it so.
UPPER_LAYER = "upper_layer"
UNKNOWN = "unknown"

EPHEMERAL_PORT = 32_768  # Linux gives ports from here on to sockets that did not ask for one
UDP_EPHEMERAL = "udp/ephemeral"

# Devices that keep nothing, and terminals: writing them says nothing about a workload.
_NO_FILE = re.compile(r"/dev/(?:null|zero|full|random|urandom|tty\d*|console|ptmx|pts(?:/.*)?|std(?:in|out|err))\Z")
_MANY_IN_ONE = re.compile(r"(?:busybox|toybox)|coreutils\Z")
_APPLET = re.compile(r"[a-z0-9_\[.-]{1,24}\Z")


class Sensitive:
    """Which reads matter. "*" in a pattern matches anything, "/" too."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._match = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns) or r"(?!)").match

    def __contains__(self, path: str) -> bool:
        return self._match(path) is not None


def behaviours_of(event: AnyEvent, known: Known | None, sensitive: Sensitive) -> tuple[Behaviour, ...]:
    """What the process ``known`` (None: its exec was lost) shows with any event but an exec; often nothing."""
    process = program(known)
    match event:
        case Open(path=path) if event.writes:
            return _written(process, path)
        case Open(path=path) if path in sensitive:
            return (Behaviour(BehaviourClass.SENSITIVE_READ, process, generalise(path)),)
        case Unlink(path=path) | Chmod(path=path):
            return _written(process, path)
        case Rename(path=path, new_path=new_path):
            return tuple(dict.fromkeys(_written(process, new_path) + _written(process, path)))
        case Listen(port=port):
            return (Behaviour(BehaviourClass.LISTENING, process, f"tcp/{port}"),)
        case Bind(port=port):
            name = UDP_EPHEMERAL if port >= EPHEMERAL_PORT else f"udp/{port}"
            return (Behaviour(BehaviourClass.LISTENING, process, name),)
        case Connect(port=0):
            return ()  # a probe for the source address: nothing can be sent to port 0
        case Connect(protocol=protocol, address=address, port=port):
            return (Behaviour(BehaviourClass.OUTBOUND, process, f"{protocol}/{peer(address)}:{port}"),)
        case Capability(name=name):
            return (Behaviour(BehaviourClass.CAPABILITY, process, printable(name)),)
    return ()


def executed(event: Exec, after: Known, before: Known | None) -> tuple[Behaviour, ...]:
    """The execution; and a second behaviour for a program that the image does not hold.

    The second makes it visible when a known path is overwritten: the first is known, this one is not.
    """
    path = _named(_resolved(event), event.arguments)
    origins = {ENTRYPOINT: ENTRYPOINT, EXEC_IN: EXEC_IN}
    first = Behaviour(BehaviourClass.EXECUTED, origins.get(after.origin) or program(before), path)
    if event.upper_layer:
        return first, Behaviour(BehaviourClass.EXECUTED, UPPER_LAYER, path)
    return (first,)


def program(known: Known | None) -> str:
    """The program a process runs, as behaviours call it."""
    return _named(known.executable, known.arguments) if known is not None and known.executable else UNKNOWN


def _named(executable: str, arguments: tuple[str, ...]) -> str:
    """The path; of a binary that is many programs (busybox), also which: it decides by its first argument, too."""
    path = generalise(executable)
    if not arguments or not _MANY_IN_ONE.match(executable.rsplit("/", 1)[-1]):
        return path
    applet = arguments[0].rsplit("/", 1)[-1].removeprefix("-")
    if _MANY_IN_ONE.match(applet):
        applet = arguments[1] if len(arguments) > 1 else ""
    return f"{path} ({applet})" if _APPLET.match(applet) else path


@lru_cache(maxsize=1024)
def peer(address: str) -> str:
    """``loopback`` for the host itself, ``[…]`` around version 6, version 4 inside version 6 unwrapped."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return printable(address) or UNKNOWN
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback or parsed.is_unspecified:  # connecting to 0.0.0.0 or :: reaches the host itself
        return "loopback"
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)


def _written(process: str, path: str) -> tuple[Behaviour, ...]:
    if not path.startswith("/") or _NO_FILE.match(path):
        return ()  # pipes, sockets and anonymous inodes have no path
    return (Behaviour(BehaviourClass.WRITTEN, process, generalise(path)),)


def _resolved(event: Exec) -> str:
    if event.memfd and not event.executable.startswith(("/memfd:", "memfd:")):
        return "memfd:" + event.executable.rsplit("/", 1)[-1]
    return event.executable.lstrip("/") if event.executable.startswith("/memfd:") else event.executable
