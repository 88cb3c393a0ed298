"""Rule files: any text gives rules and problems, and whatever loads can be compiled and judge an event."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["rules"]):
    from rules.ruleset import load
    from rules.sources import registry
    from rules.sources.json_event import JsonEvent

SOURCES = {name: registry.source(name) for name in registry.NAMES}
EVENT = JsonEvent({"auditID": "1", "verb": "get"}, b'{"auditID":"1","verb":"get"}', 1, 0)


def one(data: bytes) -> None:
    ruleset = load([("fuzz.yaml", data.decode("utf-8", "replace"))], SOURCES)
    for problem in ruleset.problems:
        str(problem)
    ruleset.for_source("k8s_audit").matches(EVENT)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
