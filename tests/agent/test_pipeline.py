"""The whole flow of the agent: events in, records out, with a real spool and real profiles on disk."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.behaviours import UPPER_LAYER
from agent.config import LearningSettings, Settings
from agent.detection import WAIT_SECONDS
from agent.pipeline import Agent
from agent.probe.recording import Recorder
from agent.probe.replay import ReplaySource
from agent.probe.source import ClassCounters, Knowledge, NoveltyCounters, Ticket, Told
from agent.probe.syscalls import Outcomes
from agent.recorded_containers import RecordedContainers
from agent.spool import OVERHEAD, Spool
from agent.surroundings import unknown
from watchkeeper import wire
from watchkeeper.events import (
    AnyEvent,
    Capability,
    CgroupBirth,
    CgroupDeath,
    Connect,
    ContainerNamed,
    Exec,
    Fork,
    Listen,
    Open,
    Running,
    Task,
)
from watchkeeper.findings import (
    Behaviour,
    BehaviourClass,
    Container,
    Finding,
    FindingRepeat,
    Inventory,
    Profile,
    ProfileDelta,
    ProfileEntry,
    ProfileKey,
    ProfileState,
    Severity,
)
from watchkeeper.v1 import uplink_pb2 as pb

HOST, WEB, SECOND = 1, 7, 8
SHIM = Task(2, 2, 1, 1, 0, 0, -1, HOST, "containerd-shim")
INIT = Task(10, 100, 2, 2, 0, 0, -1, WEB, "runc:[2:INIT]")
APP = Task(10, 100, 2, 2, 0, 0, -1, WEB, "app")
CHILD = Task(11, 110, 10, 100, 33, 33, -1, WEB, "sh")
CONTAINER = Container("c" * 64, "web", image_digest="sha256:1", pod_namespace="shop", workload="Deployment/web")
KEY = ProfileKey("prod", "shop", "Deployment/web", "web", "sha256:1")
START = 1_000_000.0
ROOM = 1 << 22  # of the spool


class FakeSource:
    """A source that is fed by the test."""

    state = "attached"
    canary_at = 0.0
    finished = False

    def __init__(self) -> None:
        self.missing_hooks: tuple[str, ...] = ()
        self.ignored: list[int] = []
        self.watched: dict[str, Outcomes] = {}
        self.counted: list[ClassCounters] = []
        self.novel: list[NoveltyCounters] = []
        self.tickets: list[Ticket] = []
        self.settled: dict[bytes, int] = {}
        self.known: dict[bytes, int] = {}
        self.renewed: list[int] = []
        self.repeated: list[int] = []
        self.events: list[AnyEvent] = []
        self.closed = False
        self._ready = os.eventfd(0)

    def fileno(self) -> int:
        return self._ready

    def feed(self, *events: AnyEvent) -> None:
        self.events.extend(events)
        os.eventfd_write(self._ready, 1)

    def read(self, limit: int = 4096) -> list[Told]:
        if self.events and not self.closed:
            os.eventfd_read(self._ready)
        found, self.events = self.events, []
        return [Told(event, self.tickets.pop(0) if self.tickets else None) for event in found]

    def counters(self) -> list[ClassCounters]:
        return self.counted

    def novelties(self) -> list[NoveltyCounters]:
        return self.novel

    def knowledge(self) -> Knowledge:
        return Knowledge()

    def settle(self, ticket: Ticket, subject: int = 0, by_object: bool = False) -> None:
        self.settled[ticket.key] = subject

    def remember(self) -> None:
        self.known |= self.settled
        self.settled = {}

    def unlearn(self, key: bytes) -> None:
        self.known.pop(key, None)

    def forget(self) -> None:
        self.known, self.settled = {}, {}

    def forget_behaviours(self, cgroup: int) -> None:
        self.renewed.append(cgroup)

    def seen(self) -> list[int]:
        return self.repeated

    def ignore_cgroup(self, cgroup: int) -> None:
        self.ignored.append(cgroup)

    def forget_cgroup(self, cgroup: int) -> None:
        pass

    def watch(self, wanted: Mapping[str, Outcomes]) -> dict[str, str]:
        self.watched = dict(wanted)
        return {}

    def play_canary(self) -> None:
        self.canary_at = START

    def close(self) -> None:
        if not self.closed:
            os.close(self._ready)
        self.closed = True


class Rig:
    """An agent whose time the test moves. Recorded containers: names come as events, time from the events."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        learning = LearningSettings(minimum_seconds=60, decay_seconds=10, threshold=0.5)
        chosen = {"node": "node-1", "cluster": "prod", "state_directory": str(directory), "learning": learning}
        self.settings = Settings(**(chosen | settings))
        self.source = FakeSource()
        self.spool = Spool(directory, ROOM)
        self.now = START
        self.containers = RecordedContainers()
        around = unknown("node-1")
        self.agent = Agent(self.settings, self.source, self.containers, self.spool, around, clock=lambda: self.now)

    def take(self, *events: AnyEvent) -> None:
        for event in events:
            self.agent.take([msgspec.structs.replace(event, at=self.now)])

    def wait(self, seconds: float) -> None:
        """Let time pass: the events' and the clock's."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 10, until)
            self.take(Exec(at=0.0, task=Task(99, 99, 1, 1, 0, 0, -1, HOST, "cron"), executable="/bin/true"))

    def begin(self, container: Container = CONTAINER, cgroup: int = WEB) -> None:
        """A container as runc starts it: init, then the entry point, which forks a shell."""
        init, app = inside(INIT, cgroup), inside(APP, cgroup)
        self.take(
            CgroupBirth(at=0.0, task=SHIM, cgroup=cgroup, path="/kubepods/x"),
            ContainerNamed(at=0.0, task=SHIM, cgroup=cgroup, container=container),
            opened("/proc/self/attr/exec", init),
            Capability(at=0.0, task=init, name="CAP_SYS_ADMIN"),
            Exec(at=0.0, task=app, executable="/app", arguments=("/app",)),
            Fork(at=0.0, task=app, child_pid=app.pid + 1, child_start=app.start + 10),
        )

    def learn(self) -> None:
        self.wait(70)
        assert self.state() is ProfileState.LEARNED

    def state(self, key: ProfileKey = KEY) -> ProfileState:
        return self.agent.profiles.of(key).state

    def records(self) -> list[Finding | FindingRepeat | ProfileDelta | Inventory]:
        return [wire.unpack(record.kind, record.payload) for record in self.spool.pending(0, 100_000, 1 << 24)]

    def findings(self) -> list[Finding]:
        return [record for record in self.records() if isinstance(record, Finding)]

    def titles(self) -> list[str]:
        return [finding.title for finding in self.findings()]

    def close(self) -> None:
        self.agent._close()


def inside(task: Task, cgroup: int) -> Task:
    """The same role in another container, under ids of its own."""
    offset = (cgroup - WEB) * 1000
    return msgspec.structs.replace(task, cgroup=cgroup, pid=task.pid + offset, start=task.start + offset)


def opened(path: str, task: Task, flags: int = os.O_WRONLY | os.O_CREAT) -> Open:
    return Open(at=0.0, task=task, path=path, flags=flags)


@pytest.fixture
def rig(tmp_path: Path) -> Any:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


SIX = {
    Exec(at=0.0, task=CHILD, executable="/tmp/dropped", upper_layer=True): (
        Severity.CRITICAL,
        "Unexpected program executed: /tmp/dropped",
    ),
    opened("/etc/cron.d/x", CHILD): (Severity.HIGH, "Unexpected file written: /etc/cron.d/x"),
    opened("/etc/shadow", CHILD, os.O_RDONLY): (Severity.HIGH, "Sensitive file read unexpectedly: /etc/shadow"),
    Listen(at=0.0, task=CHILD, address="0.0.0.0", port=4444): (Severity.HIGH, "Unexpected listening port: tcp/4444"),
    Connect(at=0.0, task=CHILD, protocol="tcp", address="203.0.113.7", port=443): (
        Severity.MEDIUM,
        "Unexpected outbound connection: tcp/203.0.113.7:443",
    ),
    Capability(at=0.0, task=CHILD, name="CAP_NET_RAW"): (Severity.MEDIUM, "Unexpected capability used: CAP_NET_RAW"),
}


@pytest.mark.parametrize("event", list(SIX), ids=lambda event: type(event).__name__)
def test_each_class_of_drift_is_found_after_learning(rig: Rig, event: AnyEvent) -> None:
    """After learning, one new act of each of the six classes is exactly one finding, with process and container."""
    rig.begin()
    rig.learn()
    rig.take(event)
    [finding] = rig.findings()
    assert (finding.severity, finding.title) == SIX[event]
    assert (finding.profile, finding.container, finding.node) == (KEY, CONTAINER, "node-1")
    assert finding.process is not None
    assert (finding.process.pid, finding.process.uid) == (11, 33)
    assert finding.process.ancestors[0] == "/app[10]"


@pytest.mark.parametrize("event", list(SIX), ids=lambda event: type(event).__name__)
def test_each_class_is_learned_and_then_silent(rig: Rig, event: AnyEvent) -> None:
    """The same act while learning is no finding, then or later."""
    rig.begin()
    rig.take(event)
    rig.learn()
    rig.take(Fork(at=0.0, task=APP, child_pid=CHILD.pid, child_start=CHILD.start), event)
    assert rig.titles() == []


def test_runtimes_own_acts_are_not_the_workloads(rig: Rig) -> None:
    """What runc's init does in the container's cgroup before the entry point is in no profile."""
    rig.begin()
    assert set(rig.agent.profiles.of(KEY).entries) == {Behaviour(BehaviourClass.EXECUTED, "entrypoint", "/app")}


def test_host_cgroups_are_ignored_in_the_kernel_once(rig: Rig) -> None:
    """A cgroup that belongs to no container is reported to the source one time."""
    rig.take(opened("/x", SHIM), opened("/y", SHIM))
    assert rig.source.ignored == [HOST]


def test_acts_wait_for_the_name_and_are_not_lost_to_death(rig: Rig) -> None:
    """A container that ends before it is named has its behaviours in the right profile all the same."""
    rig.take(
        CgroupBirth(at=0.0, task=SHIM, cgroup=WEB, path="/kubepods/x"),
        Exec(at=0.0, task=APP, executable="/app"),
        CgroupDeath(at=0.0, task=SHIM, cgroup=WEB, path="/kubepods/x"),
    )
    assert rig.agent.profiles.live() == []
    rig.take(ContainerNamed(at=0.0, task=SHIM, cgroup=WEB, container=CONTAINER))
    assert set(rig.agent.profiles.of(KEY).entries) == {Behaviour(BehaviourClass.EXECUTED, "entrypoint", "/app")}


def test_act_is_attributed_to_the_process_as_it_was(rig: Rig) -> None:
    """A process that executes something else while its act waits for the name keeps the act for its old program."""
    rig.take(
        CgroupBirth(at=0.0, task=SHIM, cgroup=WEB, path="/kubepods/x"),
        Exec(at=0.0, task=APP, executable="/app"),
        opened("/data/x", APP),
        Exec(at=0.0, task=APP, executable="/other"),
        ContainerNamed(at=0.0, task=SHIM, cgroup=WEB, container=CONTAINER),
    )
    assert Behaviour(BehaviourClass.WRITTEN, "/app", "/data/x") in rig.agent.profiles.of(KEY).entries


def test_waiting_for_a_name_is_bounded(rig: Rig) -> None:
    """A born cgroup that never gets a name is given up after a few seconds and is the host's."""
    rig.take(CgroupBirth(at=0.0, task=SHIM, cgroup=WEB, path="/x"), Exec(at=0.0, task=APP, executable="/app"))
    rig.wait(WAIT_SECONDS + 1)
    assert not rig.agent.detection.waits()
    assert rig.agent.profiles.live() == []


def test_learned_profile_survives_a_restart(tmp_path: Path) -> None:
    """After kill -9 (nothing is closed) the profile is learned, known acts are silent and new ones are found."""
    first = Rig(tmp_path / "a")
    first.begin()
    first.learn()
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # the files as a kill leaves them
    again = Rig(tmp_path / "b")
    again.take(
        ContainerNamed(at=0.0, task=SHIM, cgroup=WEB, container=CONTAINER),
        Running(at=0.0, task=APP, executable="/app"),
        Listen(at=0.0, task=APP, address="0.0.0.0", port=4444),
    )
    assert again.titles() == ["Unexpected listening port: tcp/4444"]
    first.close()
    again.close()


def test_programs_found_running_alarm_only_if_unfamiliar(tmp_path: Path, rig: Rig) -> None:
    """A process found at the start whose parent has gone is no alarm if the profile knows its program; others are."""
    rig.begin()
    rig.take(Exec(at=0.0, task=CHILD, executable="/bin/worker"))
    rig.learn()
    orphan = Task(20, 200, 10, 100, 0, 0, -1, WEB, "worker")
    rig.take(Running(at=0.0, task=orphan, executable="/bin/worker"))
    assert rig.titles() == []
    rig.take(Running(at=0.0, task=Task(21, 210, 10, 100, 0, 0, -1, WEB, "miner"), executable="/tmp/miner"))
    assert rig.titles() == ["Unexpected program executed: /tmp/miner"]


def test_rollout_inherits_and_is_one_review(rig: Rig) -> None:
    """A new digest's known acts are silent; its new ones share one fingerprint over two pods of the rollout."""
    rig.begin()
    rig.learn()
    rolled = [
        Container(letter * 64, "web", image_digest="sha256:2", pod_namespace="shop", workload="Deployment/web")
        for letter in "de"
    ]
    for number, container in enumerate(rolled):
        cgroup = 20 + number
        rig.begin(container, cgroup)
        app = inside(APP, cgroup)
        rig.take(*(Connect(at=0.0, task=app, protocol="tcp", address=f"10.0.0.{n}", port=443) for n in (1, 2)))
    findings = rig.findings()
    assert len(findings) == 2
    assert len({finding.fingerprint for finding in findings}) == 1
    assert {dict(finding.fields)["inherited_from"] for finding in findings} == {"sha256:1"}


def test_accepted_behaviour_is_silent_until_its_time_ends(rig: Rig) -> None:
    """An acceptance pushed by the aggregator silences, and when it has expired the same act speaks again."""
    rig.begin()
    rig.learn()
    act = Listen(at=0.0, task=CHILD, address="0.0.0.0", port=4444)
    rig.take(act)
    behaviour = Behaviour(BehaviourClass.LISTENING, "/app", "tcp/4444")
    entry = ProfileEntry(behaviour, rig.now, rig.now, "accepted", "ann", "debugging", rig.now + 100)
    pushed = Profile(KEY, ProfileState.LEARNED, (*rig.agent.profiles.of(KEY).entries.values(), entry))
    rig.agent.configure(pb.Configuration(profiles=[wire.profile_message(pushed)]))
    rig.take(act)
    assert len(rig.findings()) == 1
    rig.wait(100)
    rig.take(act)
    assert [finding.behaviour for finding in rig.findings()] == [behaviour, behaviour]


def test_unintelligible_push_is_told_and_does_not_stop_the_others(rig: Rig) -> None:
    """One broken profile in a push is a health finding; the next profile is taken in."""
    good = Profile(KEY, ProfileState.LEARNED)
    rig.agent.configure(pb.Configuration(profiles=[pb.Profile(), wire.profile_message(good)]))
    assert rig.state() is ProfileState.LEARNED
    assert rig.titles() == ["A profile pushed by the aggregator could not be understood"]


def test_overwritten_known_program_is_found(rig: Rig) -> None:
    """The same path and parent as learned, but from the container's writable layer, is critical."""
    rig.begin()
    rig.take(Exec(at=0.0, task=CHILD, executable="/bin/ls"))
    rig.learn()
    again = msgspec.structs.replace(CHILD, pid=12, start=120)
    rig.take(Fork(at=0.0, task=APP, child_pid=12, child_start=120))
    rig.take(Exec(at=0.0, task=again, executable="/bin/ls", upper_layer=True))
    [finding] = rig.findings()
    assert finding.behaviour == Behaviour(BehaviourClass.EXECUTED, UPPER_LAYER, "/bin/ls")
    assert finding.severity is Severity.CRITICAL


def test_learned_state_is_told_at_once_with_its_entries(rig: Rig) -> None:
    """The profile delta of the end of learning carries state and entries, and no later one repeats them."""
    rig.begin()
    rig.learn()
    deltas = [record for record in rig.records() if isinstance(record, ProfileDelta)]
    assert [delta.state for delta in deltas] == [ProfileState.LEARNED]
    assert {entry.behaviour.object for entry in deltas[0].entries} == {"/app"}
    rig.agent._send_deltas(final=True)
    assert len([record for record in rig.records() if isinstance(record, ProfileDelta)]) == 1


def test_heartbeat_tells_profiles_canary_and_losses(rig: Rig) -> None:
    """Counters, what is enforced with its hash, the detector's canary, and the kernel's."""
    rig.begin()
    rig.learn()
    rig.source.counted = [ClassCounters("open", seen=5, suppressed=1, submitted=3, dropped=1, decoded=3)]
    heartbeat = rig.agent.heartbeat()
    [profile] = heartbeat.profiles
    assert wire.profile_key(profile.key) == KEY
    assert (profile.state, profile.running, profile.canary_detected) == ("learned", 1, True)
    assert profile.hash == rig.agent.profiles.of(KEY).hash
    assert (heartbeat.containers, heartbeat.canary_at, heartbeat.probe_state) == (1, START, "attached")
    assert heartbeat.counters[0].dropped == 1
    assert heartbeat.resident_bytes > 1 << 20


def test_losses_become_one_health_finding_with_repeats(rig: Rig) -> None:
    """Lost events are told once in full, again only when they grew, and missing hooks are named."""
    rig.source.missing_hooks = ("sys_exit_openat2 (absent)",)
    for dropped in (0, 3, 3, 5):
        rig.source.counted = [ClassCounters("open", seen=9, dropped=dropped)]
        rig.agent._report(0.0)
    rig.agent.findings.flush(rig.now, force=True)
    rig.agent._write()
    assert sorted((finding.source, finding.title.split(":")[0].split(" between")[0]) for finding in rig.findings()) == [
        ("health", "Events were lost"),
        ("health", "The kernel does not offer every hook; missing"),
    ]
    assert [record.count for record in rig.records() if isinstance(record, FindingRepeat)] == [1]


def test_a_refused_delta_is_told_again_and_not_counted(rig: Rig) -> None:
    """While the spool has no room a profile's delta is tried again and again; only what is really lost is discarded."""
    assert rig.spool.append("filler", bytes(ROOM - OVERHEAD))
    rig.begin()
    for _ in range(5):
        rig.agent._send_deltas(final=True)
        rig.agent._report(0.0)
        rig.agent._write()
    assert rig.spool.discarded.keys() <= {"inventory"}
    rig.spool.acknowledge(rig.spool.last_sequence)
    rig.agent._send_deltas(final=True)
    [delta] = [record for record in rig.records() if isinstance(record, ProfileDelta)]
    assert {entry.behaviour.object for entry in delta.entries} == {"/app"}


def test_that_something_was_lost_is_told_once_there_is_room(rig: Rig) -> None:
    """However long the spool refuses them, findings count once as discarded, and then this is a finding."""
    rig.begin()
    rig.learn()
    filled = rig.spool.append("filler", bytes(ROOM - rig.spool.bytes - OVERHEAD))
    rig.take(opened("/etc/a", CHILD), opened("/etc/b", CHILD))
    for _ in range(20):
        rig.agent._report(0.0)
        rig.agent._write()
    assert (filled, rig.spool.discarded.get("finding")) == (True, 2)
    rig.spool.acknowledge(rig.spool.last_sequence)
    rig.agent._report(0.0)
    rig.agent._write()
    assert rig.titles() == ["Records were discarded: the spool is full or can not be written"]
    assert rig.spool.discarded.get("finding") == 2


async def test_running_agent_reads_tells_and_closes(tmp_path: Path) -> None:
    """Events become findings while it runs; when stopped it takes what waits, tells its inventory, closes all."""
    rig = Rig(tmp_path)
    rig.begin()
    rig.learn()
    running = asyncio.create_task(rig.agent.run())
    rig.source.feed(msgspec.structs.replace(opened("/etc/a", CHILD), at=rig.now))
    async with asyncio.timeout(10):
        while not rig.titles():  # noqa: ASYNC110 -- the agent sets no event for its findings
            await asyncio.sleep(0.01)
    rig.source.feed(msgspec.structs.replace(opened("/etc/b", CHILD), at=rig.now))
    rig.agent.stop()
    await running
    assert rig.source.closed
    spool = Spool(tmp_path, 1 << 24)
    records = [wire.unpack(record.kind, record.payload) for record in spool.pending(0, 1000)]
    spool.close()
    titles = [record.title for record in records if isinstance(record, Finding)]
    assert titles == ["Unexpected file written: /etc/a", "Unexpected file written: /etc/b"]
    assert records[-1] == Inventory(rig.now, (CONTAINER,))


async def test_failing_source_ends_the_agent_with_its_error(tmp_path: Path) -> None:
    """An agent that can not read events does not go on as if it watched."""
    rig = Rig(tmp_path)

    def broken(limit: int = 0) -> list[AnyEvent]:
        raise OSError("the ring is gone")

    rig.source.read = broken  # type: ignore[method-assign]
    rig.source.feed(opened("/x", SHIM))
    with pytest.raises(OSError, match="the ring is gone"):
        await asyncio.wait_for(rig.agent.run(), 10)
    assert rig.source.closed


def test_recording_replays_to_the_same_findings(tmp_path: Path) -> None:
    """What one agent records, another finds again from the file alone: same titles, same process, same container."""
    first = Rig(tmp_path / "a")
    recording = tmp_path / "events.jsonl"
    first.agent._recorder = Recorder(recording)
    # As if it had run before: neither its birth nor its name is an event, the recorder must write the name itself.
    first.containers.name(WEB, CONTAINER)
    first.agent._introduced.clear()
    recording.write_bytes(b"")
    first.take(Running(at=0.0, task=APP, executable="/app"), Fork(at=0.0, task=APP, child_pid=11, child_start=110))
    first.learn()
    first.take(*SIX)
    expected = [(f.title, f.process, f.container) for f in first.findings()]
    first.close()
    second = Rig(tmp_path / "b")
    source = ReplaySource(recording)
    while events := [told.event for told in source.read()]:
        second.agent.take(events)
    assert [(f.title, f.process, f.container) for f in second.findings()] == expected
    assert len(expected) == len(SIX)
    source.close()
    second.close()
