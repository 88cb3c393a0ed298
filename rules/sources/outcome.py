"""Comparisons of numbers that come out alike for all events of a behaviour: those of results that only ask for the
outcome, done (0 or more), under way (EINPROGRESS) or failed, and those of the event's number that ask for nothing."""

from __future__ import annotations

import operator as python
from collections.abc import Callable, Iterable, Sequence
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
    failures = [-number for number in range(1, 4096) if number != EINPROGRESS]
    return _compare_alike(operator, literals, 0) and _are_alike(operator, literals, failures)


def is_same_for_every_event(operator: str, literals: Sequence[str]) -> bool:
    """Whether evt.num, which counts from 1, always compares alike."""
    return _compare_alike(operator, literals, 1)


def _compare_alike(operator: str, literals: Sequence[str], least: int) -> bool:
    """Whether all numbers from ``least`` on do."""
    literal = _number(literals)
    around = () if literal is None else (literal - 1, literal, literal + 1)
    return _are_alike(operator, literals, [least, 1 << 62, *(each for each in around if each >= least)])


def _are_alike(operator: str, literals: Sequence[str], numbers: Iterable[int]) -> bool:
    if operator == "exists":
        return True
    compare, literal = _OPERATORS.get(operator), _number(literals)
    return compare is not None and literal is not None and len({compare(each, literal) for each in numbers}) == 1


def _number(literals: Sequence[str]) -> int | None:
    """The only literal; None where it is not the only one, or none that Python reads."""
    try:
        return int(literals[0], 0) if len(literals) == 1 else None
    except ValueError:
        return None


def text_depends_on_outcome_only(operator: str, literals: Sequence[str]) -> bool:
    """The same for evt.res: SUCCESS, or an error's name, all of which begin with E."""
    if operator in ("=", "!=", "in"):
        return _TOLD.issuperset(literals)
    return operator == "exists" or (operator == "startswith" and tuple(literals) in (("E",), ("SUCCESS",)))
