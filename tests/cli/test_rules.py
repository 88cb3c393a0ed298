"""``watchkeeper rules`` as a user types it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from watchkeeper.events import AnyEvent, CgroupBirth, ContainerNamed, Exec, Task
from watchkeeper.findings import Container

GOOD = """
- rule: Shell in a container
  desc: d
  condition: evt.type=execve and container.id!=host and proc.name=sh
  output: "%proc.name in %container.name"
  priority: NOTICE
  tags: [shell]
- rule: Anything runs
  desc: d
  condition: evt.type=execve
  output: "%proc.name"
  priority: INFO
- rule: Switched off
  desc: d
  condition: evt.type=execve
  output: o
  priority: INFO
  enabled: false
"""
BAD = (
    GOOD
    + """
- rule: Misspelt
  desc: d
  condition: evt.type=execve and proc.nmae=sh
  output: o
  priority: INFO
"""
)
AUDIT = """
- rule: Secret read
  desc: d
  condition: ka.target.resource=secrets and ka.verb=get
  output: "%ka.user.name"
  priority: WARNING
  source: k8s_audit
"""
TRAIL = """
- rule: Trail stopped
  desc: d
  condition: ct.name=StopLogging and not ct.error exists
  output: "%ct.region"
  priority: CRITICAL
  source: aws_cloudtrail
"""
SHELL = Task(10, 100, 2, 2, 0, 0, -1, 7, "sh")


def _run(*arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "cli.main", "rules", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _event(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "Event",
        "auditID": "1",
        "verb": "get",
        "user": {"username": "eve"},
        "objectRef": {"resource": "secrets"},
        "stageTimestamp": "2025-01-02T03:04:05Z",
        **changes,
    }


def test_check_counts_rules_of_usable_files(tmp_path: Path) -> None:
    """Status 0; every rule counts, those that a file disables too."""
    status, said, _ = _run("check", _file(tmp_path / "a.yaml", GOOD), _file(tmp_path / "b.yaml", AUDIT + TRAIL))
    assert status == 0
    assert "5 rules, 0 errors, 0 warnings." in said
    assert "Kernel " in said


def test_check_names_file_line_rule_and_reason(tmp_path: Path) -> None:
    """Status 1; the good rules are still counted."""
    path = _file(tmp_path / "a.yaml", BAD)
    status, said, _ = _run("check", path)
    assert status == 1
    assert f'{path}:20: error: rule "Misspelt": ' in said
    assert "proc.nmae" in said
    status, said, _ = _run("check", "--json", path)
    told = json.loads(said)
    assert status == 1
    assert [(e["line"], e["item"], e["code"]) for e in told["errors"]] == [
        (20, 'rule "Misspelt"', "LOAD_ERR_COMPILE_CONDITION")
    ]
    assert told["enabled"]["syscall"] == 3


@pytest.mark.parametrize("command", [["check"], ["replay", "--source", "syscall", "--rules"]])
def test_a_missing_file_is_named(command: list[str], tmp_path: Path) -> None:
    """Status 2 and one line, no traceback."""
    status, said, complaint = _run(*command, tmp_path / "none.yaml", *([tmp_path / "x"] if len(command) > 1 else []))
    assert (status, said) == (2, "")
    assert complaint == f"watchkeeper: {tmp_path / 'none.yaml'}: No such file or directory\n"


@pytest.mark.parametrize(
    ("first", "expected"), [([], ["Shell in a container", "Anything runs"]), (["--first"], ["Shell in a container"])]
)
def test_replay_of_a_recording(first: list[str], expected: list[str], tmp_path: Path) -> None:
    """The agent's recorded events hit as they would have, in containers named later, too."""
    events: list[AnyEvent] = [
        CgroupBirth(at=1.0, task=SHELL, cgroup=7, path="/kubepods/x"),
        Exec(at=2.0, task=SHELL, executable="/bin/sh", arguments=("sh",)),
        ContainerNamed(at=3.0, task=SHELL, cgroup=7, container=Container("c" * 64, "web")),
    ]
    recording = tmp_path / "events.jsonl"
    recording.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    rules = _file(tmp_path / "a.yaml", GOOD)
    status, said, complaint = _run("replay", "--rules", rules, "--source", "syscall", *first, recording)
    hits = [json.loads(line) for line in said.splitlines()]
    assert (status, complaint) == (0, "")
    assert [hit["rule"] for hit in hits] == expected
    assert hits[0]["output"] == "00:00:02.000000000: Notice sh in web"
    assert (hits[0]["priority"], hits[0]["tags"], hits[0]["source"]) == ("Notice", ["shell"], "syscall")


def test_replay_of_audit_events_goes_on_after_a_broken_line(tmp_path: Path) -> None:
    """Each readable event is judged; the broken line is named and the status is 1."""
    lines = [
        json.dumps(_event()),
        "{broken",
        json.dumps({"kind": "EventList", "items": [_event(), _event(verb="list")]}),
    ]
    log = _file(tmp_path / "audit.log", "\n".join(lines))
    rules = _file(tmp_path / "a.yaml", AUDIT)
    status, said, complaint = _run("replay", "--rules", rules, "--source", "k8s_audit", log)
    assert status == 1
    assert [json.loads(line)["output_fields"]["ka.user.name"] for line in said.splitlines()] == ["eve", "eve"]
    assert f"{log}: line 2: " in complaint


def test_replay_of_compressed_cloudtrail_records(tmp_path: Path) -> None:
    """As CloudTrail delivers them; a refused call is not a change."""
    record = {"eventName": "StopLogging", "awsRegion": "eu-west-1", "eventTime": "2025-01-02T03:04:05Z"}
    delivered = tmp_path / "trail.json.gz"
    delivered.write_bytes(gzip.compress(json.dumps({"Records": [record, {**record, "errorCode": "x"}]}).encode()))
    rules = _file(tmp_path / "a.yaml", TRAIL)
    status, said, _ = _run("replay", "--rules", rules, "--source", "aws_cloudtrail", delivered)
    assert status == 0
    assert [json.loads(line)["time"] for line in said.splitlines()] == ["2025-01-02T03:04:05.000000000Z"]


def test_fields_are_listed_by_source() -> None:
    """Each with its type and what it means."""
    status, said, _ = _run("fields", "--source", "k8s_audit", "--source", "syscall", "--json")
    listed = {(each["source"], each["field"]): each for each in json.loads(said)}
    assert status == 0
    assert listed["syscall", "proc.aname"]["argument"] == "optional index"
    assert listed["k8s_audit", "ka.verb"]["type"] == "string"
    assert not [key for key in listed if key[0] == "aws_cloudtrail"]
    status, said, _ = _run("fields", "--source", "aws_cloudtrail")
    assert "ct.name" in said
