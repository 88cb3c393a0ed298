"""The syscall source: every field rules can ask of an ``Activity``, with Falco's meaning. See the modules it gathers.

Fields that end in a name of the user's own (``container.label.NAME``, ``k8s.pod.label.NAME``, ``thread.cgroup.NAME``,
``evt.type.is.NAME``) are the field before it with that name in brackets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rules.fields import Argument, FieldInfo, simple
from rules.sources.activity import Activity
from rules.sources.argument_fields import argument_fields
from rules.sources.container_fields import container_fields
from rules.sources.declarations import moment
from rules.sources.descriptor_fields import descriptor_fields
from rules.sources.event_fields import event_fields
from rules.sources.path_fields import path_fields
from rules.sources.process_fields import process_fields
from rules.sources.socket_fields import socket_fields
from rules.sources.syscall_names import EVENT_TYPES, OPENS
from rules.sources.thread_fields import thread_fields
from rules.sources.typed_paths import depends_on_typed_path
from rules.sources.user_fields import user_fields

_OPEN = ("container.label", "k8s.pod.label", "thread.cgroup", "evt.type.is")


class Fields(Mapping[str, FieldInfo]):
    """By name. Iterating gives those that have a name of their own."""

    def __init__(self, fields: tuple[FieldInfo, ...]) -> None:
        self._fields = {field.name: field for field in fields}

    def __getitem__(self, name: str) -> FieldInfo:
        found = self._fields.get(name)
        return found if found is not None else self._opened(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def _opened(self, name: str) -> FieldInfo:
        for prefix in _OPEN:
            if name.startswith(f"{prefix}.") and len(name) > len(prefix) + 1:
                field = self._fields[prefix]
                extractor = simple(field.extractor(name[len(prefix) + 1 :]))
                return replace(field, name=name, extractor=extractor, argument=Argument.NONE)
        raise KeyError(name)


class SyscallSource:
    name = "syscall"
    event_types = EVENT_TYPES

    def __init__(self) -> None:
        self.fields: Mapping[str, FieldInfo] = Fields(
            (
                *event_fields(),
                *argument_fields(),
                *path_fields(),
                *process_fields(),
                *thread_fields(),
                *descriptor_fields(),
                *socket_fields(),
                *user_fields(),
                *container_fields(),
            )
        )

    def event_type(self, event: Activity) -> str:
        return event.event.name

    def time(self, event: Activity) -> int:
        return moment(event)

    def is_worded(self, event_type: str, name: str, argument: str | None) -> bool:
        return event_type in OPENS and depends_on_typed_path(event_type, (name, argument))


SOURCE = SyscallSource()
