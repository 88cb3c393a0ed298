"""Which system calls of the probe's table this kernel was built without; ``python -m agent.probe.survey`` prints them.

tracefs tells, and where it is not mounted a mount namespace of this process alone shows it; so this runs as a process
of its own, and needs root there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from agent.probe import attach, syscalls

REASON = "this kernel was built without the call, so nobody can make it"


def lacking() -> dict[str, str] | None:
    """Event type -> reason; None where nobody can know: without root tracefs may be out of sight."""
    shown = next((root for root in syscalls.TRACEFS if os.access(root / "events" / "syscalls", os.R_OK)), None)
    if shown is not None:
        return _lacking(shown)
    if os.geteuid() != 0:
        return None
    done = subprocess.run([sys.executable, "-m", "agent.probe.survey"], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _lacking(tracefs: Path) -> dict[str, str]:
    """A type that another call of the same type still serves is not lacking."""
    present = {
        call.type for call in syscalls.on_machine().values() if (tracefs / "events" / "syscalls" / call.hook).is_dir()
    }
    types = {call.type for call in syscalls.on_machine().values() if not syscalls.is_absent(call)}
    return dict.fromkeys(sorted(types - present), REASON)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_lacking(attach.Mounts().tracefs())))
