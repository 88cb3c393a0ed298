"""The syntax tree of a condition. Pure data: parser and collector make it, compiler and the tests' interpreter read
it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A field as written: ``proc.aname[2]`` has the argument "2", ``fd.name`` has None."""

    name: str
    argument: str | None = None

    def __str__(self) -> str:
        return self.name if self.argument is None else f"{self.name}[{self.argument}]"


@dataclass(frozen=True, slots=True)
class Literal:
    """Text, its quotes and escapes already undone."""

    text: str


@dataclass(frozen=True, slots=True)
class Transformed:
    """``function(arguments…)[argument]``; ``val(field)`` is one, too: {val, tolower, toupper, b64, basename, len, join,
    concat, getopt}, and "list" for the ``(a, b)`` in ``join(separator, (a, b))``."""

    function: str
    arguments: tuple[Field | Transformed | Literal, ...]
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Exists:
    left: Field | Transformed


@dataclass(frozen=True, slots=True)
class Compare:
    """``operator``: as written, "==" already "=". ``modifier``: "", oneof, anyof, allof.

    ``right``: a tuple of literals for lists (``in``, ``intersects``, ``pmatch``, and with a modifier), else one
    literal or a right-hand transformer (``val(field)`` …)."""

    left: Field | Transformed
    operator: str
    right: Literal | Transformed | tuple[Literal, ...]
    modifier: str = ""


@dataclass(frozen=True, slots=True)
class Macro:
    """A reference by name; the collector replaces it by the macro's own tree."""

    name: str


Expression = And | Or | Not | Exists | Compare | Macro
