"""Events of the source k8s_audit: any bytes give events or problems; every field and rule takes any event."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["rules"]):
    from tests.fuzz.sources import Target

if __name__ == "__main__":
    atheris.Setup(sys.argv, Target("k8s_audit"))
    atheris.Fuzz()
