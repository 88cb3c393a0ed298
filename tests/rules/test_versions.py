"""Versions that rule files ask for."""

from __future__ import annotations

import pytest

from rules.versions import (
    ENGINE_VERSION,
    PLUGINS,
    check_engine,
    check_plugin,
    read_engine_version,
    read_version,
    serves,
)


def test_versions_are_three_numbers() -> None:
    """What stands behind them counts for nothing; a mere number is the middle one of an engine's."""
    assert read_version("1.22.3-rc1+g5") == (1, 22, 3)
    assert read_engine_version("15") == (0, 15, 0)
    assert read_engine_version("0.57.0") == (0, 57, 0)
    for text in ("1.2", "1", "v1.2.3", "1.2.3.4", "-1.0.0", "1.2.x", "\u0661.2.3", ""):
        with pytest.raises(ValueError, match="is not a version like"):
            read_version(text)


def test_an_older_request_of_the_same_major_version_is_served() -> None:
    """Newer ones are not, nor other major versions."""
    asked = ["0.64.0", "0.1.9", "0.64.1", "0.65.0", "1.0.0"]
    assert [serves("0.64.0", read_version(text)) for text in asked] == [True, True, False, False, False]


def test_engine_versions() -> None:
    """Upstream's files load, later ones do not."""
    check_engine(ENGINE_VERSION)
    check_engine("0.57.0")
    check_engine("15")
    with pytest.raises(ValueError, match=f"needs engine version 999, this one is {ENGINE_VERSION}"):
        check_engine("999")


def test_any_alternative_plugin_will_do() -> None:
    """One of them must be one we stand in for; each may stand once."""
    check_plugin([("k8saudit-eks", "0.12.0"), ("k8saudit", PLUGINS["k8saudit"])])
    with pytest.raises(
        ValueError, match=r"needs the plugin okta 0\.1\.0 or json 1\.0\.0; this engine stands in for container"
    ):
        check_plugin([("okta", "0.1.0"), ("json", "1.0.0")])
    with pytest.raises(ValueError, match="stands twice"):
        check_plugin([("json", "0.7.0"), ("json", "0.6.0")])
    with pytest.raises(ValueError, match="is not a version"):
        check_plugin([("json", "0.7.0"), ("other", "new")])
