"""Which fields depend on the text that a caller typed for the path that it opens, and not only on the file that the
kernel found there. Of an opening that failed there is no other path."""

from __future__ import annotations

from rules.sources.parameters import PARAMETERS

_PARAMETER = "name"
_TYPED = frozenset(
    {
        "evt.abspath", "evt.abspath.src", "evt.arg.name", "evt.args", "evt.info", "evt.rawarg.name", "fd.nameraw",
        "fs.path.name", "fs.path.nameraw",
    }
)  # fmt: skip


def depends_on_typed_path(event_type: str, use: tuple[str, str | None]) -> bool:
    """Whether the field does, for successful openings of this type."""
    name, argument = use
    if name == "evt.arg":
        return argument is not None and _is_path(event_type, int(argument))
    return name in _TYPED


def _is_path(event_type: str, number: int) -> bool:
    parameters = PARAMETERS.get(event_type, ())
    return number < len(parameters) and parameters[number][0] == _PARAMETER
