"""Rule and policy files on disk: those that are shipped, then those of the configuration, and whether they changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import rules
from rules.problems import Code, Problem, Severity
from rules.rule import Place
from watchkeeper.policies import RuleFile
from watchkeeper.wire_policies import MAX_RULE_FILES, MAX_RULE_TEXT

SHIPPED = Path(rules.__file__).with_name("shipped")
SHIPPED_POLICIES = "policies.yaml"

_SUFFIXES = (".yaml", ".yml")
_LARGEST = 4 * MAX_RULE_TEXT  # bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """Rule files in the order in which they are loaded; policy files with the origin of their policies."""

    rules: tuple[RuleFile, ...] = ()
    policies: tuple[tuple[RuleFile, str], ...] = ()
    problems: tuple[Problem, ...] = ()


class DefinitionFiles:
    """``rules`` and ``policies``: files, or directories whose ``*.yaml`` and ``*.yml`` are taken by name, sorted."""

    def __init__(self, rules: Sequence[Path] = (), policies: Sequence[Path] = (), shipped: Path = SHIPPED) -> None:
        self._rules = tuple(rules)
        self._policies = tuple(policies)
        self._shipped = shipped

    def stamp(self) -> tuple[object, ...]:
        """Differs when a file changed, came or went. Looks at no content."""
        return tuple((path, _stamp(path)) for path, _ in (*self._rule_paths(), *self._policy_paths()))

    def read(self) -> Contents:
        """Never raises: a file that can not be read is among the problems."""
        names: set[str] = set()
        problems: list[Problem] = []
        rule_files = [file for path, _ in self._rule_paths() if (file := _read(path, names, problems))]
        rule_files = list(_bounded(rule_files, problems))
        policy_files = [
            (file, origin) for path, origin in self._policy_paths() if (file := _read(path, names, problems))
        ]
        return Contents(tuple(rule_files), tuple(policy_files), tuple(problems))

    def _rule_paths(self) -> Iterator[tuple[Path, str]]:
        for path in _inside(self._shipped):
            if path.name != SHIPPED_POLICIES:
                yield path, "shipped"
        for path in self._rules:
            yield from ((each, "file") for each in _inside(path))

    def _policy_paths(self) -> Iterator[tuple[Path, str]]:
        shipped = self._shipped / SHIPPED_POLICIES
        if shipped.exists():
            yield shipped, "shipped"
        for path in self._policies:
            yield from ((each, "file") for each in _inside(path))


def _inside(path: Path) -> list[Path]:
    """The files that ``path`` stands for."""
    if not path.is_dir():
        return [path]
    found = [each for each in path.iterdir() if each.suffix in _SUFFIXES and not each.name.startswith(".")]
    return sorted(each for each in found if each.is_file())


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path, names: set[str], problems: list[Problem]) -> RuleFile | None:
    name = _name(path, names)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise OSError(0, f"is larger than {_LARGEST} bytes")
        return RuleFile(name, content.decode("utf-8"))
    except OSError as error:
        reason = f"{path}: can not be read: {error.strerror}"
    except UnicodeDecodeError as error:
        reason = f"{path}: is not UTF-8: {error.reason}"
    problems.append(Problem(Severity.ERROR, Code.FILE_READ, reason, Place(name)))
    return None


def _bounded(files: Sequence[RuleFile], problems: list[Problem]) -> Iterator[RuleFile]:
    """As many as can be sent to agents."""
    size = 0
    for number, file in enumerate(files, 1):
        size += len(file.content)
        if number > MAX_RULE_FILES or size > MAX_RULE_TEXT:
            told = f"the rule files together are more than {MAX_RULE_TEXT} characters, or than {MAX_RULE_FILES} files"
            problems.append(Problem(Severity.ERROR, Code.FILE_READ, told, Place(file.name)))
            return
        yield file


def _name(path: Path, names: set[str]) -> str:
    """How the file is called: as short as tells it from the others."""
    parts, count = path.parts, 1
    while count < len(parts) and "/".join(parts[-count:]) in names:
        count += 1
    name = "/".join(parts[-count:])
    names.add(name)
    return name
