"""``./run fuzz [NAME] [SECONDS]``: parsers of foreign data under atheris, each in a process of its own.

A crash, a hang (10 seconds for one input) or an exception that is not the parser's own ends it with status 1 and leaves
the input beside the message, ready to be given to ``python -m tests.fuzz.TARGET FILE``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = ("parser", "rule_file", "k8s_audit", "aws_cloudtrail", "json_input")
SECONDS = 60


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if not argument.isdigit()] or list(TARGETS)
    seconds = next((int(argument) for argument in arguments if argument.isdigit()), SECONDS)
    if unknown := [name for name in names if name not in TARGETS]:
        print(f"fuzz: no target {', '.join(unknown)}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    return max([_fuzz(name, seconds) for name in names])


def _fuzz(name: str, seconds: int) -> int:
    kept = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    seeds = Path(__file__).parent / "seeds" / name
    corpus = kept / "corpus"
    corpus.mkdir()
    command = [sys.executable, "-m", f"tests.fuzz.{name}", str(corpus), str(seeds)]
    command += [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", "-max_len=8192"]
    command += [f"-artifact_prefix={kept}/", "-print_final_stats=1"]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    stats = [line for line in done.stderr.splitlines() if line.startswith("stat::number_of_executed_units")]
    print(
        f"{name}: {'no crash, no hang' if done.returncode == 0 else 'FAILED'}, {seconds} s, {' '.join(stats)}",
        flush=True,
    )
    if done.returncode:
        print(done.stderr[-4000:], f"\nthe input is in {kept}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
