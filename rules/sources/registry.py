"""The sources there are, by name. Each is loaded when first asked for: an agent needs no CloudTrail fields."""

from __future__ import annotations

import functools
import importlib

from rules.fields import Source

NAMES = ("syscall", "k8s_audit", "aws_cloudtrail")


@functools.cache
def source(name: str) -> Source:
    """The source of this name; KeyError when there is none."""
    if name not in NAMES:
        raise KeyError(name)
    found: Source = importlib.import_module(f"rules.sources.{name}").SOURCE
    return found
