"""The directory the loads live in: programs compiled, files to open, a project to compile. All gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from cli import demo_guardian

SOURCES = Path(__file__).with_name("loads")
PROGRAMS = ("open_close", "getpid", "nothing", "exec", "connect", "paced", "flood")
PROJECT_FILES = 16
FUNCTIONS = 60  # of each file of the project


class WorkshopError(Exception):
    """The loads can not be made; the message says what is missing."""


class Workshop:
    """Context manager. A guardian takes the directory away even if the benchmark is killed."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="watchkeeper-bench-"))
        self._guardian = demo_guardian.spawn(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()
        self._guardian.wait()

    def compile(self) -> None:
        """Raises WorkshopError without a C compiler or a static libc."""
        if shutil.which("gcc") is None:
            raise WorkshopError("gcc is not there (Debian: gcc and libc6-dev); ./run bench installs it when it is root")
        for name in PROGRAMS:
            command = ["gcc", "-O2", "-static", "-D_GNU_SOURCE", "-o", str(self.path(name)), f"{SOURCES / name}.c"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise WorkshopError(f"gcc could not compile {name}.c:\n{done.stderr.strip()}")
        self.path("known").write_text("known\n", encoding="ascii")
        self._write_project()

    def path(self, name: str) -> Path:
        return self.directory / name

    def note(self, pid: int) -> None:
        """Have the guardian end this process, too."""
        demo_guardian.note_process(self.directory, pid)

    def make_files(self, count: int) -> Path:
        """A directory of ``count`` empty files called 0, 1, …"""
        directory = self.path("files")
        directory.mkdir()
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in range(count):
                os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=descriptor))
        finally:
            os.close(descriptor)
        return directory

    def _write_project(self) -> None:
        project = self.path("project")
        project.mkdir()
        for number in range(PROJECT_FILES):
            (project / f"part{number}.c").write_text(_source(number), encoding="ascii")
        calls = " + ".join(f"part{number}_0(argc)" for number in range(PROJECT_FILES))
        declarations = "".join(f"int part{number}_0(int);\n" for number in range(PROJECT_FILES))
        main = f"{declarations}int main(int argc, char **argv) {{ (void)argv; return ({calls}) & 1; }}\n"
        (project / "main.c").write_text(main, encoding="ascii")
        script = 'set -e\ncd "$(dirname "$0")"\nfor file in *.c; do gcc -O1 -c "$file"; done\ngcc -o project *.o\n'
        (project / "build.sh").write_text(script, encoding="ascii")


def _source(number: int) -> str:
    """A file of functions that call each other, with the headers that most C files have."""
    lines = ["#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>", f"int part{number}_{FUNCTIONS}(int);"]
    lines.append(f"int part{number}_{FUNCTIONS}(int x) {{ return x; }}")
    for function in reversed(range(FUNCTIONS)):
        lines += [
            f"int part{number}_{function}(int x);",
            f"int part{number}_{function}(int x) {{",
            "  char text[32];",
            f'  snprintf(text, sizeof(text), "%d", x + {function});',
            f"  return x > 1 ? part{number}_{function + 1}(atoi(text) / 2) : (int)strlen(text);",
            "}",
        ]
    return "\n".join(lines) + "\n"
