"""evt.arg.*, evt.rawarg.*, evt.args: the parameters of an event by name or number, told or raw."""

from __future__ import annotations

from rules.fields import Argument, Extractor, FieldInfo, Type, Value, Varies, always, never, simple, where
from rules.sources import arguments
from rules.sources.activity import Activity
from rules.sources.declarations import index, missing, text
from rules.sources.outcome import depends_on_outcome_only
from rules.sources.parameters import OTHER_PARAMETERS, PARAMETERS
from rules.sources.socket_fields import name_may_vary

_TEXTUAL = frozenset({"text", "path", "tuple", "address"})
# What may differ between events of one behaviour, by kind and, where a kind has both, by name: see
# rules.sources.declarations.
_VARYING_KINDS = frozenset({"bytes", "errno", "fd", "pid"})
_VARYING = frozenset(
    {"addr", "backlog", "data", "entries", "ino", "length", "queuelen", "queuemax", "queuepct", "size"}
)
_RESULTS = frozenset({"errno", "fd"})


def argument_fields() -> tuple[FieldInfo, ...]:
    places = _places()
    nowhere = sorted(OTHER_PARAMETERS - places.keys())
    reason = "no event that is told here has it."
    return (
        FieldInfo(
            "evt.arg", Type.STRING, "A parameter by its number, told.", _by_number, Argument.INDEX, varies=always
        ),
        *(_told(name, kinds) for name, kinds in places.items()),
        *(_raw(name, kinds) for name, kinds in places.items()),
        *(missing(f"evt.arg.{name}", Type.STRING, reason) for name in nowhere),
        *(missing(f"evt.rawarg.{name}", Type.INTEGER, reason) for name in nowhere),
        text("evt.args", "All parameters, NAME=VALUE, with what Falco resolves in parentheses.", _all, always),
        text("evt.info", "The same.", _all, always),
    )


def _places() -> dict[str, dict[str, tuple[str, int]]]:
    """Of each name: event type -> its kind and position there."""
    places: dict[str, dict[str, tuple[str, int]]] = {}
    for event_type, found in PARAMETERS.items():
        for position, (name, kind) in enumerate(found):
            places.setdefault(name, {})[event_type] = kind, position
    return places


def _told(name: str, places: dict[str, tuple[str, int]]) -> FieldInfo:
    def extract(activity: Activity) -> Value | None:
        place = places.get(activity.event.name)
        if place is None:
            return None
        kind, position = place
        value = arguments.raw(activity, name, kind, position)
        if value is None:
            return None
        plain, resolved = arguments.tell(activity, name, kind, value)
        return resolved or plain

    return text(f"evt.arg.{name}", f"The parameter {name}, told.", extract, _told_varies(name, places))


def _raw(name: str, places: dict[str, tuple[str, int]]) -> FieldInfo:
    """A name may mean a number in one event and text in another; the field then is of the first one's type."""
    kinds = [kind for kind, _ in places.values() if kind != "absent"] or ["absent"]
    type_ = Type.BYTES if kinds[0] in ("bytes", "texts") else Type.STRING if kinds[0] in _TEXTUAL else Type.INTEGER
    of_type = {Type.BYTES: bytes, Type.STRING: str, Type.INTEGER: int}[type_]

    def extract(activity: Activity) -> Value | None:
        place = places.get(activity.event.name)
        if place is None:
            return None
        kind, position = place
        value = arguments.raw(activity, name, kind, position)
        if not isinstance(value, of_type):
            return None
        return arguments.number(activity, name, kind, value) if isinstance(value, int) else value

    return FieldInfo(
        f"evt.rawarg.{name}",
        type_,
        f"The parameter {name} as Falco holds it.",
        simple(extract),
        right_side=False,
        varies=_raw_varies(name, places),
    )


def _told_varies(name: str, places: dict[str, tuple[str, int]]) -> Varies:
    kinds = {event_type: kind for event_type, (kind, _) in places.items()}
    varying = frozenset(event_type for event_type, kind in kinds.items() if _is_accidental(name, kind))
    tuples = frozenset(event_type for event_type, kind in kinds.items() if kind == "tuple")
    if not varying | tuples:
        return never
    return where(
        lambda activity: activity.event.name in varying or name_may_vary(activity), (varying | tuples).__contains__
    )


def _raw_varies(name: str, places: dict[str, tuple[str, int]]) -> Varies:
    """A result as a number is told with every event that has one, so that comparing it may ask for the outcome only."""
    varies = _told_varies(name, places)
    if not all(kind in _RESULTS and position == 0 for kind, position in places.values()):
        return varies
    return lambda operator, literals: not depends_on_outcome_only(operator, literals) and varies(operator, literals)


def _is_accidental(name: str, kind: str) -> bool:
    return kind in _VARYING_KINDS or (kind in ("number", "hex") and name in _VARYING)


def _by_number(argument: str | None) -> Extractor:
    number = index(argument)

    def extract(activity: Activity) -> Value | None:
        found = arguments.parameters(activity.event.name)
        if number is None or number >= len(found):
            return None
        name, kind = found[number]
        value = arguments.raw(activity, name, kind, number)
        if value is None:
            return None
        plain, resolved = arguments.tell(activity, name, kind, value)
        return resolved or plain

    return extract


def _all(activity: Activity) -> str:
    told = []
    for position, (name, kind) in enumerate(arguments.parameters(activity.event.name)):
        value = arguments.raw(activity, name, kind, position)
        if value is not None:
            plain, resolved = arguments.tell(activity, name, kind, value)
            told.append(f"{name}={plain}({resolved})" if resolved else f"{name}={plain}")
    return " ".join(told)
