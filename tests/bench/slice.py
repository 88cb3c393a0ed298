"""A control group of the loads' own: each has a share of what the kernel remembers, which others then do not use up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent.cgroups import CgroupError, detect

NAME = "watchkeeper-bench.slice"  # like a service manager's, so that the agent takes it for the host's
ENTER = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
# Waits for the benchmark's end, however it comes, and for that of a load that still runs then.
REMOVE = 'cat; n=0; until rmdir "$0" 2>/dev/null || [ $n -ge 300 ]; do n=$((n + 1)); sleep 0.1; done'


class Slice:
    """Context manager. Where no group can be made the loads run in the benchmark's own; ``problem`` then says why."""

    def __init__(self) -> None:
        self.problem = ""
        self._directory: Path | None = None
        self._remover: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Slice:
        try:
            directory = detect().directory(NAME)
            directory.mkdir(exist_ok=True)
        except (OSError, CgroupError) as error:
            self.problem = str(error)
            return self
        self._directory = directory
        self._remover = subprocess.Popen(
            ["sh", "-c", REMOVE, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        entered = subprocess.run(self.inside(["true"]), check=False, capture_output=True, text=True)
        if entered.returncode:
            self.problem = entered.stderr.strip()
            self._leave()
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()

    def inside(self, command: Sequence[str]) -> tuple[str, ...]:
        """The command that runs ``command`` in the group."""
        if self._directory is None:
            return tuple(command)
        return ("sh", "-c", ENTER, os.fspath(self._directory), *command)

    def _leave(self) -> None:
        self._directory = None
        if self._remover is not None and self._remover.stdin is not None:
            self._remover.stdin.close()
            self._remover.wait()
            self._remover = None
