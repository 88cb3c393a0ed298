"""Committed generated code is what the protobuf files say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["uplink", "cri"])
def test_generated_code_is_fresh(name: str, tmp_path: Path) -> None:
    """Generating again gives the committed modules, byte for byte."""
    outputs = ["--python_out", "--pyi_out"] + (["--grpc_python_out"] if name == "uplink" else [])
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            "-I",
            str(ROOT / "proto"),
            *(f"{output}={tmp_path}" for output in outputs),
            f"watchkeeper/v1/{name}.proto",
        ],
        check=True,
    )
    generated = {path.name: path.read_text() for path in (tmp_path / "watchkeeper/v1").iterdir()}
    committed = {file: (ROOT / "proto/watchkeeper/v1" / file).read_text() for file in generated}
    assert generated == committed
