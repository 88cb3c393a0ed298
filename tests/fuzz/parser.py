"""Conditions: any text is a tree or a ParseError."""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["rules"]):
    from rules.parser import ParseError, parse
    from rules.rule import Place


def one(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse(data.decode("utf-8", "surrogateescape"), Place("fuzz"))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
