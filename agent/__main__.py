"""What ``watchkeeper agent`` becomes: a process that holds nothing of the program's. ``python -m agent [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path

from agent import memory


def main(arguments: list[str]) -> int:
    """Run the agent with the configuration in the file, if one is named; returns the exit status."""
    memory.be_frugal()
    from agent.config import load
    from agent.pipeline import main as run
    from watchkeeper.settings import SettingsError

    try:
        settings = load(Path(arguments[0]) if arguments else None)
    except SettingsError as error:
        sys.stderr.write(f"watchkeeper: {error}\n")
        return 2
    return run(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
