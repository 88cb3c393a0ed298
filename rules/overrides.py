"""``override``: for each key of an item, whether it is appended to, or replaces, what was there before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rules.documents import Malformed
from rules.entries import Entries
from rules.problems import Code
from rules.report import Report

APPEND = "append"
REPLACE = "replace"


def read_override(entries: Entries, allowed: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Key -> APPEND or REPLACE; ``allowed``: what each key may be overridden with. Raises Malformed for anything else,
    for a key that the item does not have, and for one that it has beside an override that does not name it."""
    if "override" not in entries:
        return {}
    override = entries.mapping("override")
    found = {key: override.text(key) for key in override}
    for key, operation in found.items():
        possible = allowed.get(key, ())
        if operation not in possible:
            choice = " or ".join(possible) or "not at all"
            raise Malformed(f"'{key}' can't be overridden with '{operation}', only {choice}", override.line)
        if key not in entries:
            raise Malformed(f"the override of '{key}' has no '{key}' beside it", override.line)
    forgotten = [key for key in allowed if key in entries and key not in found]
    if found and forgotten:
        raise Malformed(
            f"'{forgotten[0]}' stands beside 'override', which does not say what to do with it", override.line
        )
    return found


def read_append(entries: Entries, override: Mapping[str, str], key: str, report: Report) -> bool:
    """Whether ``append: true`` is set, which is told to be deprecated. Raises Malformed if there is an override too."""
    if "append" not in entries or not entries.flag("append"):
        return False
    if override:
        raise Malformed("'append: true' and 'override' exclude each other", entries.line)
    report.warn(Code.DEPRECATED_ITEM, f"'append' is deprecated: write 'override: {{{key}: append}}'", entries.line)
    return True
