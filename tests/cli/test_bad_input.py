"""What a user gets wrong is answered with one clear line, exit status 2, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "cli.main"]


def _run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr + done.stdout


def _config(directory: Path, text: str) -> str:
    path = directory / "config.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("side", ["agent", "aggregator"])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense: 1\n", "nonsense"),
        ("- a\n- b\n", "must be a mapping"),
        ("a: [1\n", "is not YAML"),
        ("state_directory: relative\n", "state_directory"),
        ("state_directory: /proc/nowhere\n", "/proc/nowhere"),
    ],
)
def test_bad_configuration_is_named(side: str, text: str, named: str, tmp_path: Path) -> None:
    """The line names the key, the file or the directory."""
    status, said = _run(side, "--config", _config(tmp_path, text))
    assert status == 2
    assert named in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_unknown_key_of_a_section_is_named(tmp_path: Path) -> None:
    """Also inside a section, with where it stands and where every key is documented."""
    status, said = _run("agent", "--check-config", "--config", _config(tmp_path, "uplink: {adress: x}\n"))
    assert status == 2
    assert "adress" in said
    assert "uplink" in said
    assert "docs/configuration.md" in said


def test_missing_configuration_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is said to be so."""
    status, said = _run("aggregator", "--config", str(tmp_path / "none.yaml"))
    assert (status, "none.yaml" in said, "Traceback" in said) == (2, True, False)


def test_unwritable_state_directory_is_named(tmp_path: Path) -> None:
    """A file in the place of the directory stops the aggregator with its path."""
    (tmp_path / "state").write_text("")
    status, said = _run("aggregator", "--config", _config(tmp_path, f"state_directory: {tmp_path}/state\n"))
    assert (status, f"{tmp_path}/state" in said, "Traceback" in said) == (2, True, False)


def test_unreachable_api_is_named(tmp_path: Path) -> None:
    """``status`` says which address did not answer."""
    (tmp_path / "token").write_text("t")
    status, said = _run("status", "--url", "http://127.0.0.1:9", "--token-file", str(tmp_path / "token"))
    assert (status, "127.0.0.1:9" in said, "Traceback" in said) == (2, True, False)


def test_broken_evidence_is_named(tmp_path: Path) -> None:
    """``evidence verify`` tells the line that is no evidence, and exits with 1."""
    (tmp_path / "export.jsonl").write_text("{}\n")
    status, said = _run("evidence", "verify", str(tmp_path / "export.jsonl"))
    assert status == 1
    assert "line 1" in said
