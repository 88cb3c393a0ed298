"""Rules and policies over time: read from real files, followed, changed by people, sealed in a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aggregator import rule_loader
from aggregator.definition_files import DefinitionFiles
from aggregator.definitions import Definitions, NoChangeError, PolicyError
from aggregator.store.sqlite import SqliteStore
from aggregator.store.thread import StoreThread
from tests.rig_transport import until
from watchkeeper.findings import Severity
from watchkeeper.policies import Policy, Scope

ETC = """
- rule: Write below etc
  desc: d
  condition: evt.type = openat and fd.name startswith /etc
  output: o
  priority: ERROR
"""
SHIPPED = "- {name: Files, rules: [Write below etc], enabled: true}\n- {name: Spare, rules: [Write below etc]}\n"


class Stage:
    """Shipped files, a site's own directories, a store, and definitions over them; ``changes``: how often told."""

    def __init__(self, directory: Path) -> None:
        self.shipped, self.rules, self.policies = (directory / name for name in ("shipped", "rules", "policies"))
        for path in (self.shipped, self.rules, self.policies):
            path.mkdir()
        (self.shipped / "syscall.yaml").write_text(ETC)
        (self.shipped / "policies.yaml").write_text(SHIPPED)
        self.store = StoreThread(SqliteStore(directory / "store.sqlite", lambda: self.now))
        self.now, self.changes = 100.0, 0
        self.definitions = self.again()

    def again(self, check_seconds: float = 3600) -> Definitions:
        """As after a restart."""
        files = DefinitionFiles((self.rules,), (self.policies,), self.shipped)
        return Definitions(self.store, files, rule_loader.make, lambda: self.now, self._changed, check_seconds)

    def _changed(self) -> None:
        self.changes += 1

    @property
    def rule_names(self) -> list[str]:
        return list(self.definitions.current.rulebook.rules)

    @property
    def refused(self) -> list[str]:
        return [str(problem) for problem in self.definitions.current.refused]

    async def sealed(self, kind: str = "") -> list[dict[str, Any]]:
        links = await self.store.call("evidence", stream="definitions", limit=1000)
        return [json.loads(link.body) for link in links if link.kind == (kind or link.kind)]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    await made.definitions.start()
    yield made
    made.store.close()


def rule(name: str, condition: str = "evt.type = openat") -> str:
    return f"- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: NOTICE\n"


async def test_files_are_in_force_after_the_start(stage: Stage) -> None:
    """Shipped rules and policies, and their hashes sealed once."""
    current = stage.definitions.current
    assert stage.rule_names == ["Write below etc"]
    assert {name: each.policy.enabled for name, each in current.policies.items()} == {"Files": True, "Spare": False}
    assert current.problems == current.refused == ()
    first = await stage.sealed("files")
    assert [(body["about"], list(body["files"]), body["before_hash"]) for body in first] == [
        (["rule files"], ["syscall.yaml"], ""), (["policy files"], ["Files", "Spare"], ""),
    ]  # fmt: skip
    await stage.again().start()
    assert await stage.sealed() == first


async def test_a_site_adds_rules_and_policies(stage: Stage) -> None:
    """Its files come after the shipped ones and may change them; what changed is sealed with before and after."""
    (stage.rules / "b.yaml").write_text(rule("Mine"))
    (stage.rules / "a.yaml").write_text(
        "- rule: Write below etc\n  condition: and not proc.name = vi\n  append: true\n"
    )
    (stage.policies / "site.yaml").write_text("- {name: Files, rules: [Mine]}\n")
    await stage.definitions.reload()
    current = stage.definitions.current
    assert [file.name for file in current.rulebook.files] == ["syscall.yaml", "a.yaml", "b.yaml"]
    assert stage.rule_names == ["Write below etc", "Mine"]
    assert (current.policies["Files"].policy.rules, current.policies["Files"].policy.origin) == (("Mine",), "file")
    before, after = [body for body in await stage.sealed("files") if body["about"] == ["rule files"]]
    assert before["after_hash"] == after["before_hash"] != after["after_hash"]


async def test_a_broken_file_keeps_what_is_in_force(stage: Stage) -> None:
    """It is told, and sealed once; the corrected file is taken and the complaint ends."""
    before = stage.definitions.current
    (stage.rules / "site.yaml").write_text(rule("Mine", "fd.nmae = x"))
    for _ in range(2):
        await stage.definitions.reload()
        assert stage.rule_names == ["Write below etc"]
        assert stage.definitions.current.hash_for("c") == before.hash_for("c")
        assert len(stage.refused) == 1
        assert "site.yaml" in stage.refused[0]
        assert "fd.nmae" in stage.refused[0]
    [refused] = await stage.sealed("refused")
    assert refused["problems"] == stage.refused
    (stage.rules / "site.yaml").write_text(rule("Mine"))
    await stage.definitions.reload()
    assert (stage.rule_names, stage.refused) == (["Write below etc", "Mine"], [])


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("policies", "- {name: P, rules: [No such rule], enabled: true}", 'rules: no rule file holds "No such rule"'),
        ("policies", "- {name: P, rules: [Write below etc], enabld: true}", "unknown field `enabld`"),
        ("policies", "a: [", "is not YAML"),
        ("rules", "- rule: [", "YAML"),
        ("rules", "\udcff", "is not UTF-8"),
    ],
)
async def test_each_kind_of_error_keeps_what_is_in_force(stage: Stage, file: str, text: str, told: str) -> None:
    """Be it in rules or in policies, in form or in content."""
    (getattr(stage, file) / "site.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    await stage.definitions.reload()
    assert told in stage.refused[0]
    assert "site.yaml" in stage.refused[0]
    assert list(stage.definitions.current.policies) == ["Files", "Spare"]


async def test_a_start_with_a_broken_file_uses_the_rest(stage: Stage) -> None:
    """Nothing older is in force then: the rules that are right are, and the wrong one is told until corrected."""
    (stage.rules / "site.yaml").write_text(rule("Good") + rule("Bad", "fd.nmae = x") + rule("Worse", "evt.type ="))
    stage.definitions = stage.again()
    await stage.definitions.start()
    assert {name: each.compiles for name, each in stage.definitions.current.rulebook.rules.items()} == {
        "Write below etc": True, "Good": True, "Bad": False, "Worse": False,
    }  # fmt: skip
    assert len(stage.definitions.current.errors) == 2
    (stage.rules / "site.yaml").write_text(rule("Good") + rule("Bad", "fd.nmae = x"))
    await stage.definitions.reload()
    assert (len(stage.definitions.current.errors), stage.refused) == (1, [])


async def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """One that the configuration names and that is not there."""
    store = StoreThread(SqliteStore(tmp_path / "store.sqlite"))
    files = DefinitionFiles((tmp_path / "absent.yaml",), (), tmp_path)
    definitions = Definitions(store, files, rule_loader.make, lambda: 1.0)
    await definitions.start()
    store.close()
    assert [str(problem) for problem in definitions.current.problems] == [
        f"absent.yaml: error: {tmp_path}/absent.yaml: can not be read: No such file or directory (LOAD_ERR_FILE_READ)"
    ]


async def test_files_of_one_name_are_told_apart(stage: Stage) -> None:
    """By as much of their directories as that takes."""
    (stage.rules / "syscall.yaml").write_text(rule("Mine"))
    await stage.definitions.reload()
    assert [file.name for file in stage.definitions.current.rulebook.files] == ["syscall.yaml", "rules/syscall.yaml"]


async def test_files_are_followed(stage: Stage) -> None:
    """A new file, then a changed one, are in force soon, without anybody asking."""
    stage.definitions = stage.again(0.05)
    watching = asyncio.create_task(stage.definitions.watch())
    (stage.rules / "site.yaml").write_text(rule("One"))
    await until(lambda: len(stage.rule_names) == 2)
    (stage.rules / "site.yaml").write_text(rule("One") + rule("Two"))
    await until(lambda: len(stage.rule_names) == 3)
    watching.cancel()


async def test_who_asks_need_not_wait(stage: Stage) -> None:
    """The files are looked at when asked for, however seldom they are otherwise."""
    stage.definitions = stage.again(3600)
    watching = asyncio.create_task(stage.definitions.watch())
    stage.definitions.look()
    await until(lambda: stage.rule_names == ["Write below etc"])
    watching.cancel()


async def test_a_switch_is_sealed_and_outlives_an_upgrade(stage: Stage) -> None:
    """Who, why, before and after; the shipped policy may gain rules and stays switched."""
    changed = await stage.definitions.enable("Spare", True, "ada", "audit")
    assert (changed.policy.enabled, changed.change and changed.change.who) == (True, "ada")
    [body] = await stage.sealed("policy")
    assert (body["about"], body["change"], body["who"], body["reason"]) == (["Spare"], "enable", "ada", "audit")
    assert body["before_hash"] != body["after_hash"]
    (stage.shipped / "syscall.yaml").write_text(ETC + rule("New"))
    (stage.shipped / "policies.yaml").write_text(SHIPPED.replace("Spare, rules: [", "Spare, rules: [New, "))
    stage.definitions = stage.again()
    await stage.definitions.start()
    policy = stage.definitions.current.policies["Spare"].policy
    assert (policy.enabled, policy.rules) == (True, ("New", "Write below etc"))


async def test_switching_to_what_already_is_changes_nothing(stage: Stage) -> None:
    """Nothing is recorded."""
    before = stage.changes
    await stage.definitions.enable("Files", True, "ada", "again")
    assert (stage.changes, await stage.sealed("policy")) == (before, [])


async def test_a_policy_is_made_replaced_and_deleted(stage: Stage) -> None:
    """Each step is sealed, the hashes follow each other, and a restart remembers what is left."""
    made = Policy("Mine", True, ("Write below etc",), scope=Scope(clusters=("c",)), severity=Severity.HIGH)
    await stage.definitions.put(made, "ada", "new")
    stage.now += 1
    await stage.definitions.put(replace(made, enabled=False), "bob", "noise")
    stage.definitions = stage.again()
    await stage.definitions.start()
    assert stage.definitions.current.policies["Mine"].policy == replace(made, enabled=False)
    assert await stage.definitions.remove("Mine", "ada", "not needed") is None
    assert "Mine" not in stage.definitions.current.policies
    bodies = await stage.sealed("policy")
    assert [body["change"] for body in bodies] == ["create", "replace", "delete"]
    hashes = [(body["before_hash"], body["after_hash"]) for body in bodies]
    assert hashes[0][0] == hashes[2][1] == ""
    assert (hashes[0][1], hashes[1][1]) == (hashes[1][0], hashes[2][0])


async def test_a_replaced_shipped_policy_is_reverted(stage: Stage) -> None:
    """Taking the change back brings the shipped one again."""
    await stage.definitions.put(Policy("Files", False, ("Write below etc",), "mine"), "ada", "ours")
    assert stage.definitions.current.policies["Files"].policy.origin == "api"
    left = await stage.definitions.remove("Files", "ada", "theirs is better")
    assert left is not None
    assert (left.policy.enabled, left.policy.origin, left.change) == (True, "shipped", None)
    assert (await stage.sealed("policy"))[-1]["change"] == "revert"


async def test_what_can_not_be_is_refused(stage: Stage) -> None:
    """Unknown policies, unknown rules, bad scopes, and nothing to take back; nothing is recorded."""
    definitions = stage.definitions
    with pytest.raises(KeyError):
        await definitions.enable("None", True, "ada", "x")
    with pytest.raises(NoChangeError):
        await definitions.remove("Files", "ada", "x")
    with pytest.raises(PolicyError, match=r'^rules: no rule file holds "No such rule"'):
        await definitions.put(Policy("P", True, ("No such rule",)), "ada", "x")
    with pytest.raises(PolicyError, match=r"^scope\.regions: "):
        await definitions.put(Policy("P", True, ("Write below etc",), scope=Scope(regions=("EU",))), "ada", "x")
    assert await stage.sealed("policy") == []


async def test_a_refused_file_does_not_hold_up_people(stage: Stage) -> None:
    """While it waits to be corrected policies can be changed, and the complaint stays."""
    (stage.rules / "site.yaml").write_text("- rule: [")
    await stage.definitions.reload()
    await stage.definitions.enable("Files", False, "ada", "quiet")
    assert not stage.definitions.current.policies["Files"].policy.enabled
    assert len(stage.refused) == 1


async def test_changes_at_once_are_all_kept(stage: Stage) -> None:
    """Ten people make ten policies while files are read again."""
    made = [Policy(f"P{number}", True, ("Write below etc",)) for number in range(10)]
    await asyncio.gather(*(stage.definitions.put(each, "ada", "x") for each in made), stage.definitions.reload())
    assert len(stage.definitions.current.policies) == 12
    assert len(await stage.sealed("policy")) == 10
