"""Versions that rule files ask for, and those this engine answers to."""

from __future__ import annotations

import re
from collections.abc import Sequence

ENGINE_VERSION = "0.64.0"
"""The version of Falco's engine whose rule language this one is."""
PLUGINS = {"container": "0.4.0", "k8saudit": "0.18.0", "json": "0.7.0", "cloudtrail": "0.10.0"}
"""Falco's plugins that the sources of this engine stand in for, at the versions whose fields they have."""

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+].*)?", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
Version = tuple[int, int, int]


def read_version(text: str) -> Version:
    """Of "1.2.3"; what stands behind a "-" or "+" counts for nothing. ValueError: it is none."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a version like 1.2.3')
    return int(match[1]), int(match[2]), int(match[3])


def read_engine_version(text: str) -> Version:
    """As read_version; a mere number N is 0.N.0."""
    return (0, int(text), 0) if _NUMBER.fullmatch(text) else read_version(text)


def serves(ours: str, asked: Version) -> bool:
    """Whether we may stand in: the same major version, and not an older one."""
    version = read_version(ours)
    return version[0] == asked[0] and version >= asked


def check_engine(asked: str) -> None:
    """Raises ValueError with the reason if rules that ask for this version of the engine are not for ours."""
    if not serves(ENGINE_VERSION, read_engine_version(asked)):
        raise ValueError(f"the file needs engine version {asked}, this one is {ENGINE_VERSION}")


def check_plugin(alternatives: Sequence[tuple[str, str]]) -> None:
    """Raises ValueError with the reason if we stand in for none of these plugins: (name, version)."""
    if len({name for name, _ in alternatives}) < len(alternatives):
        raise ValueError("a plugin stands twice among alternatives")
    asked = [(name, read_version(version)) for name, version in alternatives]
    if not any(name in PLUGINS and serves(PLUGINS[name], version) for name, version in asked):
        wanted = " or ".join(f"{name} {version}" for name, version in alternatives)
        ours = ", ".join(f"{name} {version}" for name, version in PLUGINS.items())
        raise ValueError(f"the file needs the plugin {wanted}; this engine stands in for {ours}")
