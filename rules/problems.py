"""What is wrong with rule files, as data: nothing is raised for one bad rule, so the others stay in force."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rules.rule import Place


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """Falco's names for load errors and warnings."""

    FILE_READ = "LOAD_ERR_FILE_READ"
    YAML_PARSE = "LOAD_ERR_YAML_PARSE"
    YAML_VALIDATE = "LOAD_ERR_YAML_VALIDATE"
    COMPILE_CONDITION = "LOAD_ERR_COMPILE_CONDITION"
    COMPILE_OUTPUT = "LOAD_ERR_COMPILE_OUTPUT"
    VALIDATE = "LOAD_ERR_VALIDATE"
    EXTENSION = "LOAD_ERR_EXTENSION"
    UNKNOWN_SOURCE = "LOAD_UNKNOWN_SOURCE"
    UNSAFE_NA_CHECK = "LOAD_UNSAFE_NA_CHECK"
    NO_EVENT_TYPE = "LOAD_NO_EVTTYPE"
    UNKNOWN_FILTER = "LOAD_UNKNOWN_FILTER"
    UNUSED_MACRO = "LOAD_UNUSED_MACRO"
    UNUSED_LIST = "LOAD_UNUSED_LIST"
    UNKNOWN_ITEM = "LOAD_UNKNOWN_ITEM"
    DEPRECATED_ITEM = "LOAD_DEPRECATED_ITEM"
    APPEND_NO_VALUES = "LOAD_APPEND_NO_VALUES"


@dataclass(frozen=True, slots=True)
class Problem:
    """``item``: what it concerns, like ``rule "Write below etc"`` or ``macro open_write``; "" for a whole file."""

    severity: Severity
    code: Code
    message: str
    place: Place
    item: str = ""

    def __str__(self) -> str:
        """One line: file, line, item, reason."""
        about = f" {self.item}:" if self.item else ""
        return f"{self.place}: {self.severity}:{about} {self.message} ({self.code})"
