"""Rules and policies over time: read, watched, changed by people, each change sealed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aggregator.definition_files import Contents, DefinitionFiles
from aggregator.detection import Detection
from aggregator.evidence import canonical, files_body, policy_body, policy_hash
from aggregator.policies import StatedPolicy, effective, problems, unknown_rules
from aggregator.policy_files import Written, faults, read
from aggregator.records import PolicyChange
from aggregator.rulebook import Rulebook
from aggregator.store.protocol import Store, StoreError
from aggregator.store.thread import StoreThread
from rules.problems import Severity
from watchkeeper.policies import Policy, RuleFile
from watchkeeper.wire_policies import MAX_POLICIES

log = logging.getLogger(__name__)

STREAM = "definitions"
CHECK_SECONDS = 3.0


class PolicyError(Exception):
    """The policy can not be so; the message names the key."""


class NoChangeError(Exception):
    """The policy is what a file says; there is no change of it to take back."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files said when they were last taken."""

    contents: Contents = field(default_factory=Contents)
    rulebook: Rulebook = field(default_factory=Rulebook)
    written: Written = field(default_factory=Written)

    def detection(self, changes: Sequence[PolicyChange]) -> Detection:
        """With what people changed laid over it."""
        stated = effective(self.written.policies, changes)
        wrong = problems(self.written, stated, self.rulebook)
        return Detection(self.rulebook, stated, (*self.contents.problems, *self.rulebook.problems, *wrong))


class Definitions:
    """What is in force is ``current``. ``load`` turns rule files into a rulebook; ``changed`` is called whenever
    ``current`` is another one."""

    def __init__(
        self,
        store: StoreThread,
        files: DefinitionFiles,
        load: Callable[[Sequence[RuleFile]], Rulebook],
        clock: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self.current = Detection()
        self._store = store
        self._files = files
        self._load = load
        self._clock = clock
        self._changed = changed
        self._check_seconds = check_seconds
        self._loaded = Loaded()
        self._stamp: tuple[object, ...] = ()
        self._asked = asyncio.Event()
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Take what the files say. What is wrong in them is told, and the rest is in force."""
        async with self._changing:
            self._stamp, loaded = await asyncio.to_thread(self._read)
            await self._take(loaded, loaded.detection(await self._store.call("policy_changes")))

    async def watch(self) -> None:
        """Follow the files for ever; look at them at once when ``look`` is called."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._check_seconds):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            if not asked and await asyncio.to_thread(self._files.stamp) == self._stamp:
                continue
            try:
                await self.reload()
            except StoreError as error:
                # A full disk must not end the aggregator; the files are looked at again.
                log.error("rules and policies could not be taken: %s", error)

    def look(self) -> None:
        """Read the files again now, whether they seem changed or not."""
        self._asked.set()

    async def reload(self) -> None:
        """Take what the files say now, unless that brings errors the one in force does not have: then it stays."""
        async with self._changing:
            stamp, loaded = await asyncio.to_thread(self._read)
            candidate = loaded.detection(await self._store.call("policy_changes"))
            new = candidate.errors - self.current.errors
            if new:
                await self._refuse(candidate, new)
            else:
                await self._take(loaded, candidate)
            self._stamp = stamp

    async def put(self, policy: Policy, who: str, reason: str) -> StatedPolicy:
        """Create the policy, or replace the one of its name. Raises PolicyError."""
        policy = replace(policy, origin="api")
        async with self._changing:
            for fault in faults(policy):
                raise PolicyError(fault)
            for rule in unknown_rules(policy, self.current.rulebook):
                raise PolicyError(f'rules: no rule file holds "{rule}"')
            if len(self.current.policies) >= MAX_POLICIES and policy.name not in self.current.policies:
                raise PolicyError(f"name: there are {MAX_POLICIES} policies already, which is the most possible")
            change = PolicyChange(policy.name, policy.enabled, who, reason, self._clock(), policy)
            return await self._keep(change, policy, "replace" if policy.name in self.current.policies else "create")

    async def enable(self, name: str, enabled: bool, who: str, reason: str) -> StatedPolicy:
        """Enable or disable it; nothing is recorded when it already is so. KeyError: there is no such policy."""
        async with self._changing:
            stated = self.current.policies[name]
            if stated.policy.enabled == enabled:
                return stated
            whole = stated.change.policy if stated.change else None
            change = PolicyChange(name, enabled, who, reason, self._clock(), whole)
            after = replace(stated.policy, enabled=enabled)
            return await self._keep(change, after, "enable" if enabled else "disable")

    async def remove(self, name: str, who: str, reason: str) -> StatedPolicy | None:
        """Take back what people changed: the policy is what files say again, or gone (None). KeyError: there is no such
        policy; NoChangeError: nobody changed it."""
        async with self._changing:
            stated = self.current.policies[name]
            if stated.change is None:
                raise NoChangeError(name)
            done = "revert" if stated.written else "delete"
            sealed = policy_body(done, stated.policy, stated.written, who, reason)
            await self._store.call("drop_policy_change", name, self._clock(), sealed)
            return (await self._changes()).policies.get(name)

    async def _keep(self, change: PolicyChange, after: Policy, done: str) -> StatedPolicy:
        before = self.current.policies.get(change.name)
        sealed = policy_body(done, before.policy if before else None, after, change.who, change.reason)
        await self._store.call("keep_policy_change", change, sealed)
        return (await self._changes()).policies[change.name]

    async def _changes(self) -> Detection:
        refused = self.current.refused
        self.current = replace(self._loaded.detection(await self._store.call("policy_changes")), refused=refused)
        self._changed()
        return self.current

    async def _take(self, loaded: Loaded, detection: Detection) -> None:
        await self._store.call(_seal_files, loaded, self._clock())
        self._loaded, self.current = loaded, detection
        for problem in detection.problems:
            if problem.severity is Severity.ERROR:
                log.error("%s", problem)
        log.info("%d rules loaded, %d in force", len(detection.rulebook.rules), len(detection.in_force))
        self._changed()

    async def _refuse(self, candidate: Detection, new: frozenset[str]) -> None:
        told = tuple(problem for problem in candidate.problems if str(problem) in new)
        if told == self.current.refused:
            return
        for problem in told:
            log.error("the rules in force stay, for the new ones are wrong: %s", problem)
        body = {"about": [RULES, POLICIES], "problems": sorted(new), "files": candidate.rulebook.hashes, "who": "files"}
        await self._store.call("seal", STREAM, "refused", self._clock(), body)
        self.current = replace(self.current, refused=told)
        self._changed()

    def _read(self) -> tuple[tuple[object, ...], Loaded]:
        stamp = self._files.stamp()  # before reading: what changes meanwhile is read again
        contents = self._files.read()
        return stamp, Loaded(contents, self._load(contents.rules), read(contents.policies))


RULES, POLICIES = "rule files", "policy files"  # what evidence of files is about


def _seal_files(store: Store, loaded: Loaded, now: float) -> None:
    """Seal what changed since it was last sealed, be it by an earlier process."""
    written = {name: policy_hash(policy) for name, policy in loaded.written.policies.items()}
    for subject, parts in ((RULES, loaded.rulebook.hashes), (POLICIES, written)):
        before, after = _last_hash(store, subject), _hash(parts)
        if before != after:
            store.seal(STREAM, "files", now, files_body(subject, parts, before, after))


def _last_hash(store: Store, subject: str) -> str:
    for link in store.evidence(stream=STREAM, about=subject, newest=True, limit=100):
        if link.kind == "files":
            return str(json.loads(link.body)["after_hash"])
    return ""


def _hash(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(canonical(parts).encode()).hexdigest()
