"""Comparisons of results that only ask for the outcome: done (0 or more), under way (EINPROGRESS) or failed."""

from __future__ import annotations

import operator as python
from collections.abc import Callable, Sequence
from errno import EINPROGRESS

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "=": python.eq,
    "!=": python.ne,
    "<": python.lt,
    "<=": python.le,
    ">": python.gt,
    ">=": python.ge,
}
_TOLD = frozenset({"SUCCESS", "EINPROGRESS"})


def depends_on_outcome_only(operator: str, literals: Sequence[str]) -> bool:
    """Whether results of the same outcome all compare alike; a failed one is a negative errno."""
    compare = _OPERATORS.get(operator)
    if operator == "exists":
        return True
    if compare is None or len(literals) != 1:
        return False
    try:
        literal = int(literals[0], 0)
    except ValueError:
        return False
    failures = {compare(-number, literal) for number in range(1, 4096) if number != EINPROGRESS}
    successes = {compare(number, literal) for number in (0, 1, 2, max(0, literal), literal + 1, 1 << 62) if number >= 0}
    return len(failures) == len(successes) == 1


def text_depends_on_outcome_only(operator: str, literals: Sequence[str]) -> bool:
    """The same for evt.res: SUCCESS, or an error's name, all of which begin with E."""
    if operator in ("=", "!=", "in"):
        return _TOLD.issuperset(literals)
    return operator == "exists" or (operator == "startswith" and tuple(literals) in (("E",), ("SUCCESS",)))
