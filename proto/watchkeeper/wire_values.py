"""What every conversion from and to the wire needs: its error, and its least bounds."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

MAX_TEXT = 4096  # characters: PATH_MAX

_E = TypeVar("_E", bound=StrEnum)


class WireError(Exception):
    """A message can not be understood; the text names the field and what is wrong with it."""


def one_of(enumeration: type[_E], name: str, text: str) -> _E:
    """The member called ``text``, else WireError."""
    try:
        return enumeration(text)
    except ValueError:
        raise WireError(f"{name}: {text[:40]!r} is none of {', '.join(enumeration)}") from None
