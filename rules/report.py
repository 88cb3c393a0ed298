"""What is told of one rule file while it is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from rules.documents import Malformed
from rules.entries import Entries
from rules.problems import Code, Problem, Severity
from rules.rule import Place


@dataclass(slots=True)
class Report:
    """``item``: what is being read now, like ``macro open_write``."""

    file: str
    item: str = ""
    problems: list[Problem] = field(default_factory=list)

    def place(self, line: int) -> Place:
        return Place(self.file, line)

    def error(self, code: Code, error: Malformed) -> None:
        self._tell(Severity.ERROR, code, error.message, error.line)

    def warn(self, code: Code, message: str, line: int) -> None:
        self._tell(Severity.WARNING, code, message, line)

    def warn_unknown(self, entries: Entries, known: Collection[str]) -> None:
        for key, line in entries.unknown(known):
            self.warn(Code.UNKNOWN_ITEM, f"unknown key '{key}'", line)

    def _tell(self, severity: Severity, code: Code, message: str, line: int) -> None:
        self.problems.append(Problem(severity, code, message, self.place(line), self.item))
