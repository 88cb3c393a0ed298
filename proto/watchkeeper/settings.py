"""Configuration: one YAML file, each key also an environment variable, unknown keys an error.

``WATCHKEEPER_<SECTION>_<KEY>`` overrides ``section: {key: …}``; ``WATCHKEEPER_<KEY>`` a top-level key.
Lists are given in the environment separated by commas.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

T = typing.TypeVar("T", bound=msgspec.Struct)

PREFIX = "WATCHKEEPER_"


class SettingsError(Exception):
    """The configuration can not be used; the message names the key and the remedy."""


def load(model: type[T], path: Path | None, environment: Mapping[str, str]) -> T:
    """Read ``path`` (if any), lay the environment over it, and check it against ``model``."""
    document = _read(path) if path else {}
    _overlay(document, model, environment)
    where = str(path) if path else "the environment"
    try:
        return msgspec.convert(document, model, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}. See docs/configuration.md for every key.") from error


def keys(model: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Every key of ``model`` as ``section.key`` or ``key``."""
    found = {}
    for info in msgspec.structs.fields(model):
        section = _section(info)
        if section is None:
            found[info.name] = info
        else:
            found |= {f"{info.name}.{inner.name}": inner for inner in msgspec.structs.fields(section)}
    return found


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _read(path: Path) -> dict[str, typing.Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: can not be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: must be a mapping of sections, not a {type(document).__name__}")
    return document


def _overlay(document: dict[str, typing.Any], model: type[msgspec.Struct], environment: Mapping[str, str]) -> None:
    names = {PREFIX + key.replace(".", "_").upper(): key for key in keys(model)}
    for variable, key in names.items():
        if variable not in environment:
            continue
        section, _, leaf = key.rpartition(".")
        target = document.setdefault(section, {}) if section else document
        if not isinstance(target, dict):
            raise SettingsError(f"{section}: must be a mapping")
        text = environment[variable]
        target[leaf] = _listed(text) if _is_sequence(keys(model)[key]) else text


def _section(info: msgspec.structs.FieldInfo) -> type[msgspec.Struct] | None:
    kind = info.type
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _is_sequence(info: msgspec.structs.FieldInfo) -> bool:
    return typing.get_origin(info.type) in (list, tuple)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
