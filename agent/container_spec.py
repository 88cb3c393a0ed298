"""What a container was made with, by its OCI specification or a CRI's answer: privileges, namespaces, mounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from watchkeeper.findings import Container, Mount

MOST_MOUNTS = 128
LONGEST = 4096  # characters of a path

_NODE = 2  # the CRI's number for a namespace of the host
_PROPAGATION = ("private", "rslave", "rshared")  # the CRI's numbers
_OPTIONS = {
    "private": "private", "rprivate": "private", "slave": "rslave", "rslave": "rslave", "shared": "rshared",
    "rshared": "rshared",
}  # fmt: skip
_BINDS = frozenset({"bind", "rbind"})
# The OCI knows no privileged containers; runtimes give these to no other by default.
_PRIVILEGED = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"})


class _Capabilities(msgspec.Struct):
    bounding: list[str] | None = None


class _Process(msgspec.Struct):
    capabilities: _Capabilities | None = None


class _Device(msgspec.Struct):
    allow: bool = False
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = ""


class _Resources(msgspec.Struct):
    devices: list[_Device] | None = None


class _Namespace(msgspec.Struct):
    type: str = ""
    path: str = ""


class _Linux(msgspec.Struct):
    namespaces: list[_Namespace] | None = None
    maskedPaths: list[str] | None = None  # noqa: N815, RUF100 - the OCI's spelling
    resources: _Resources | None = None


class _SpecMount(msgspec.Struct):
    destination: str = ""
    source: str = ""
    type: str = ""
    options: list[str] | None = None


class Spec(msgspec.Struct):
    """The part of an OCI specification that is read."""

    process: _Process | None = None
    linux: _Linux | None = None
    mounts: list[_SpecMount] | None = None


class _NamespaceOptions(msgspec.Struct):
    network: int = 0
    pid: int = 0
    ipc: int = 0


class _SecurityContext(msgspec.Struct):
    privileged: bool = False
    namespace_options: _NamespaceOptions | None = None


class _ConfigLinux(msgspec.Struct):
    security_context: _SecurityContext | None = None


class _ConfigMount(msgspec.Struct):
    container_path: str = ""
    host_path: str = ""
    readonly: bool = False
    propagation: int = 0


class _Config(msgspec.Struct):
    linux: _ConfigLinux | None = None
    mounts: list[_ConfigMount] | None = None


class _Info(msgspec.Struct):
    sandboxID: str = ""  # noqa: N815, RUF100 - the runtimes' spelling
    privileged: bool | None = None  # CRI-O
    config: _Config | None = None  # containerd
    runtimeSpec: Spec | None = None  # noqa: N815, RUF100 - the runtimes' spelling


@dataclass(frozen=True, slots=True)
class Facts:
    """``privileged`` and ``host_…`` None: not told. ``mounts``: those of files of the host, in their order."""

    privileged: bool | None = None
    mounts: tuple[Mount, ...] = ()
    host_network: bool | None = None
    host_pid: bool | None = None
    host_ipc: bool | None = None


UNTOLD = Facts()


def from_info(info: str) -> tuple[str, Facts]:
    """The sandbox's id ("": not told) and the facts, of the JSON in a CRI's verbose ContainerStatus."""
    try:
        found = msgspec.json.decode(info, type=_Info)
    except msgspec.MsgspecError:
        return "", UNTOLD
    facts = from_spec(found.runtimeSpec) if found.runtimeSpec else UNTOLD
    if found.privileged is not None:
        facts = replace(facts, privileged=found.privileged)
    if found.config is not None:
        facts = _from_config(found.config)
    return found.sandboxID, facts


def from_spec(spec: Spec) -> Facts:
    return Facts(
        _is_privileged(spec),
        bounded(_mount(mount) for mount in spec.mounts or () if _is_bind(mount)),
        _is_of_host(spec, "network"),
        _is_of_host(spec, "pid"),
        _is_of_host(spec, "ipc"),
    )


def facts_of(container: Container) -> Facts:
    """What is already known of a container."""
    return Facts(container.privileged, container.mounts, container.host_network, container.host_pid, container.host_ipc)


def with_facts(container: Container, facts: Facts) -> Container:
    return replace(
        container,
        privileged=facts.privileged,
        mounts=facts.mounts,
        host_network=facts.host_network,
        host_pid=facts.host_pid,
        host_ipc=facts.host_ipc,
    )


def bounded(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """So many, of so long paths."""
    short = (mount for mount in mounts if len(mount.source) <= LONGEST and len(mount.destination) <= LONGEST)
    return tuple(mount for mount, _ in zip(short, range(MOST_MOUNTS), strict=False))


def _from_config(config: _Config) -> Facts:
    context = config.linux.security_context if config.linux else None
    mounts = (
        Mount(
            source=mount.host_path,
            destination=mount.container_path,
            writable=not mount.readonly,
            propagation=_PROPAGATION[mount.propagation] if 0 <= mount.propagation < len(_PROPAGATION) else "",
        )
        for mount in config.mounts or ()
    )
    privileged, options = (context.privileged, context.namespace_options) if context else (False, None)
    if options is None:
        return Facts(privileged, bounded(mounts))
    shared = (options.network == _NODE, options.pid == _NODE, options.ipc == _NODE)
    return Facts(privileged, bounded(mounts), *shared)


def _is_privileged(spec: Spec) -> bool | None:
    """By what only privileged containers get together: the capabilities, all devices, and no path hidden."""
    capabilities = spec.process.capabilities if spec.process else None
    if capabilities is None or spec.linux is None:
        return None
    devices = (spec.linux.resources.devices if spec.linux.resources else None) or []
    every = any(
        device.allow and device.type in ("a", "") and device.major is None and "w" in device.access
        for device in devices
    )
    return _PRIVILEGED.issubset(capabilities.bounding or ()) and every and not spec.linux.maskedPaths


def _is_of_host(spec: Spec, kind: str) -> bool | None:
    """A namespace that the specification leaves out is the host's. One that is joined may be anybody's."""
    if spec.linux is None or spec.linux.namespaces is None:
        return None
    paths = [namespace.path for namespace in spec.linux.namespaces if namespace.type == kind]
    if not paths:
        return True
    return None if paths[0] else False


def _is_bind(mount: _SpecMount) -> bool:
    return mount.type == "bind" or not _BINDS.isdisjoint(mount.options or ())


def _mount(mount: _SpecMount) -> Mount:
    options = mount.options or []
    return Mount(
        source=mount.source,
        destination=mount.destination,
        writable="ro" not in options,
        propagation=next((_OPTIONS[option] for option in options if option in _OPTIONS), ""),
    )
