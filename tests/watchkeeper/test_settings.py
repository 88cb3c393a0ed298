"""Configuration from a file and the environment."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from watchkeeper.settings import SettingsError, keys, load


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int = 1
    names: tuple[str, ...] = ()
    on: bool = False


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    node: str = "n"
    section: Section = Section()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_without_file_and_environment_the_defaults_hold() -> None:
    """Nothing needs to be configured."""
    assert load(Model, None, {}) == Model()


def test_an_empty_file_is_no_error(file: Path) -> None:
    """Comments only, as in a fresh example."""
    file.write_text("# nothing yet\n")
    assert load(Model, file, {}) == Model()


def test_the_environment_overrides_the_file(file: Path) -> None:
    """Keys of sections and at the top, lists with commas, numbers and truth values as text."""
    file.write_text("node: a\nsection: {size: 2, names: [x]}\n")
    environment = {
        "WATCHKEEPER_NODE": "b",
        "WATCHKEEPER_SECTION_NAMES": "y, z,",
        "WATCHKEEPER_SECTION_ON": "true",
        "WATCHKEEPER_OTHER": "not ours",
    }
    assert load(Model, file, environment) == Model("b", Section(2, ("y", "z"), on=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes: a\n", "Object contains unknown field `nodes`"),
        ("section: {sizes: 1}\n", "Object contains unknown field `sizes` - at `$.section`"),
        ("section: {size: many}\n", "Expected `int`, got `str` - at `$.section.size`"),
    ],
)
def test_a_wrong_key_is_named(file: Path, text: str, message: str) -> None:
    """With the file and where the keys are documented."""
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(Model, file, {})
    assert str(caught.value) == f"{file}: {message}. See docs/configuration.md for every key."


def test_a_wrong_variable_is_named() -> None:
    """The key that the variable stands for is in the message."""
    with pytest.raises(SettingsError) as caught:
        load(Model, None, {"WATCHKEEPER_SECTION_SIZE": "many"})
    assert str(caught.value) == (
        "the environment: Expected `int`, got `str` - at `$.section.size`. See docs/configuration.md for every key."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "must be a mapping of sections, not a list"), ("{", "is not YAML: "), ("\xff", "is not YAML: ")],
)
def test_a_file_that_is_no_mapping_is_an_error(file: Path, text: str, message: str) -> None:
    """The message names the file and what it is."""
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError) as caught:
        load(Model, file, {})
    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_missing_file_is_an_error(file: Path) -> None:
    """A path that was given must exist."""
    with pytest.raises(SettingsError) as caught:
        load(Model, file, {})
    assert str(caught.value) == f"{file}: can not be read: No such file or directory"


def test_a_section_that_is_no_mapping_is_an_error(file: Path) -> None:
    """The environment can not be laid over it."""
    file.write_text("section: 5\n")
    with pytest.raises(SettingsError) as caught:
        load(Model, file, {"WATCHKEEPER_SECTION_SIZE": "1"})
    assert str(caught.value) == "section: must be a mapping"


def test_every_key_is_listed() -> None:
    """Documentation and its test rely on it."""
    assert list(keys(Model)) == ["node", "section.size", "section.names", "section.on"]
