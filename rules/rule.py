"""A rule after reading, overriding and resolving; what the compiler takes and what a hit is told with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rules.expression import Expression


class Priority(IntEnum):
    """Falco's, most urgent first (as syslog numbers them)."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6
    DEBUG = 7

    @property
    def label(self) -> str:
        """As Falco prints it: Emergency, Alert, …, Informational, Debug."""
        return self.name.capitalize()


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a file's name as given, and a line from 1 (0: unknown)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Rule:
    """``condition``: without macros and lists, exceptions included. ``text``: the condition as resolved text."""

    name: str
    condition: Expression
    output: str
    priority: Priority
    description: str = ""
    source: str = "syscall"
    tags: tuple[str, ...] = ()
    enabled: bool = True
    warn_event_types: bool = True
    skip_if_unknown_filter: bool = False
    place: Place = Place("")
    text: str = ""
