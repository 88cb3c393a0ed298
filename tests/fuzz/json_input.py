"""Input of both JSON sources as it may come in: lines, lists, envelopes, gzip, and none of these."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["rules"]):
    from rules.sources.json_input import events

LIMIT = 1 << 16


def one(data: bytes) -> None:
    for source in ("k8s_audit", "aws_cloudtrail"):
        for found in events(source, data, maximum_bytes=LIMIT):
            str(found)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
