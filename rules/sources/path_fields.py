"""fs.path.*, evt.abspath: the paths of calls that act on paths, and not on descriptors."""

from __future__ import annotations

from rules.fields import Extractor, FieldInfo, Type, Value
from rules.sources.activity import Activity
from rules.sources.declarations import field
from rules.sources.descriptor_fields import descriptor
from watchkeeper.events import Syscall

# event type -> parameter. A link's source is the new name, as for Falco.
_PATHS = {
    "open": "name", "openat": "name", "openat2": "name", "mkdir": "path", "mkdirat": "path", "rmdir": "path",
    "unlink": "path", "unlinkat": "name", "chmod": "filename", "fchmodat": "filename", "chown": "path",
    "lchown": "path", "fchownat": "pathname", "umount": "name", "umount2": "name",
}  # fmt: skip
_SOURCES = {
    "rename": "oldpath", "renameat": "oldpath", "renameat2": "oldpath", "link": "newpath", "linkat": "newpath",
    "symlink": "linkpath", "symlinkat": "linkpath", "mount": "dev",
}  # fmt: skip
_TARGETS = {
    "rename": "newpath", "renameat": "newpath", "renameat2": "newpath", "link": "oldpath", "linkat": "oldpath",
    "symlink": "target", "symlinkat": "target", "mount": "dir",
}  # fmt: skip
_OF_DESCRIPTOR = frozenset({"fchmod", "fchown"})
_FIRST = {
    "renameat": "oldpath", "renameat2": "oldpath", "linkat": "oldpath", "symlinkat": "linkpath", "openat": "name",
    "openat2": "name", "unlinkat": "name", "mkdirat": "path", "fchmodat": "filename", "fchownat": "pathname",
}  # fmt: skip
_SECOND = {"renameat": "newpath", "renameat2": "newpath", "linkat": "newpath"}


def path_fields() -> tuple[FieldInfo, ...]:
    return (
        field("fs.path.name", Type.PATH, "The path a successful call acted on, resolved.", _one(_PATHS)),
        field("fs.path.nameraw", Type.PATH, "The same as the caller gave it.", _one(_PATHS, raw=True)),
        field("fs.path.source", Type.PATH, "The path a rename came from, or the new name of a link.", _one(_SOURCES)),
        field("fs.path.sourceraw", Type.PATH, "The same as the caller gave it.", _one(_SOURCES, raw=True)),
        field("fs.path.target", Type.PATH, "The path a rename went to, or what a link names.", _one(_TARGETS)),
        field("fs.path.targetraw", Type.PATH, "The same as the caller gave it.", _one(_TARGETS, raw=True)),
        field(
            "evt.abspath", Type.PATH, "The resolved path of a call with a directory's descriptor.", _absolute(_FIRST)
        ),
        field("evt.abspath.src", Type.PATH, "The first one of two.", _absolute(_FIRST)),
        field("evt.abspath.dst", Type.PATH, "The second one of two.", _absolute(_SECOND)),
    )


def _one(parameters: dict[str, str], raw: bool = False) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        event = activity.event
        if type(event) is not Syscall or event.result < 0:
            return None
        if event.name in _OF_DESCRIPTOR and parameters is _PATHS:
            found = descriptor(activity)
            return found.path if found is not None else None
        return _path(event, parameters, raw)

    return extract


def _absolute(parameters: dict[str, str]) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        event = activity.event
        return _path(event, parameters, raw=False) if type(event) is Syscall else None

    return extract


def _path(event: Syscall, parameters: dict[str, str], raw: bool) -> str | None:
    name = parameters.get(event.name)
    if name is None:
        return None
    given = event.arguments.get(name)
    resolved = None if raw else event.resolved.get(name)
    return resolved or (given if isinstance(given, str) else None)
