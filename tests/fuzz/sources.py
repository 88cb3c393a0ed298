"""What the JSON targets share: any bytes become events and problems, and every field of an event can be asked for."""

from __future__ import annotations

import json
from pathlib import Path

from rules.fields import Argument
from rules.output import falco_json
from rules.ruleset import load
from rules.sources import registry
from rules.sources.json_event import JsonEvent
from rules.sources.json_input import events

SHIPPED = Path(__file__).parents[2] / "rules" / "shipped"
KEYS = ("/requestObject/spec/containers/0/image", "requestParameters", "/0", "", "command", "/a~1b~0")
LIMIT = 1 << 20


class Target:
    """Reads events of the source, asks for every field with several arguments, judges by the shipped rules."""

    def __init__(self, name: str) -> None:
        self._source = registry.source(name)
        files = [(path.name, path.read_text()) for path in sorted(SHIPPED.glob(f"{name}*.yaml"))]
        self._rules = load(files, {name: self._source}).for_source(name)
        self._extractors = []
        for info in self._source.fields.values():
            match info.argument:
                case Argument.NONE:
                    arguments: tuple[str | None, ...] = (None,)
                case Argument.INDEX:
                    arguments = ("0", "7")
                case Argument.KEY:
                    arguments = KEYS
                case Argument.OPTIONAL_INDEX:
                    arguments = (None, "0", "7")
                case Argument.OPTIONAL_KEY:
                    arguments = (None, *KEYS)
            self._extractors += [extractor for each in arguments if (extractor := _made(info.extractor, each))]

    def __call__(self, data: bytes) -> None:
        for event in events(self._source.name, data, maximum_bytes=LIMIT):
            if isinstance(event, JsonEvent):
                for extract in self._extractors:
                    extract(event)
                for rule in self._rules.rules:
                    json.dumps(falco_json(rule, event, self._source, "fuzz")).encode()
                self._rules.matches(event)
            else:
                str(event)


def _made(extractor, argument):  # type: ignore[no-untyped-def] # whatever a source declares
    try:
        return extractor(argument)
    except ValueError:
        return None  # an argument that this field does not take
