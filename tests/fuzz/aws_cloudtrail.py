"""Events of the source aws_cloudtrail: any bytes give events or problems; every field and rule takes any event."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["rules"]):
    from tests.fuzz.sources import Target

if __name__ == "__main__":
    atheris.Setup(sys.argv, Target("aws_cloudtrail"))
    atheris.Fuzz()
