"""Learning: how it ends, what survives, what is inherited, what the fleet adds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import LearningSettings
from agent.profile import Profile, ancestor_of, inherit
from agent.profiles import FILE, Profiles
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileEntry, ProfileKey, ProfileState, behaviours_hash
from watchkeeper.findings import Profile as Pushed

KEY = ProfileKey("prod", "shop", "Deployment/web", "web", "sha256:1")
NEXT = ProfileKey("prod", "shop", "Deployment/web", "web", "sha256:2")
LEARNING = LearningSettings(minimum_seconds=60, decay_seconds=10, threshold=0.5)


def executed(name: str) -> Behaviour:
    return Behaviour(BehaviourClass.EXECUTED, "/app", name)


def learned(*names: str) -> Profile:
    profile = Profile(KEY)
    for name in names:
        profile.learn(executed(name), 5.0)
    profile.observe(100, LEARNING)
    assert profile.state is ProfileState.LEARNED
    return profile


def test_learning_needs_the_minimum_time() -> None:
    """Even without any novelty a profile is not learned before the minimum of watched time."""
    profile = Profile(KEY)
    assert [profile.observe(59.9, LEARNING), profile.observe(0.1, LEARNING)] == [False, True]
    assert profile.state is ProfileState.LEARNED


def test_learning_waits_for_novelty_to_decay() -> None:
    """New behaviour late in learning keeps it open until what is left of it is below the threshold."""
    profile = Profile(KEY)
    profile.observe(59, LEARNING)
    profile.learn(executed("/bin/a"), 59.0)
    assert profile.observe(6, LEARNING) is False  # exp(-0.6) = 0.55
    assert profile.observe(1, LEARNING) is True  # exp(-0.7) = 0.497


def test_learning_ends_at_the_maximum() -> None:
    """With a maximum, a workload that never stops being new is learned all the same."""
    settings = LearningSettings(minimum_seconds=10, decay_seconds=10, threshold=0.5, maximum_seconds=20)
    profile = Profile(KEY)
    states = []
    for second in range(20):
        profile.learn(executed(f"/bin/a{second}"), float(second))
        states.append(profile.observe(1, settings))
    assert states == [False] * 19 + [True]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=50))
def test_learned_is_final_and_never_early(steps: list[tuple[float, bool]]) -> None:
    """Whatever comes in whatever order: learned not before the minimum, and learned for good."""
    profile, was_learned = Profile(KEY), False
    for number, (seconds, new) in enumerate(steps):
        if new:
            profile.learn(executed(f"/bin/{number}"), 0.0)
        profile.observe(seconds, LEARNING)
        is_learned = profile.state is ProfileState.LEARNED
        assert is_learned >= was_learned
        assert not is_learned or profile.observed_seconds >= LEARNING.minimum_seconds
        was_learned = is_learned


def test_accepted_entry_ends_at_its_time() -> None:
    """An acceptance is known until valid_until and not from then on."""
    profile = learned()
    accepted = ProfileEntry(executed("/x"), 1.0, 1.0, "accepted", "ann", "migration", 50.0)
    profile.merge(Pushed(KEY, ProfileState.LEARNED, (accepted,)))
    assert [profile.knows(executed("/x"), now) for now in (49.9, 50.0)] == [True, False]


def test_withdrawn_acceptance_goes_with_the_next_push() -> None:
    """Accepted entries come from the fleet alone: one that is not in the push is gone, what was learned stays."""
    profile = learned("/bin/a")
    accepted = ProfileEntry(executed("/x"), 1.0, 1.0, "accepted", "ann", "migration")
    assert profile.merge(Pushed(KEY, ProfileState.LEARNED, (accepted,))) is True
    assert profile.merge(Pushed(KEY, ProfileState.LEARNED, ())) is True
    assert set(profile.entries) == {executed("/bin/a")}


def test_merge_is_a_union_and_learned_wins() -> None:
    """What another node learned is known here, the earliest and latest times are kept, and the hash follows."""
    profile = Profile(KEY)
    profile.learn(executed("/bin/a"), 10.0)
    pushed = (ProfileEntry(executed("/bin/a"), 3.0, 4.0), ProfileEntry(executed("/bin/b"), 5.0, 6.0))
    assert profile.merge(Pushed(KEY, ProfileState.LEARNED, pushed)) is True
    assert profile.state is ProfileState.LEARNED
    assert profile.entries[executed("/bin/a")] == ProfileEntry(executed("/bin/a"), 3.0, 10.0)
    assert profile.hash == behaviours_hash({executed("/bin/a"), executed("/bin/b")})
    assert profile.merge(Pushed(KEY, ProfileState.LEARNED, pushed)) is False


def test_learning_push_does_not_undo_learned() -> None:
    """A fleet that still learns leaves a learned profile learned."""
    profile = learned("/bin/a")
    profile.merge(Pushed(KEY, ProfileState.LEARNING, ()))
    assert profile.state is ProfileState.LEARNED


def test_new_digest_inherits_a_learned_profile_under_review() -> None:
    """Entries come along marked as inherited, the profile enforces at once, and the review is open until it settles."""
    heir = inherit(NEXT, learned("/bin/a"))
    assert (heir.state, heir.inherited_from, heir.in_review) == (ProfileState.LEARNED, "sha256:1", True)
    assert [entry.origin for entry in heir.entries.values()] == ["inherited"]
    assert heir.observe(59, LEARNING) is False
    assert heir.observe(1, LEARNING) is True
    assert heir.in_review is False


def test_new_digest_of_a_learning_profile_learns_on() -> None:
    """What was not learned yet is no measure for a review."""
    ancestor = Profile(KEY)
    ancestor.learn(executed("/bin/a"), 1.0)
    heir = inherit(NEXT, ancestor)
    assert (heir.state, heir.in_review, set(heir.entries)) == (ProfileState.LEARNING, False, {executed("/bin/a")})


def test_ancestor_is_the_newest_learned_digest_of_the_same_workload() -> None:
    """Another container, namespace or workload is no ancestor; learned comes before newer."""
    old, learning = learned("/bin/a"), Profile(ProfileKey("prod", "shop", "Deployment/web", "web", "sha256:9"))
    learning.learn(executed("/bin/b"), 99.0)
    stranger = Profile(ProfileKey("prod", "shop", "Deployment/web", "sidecar", "sha256:1"))
    stranger.learn(executed("/bin/c"), 999.0)
    assert ancestor_of(NEXT, [stranger, learning, old]) is old
    assert ancestor_of(NEXT, [stranger]) is None


def test_profiles_survive_a_kill_in_the_middle_of_learning(tmp_path: Path) -> None:
    """A second opening without any close (kill -9) has what was saved: entries, time, novelty, unreported ones."""
    profiles = Profiles(tmp_path)
    profile = profiles.of(KEY)
    profile.learn(executed("/bin/a"), 5.0)
    profile.observe(7, LEARNING)
    profiles.changed(KEY)
    assert profiles.save()
    assert Profiles(tmp_path).of(KEY) == profile
    assert profiles.failures == 0


def test_reported_entries_are_not_reported_again_after_a_restart(tmp_path: Path) -> None:
    """Only what the spool did not take is told again."""
    profiles = Profiles(tmp_path)
    profile = profiles.of(KEY)
    profile.learn(executed("/bin/a"), 5.0)
    profile.reported()
    profile.learn(executed("/bin/b"), 6.0)
    profiles.changed(KEY)
    profiles.close()
    assert set(Profiles(tmp_path).of(KEY).unreported) == {executed("/bin/b")}


def test_learned_profile_and_review_survive_a_restart(tmp_path: Path) -> None:
    """State, inheritance and what the review spoke of are as before."""
    profiles = Profiles(tmp_path)
    profile = profiles.of(KEY)
    profile.learn(executed("/bin/a"), 5.0)
    profile.observe(100, LEARNING)
    heir = profiles.of(NEXT)
    heir.review(executed("/bin/new"), 9.0)
    profiles.changed(KEY)
    profiles.close()
    again = Profiles(tmp_path)
    assert again.of(KEY).state is ProfileState.LEARNED
    assert (again.of(NEXT).in_review, again.of(NEXT).reviewed) == (True, {executed("/bin/new")})


def test_inheritance_finds_ancestors_that_are_not_in_memory(tmp_path: Path) -> None:
    """The old digest's containers ended and the agent was restarted: its profile still is inherited."""
    profiles = Profiles(tmp_path)
    profiles.merge(Pushed(KEY, ProfileState.LEARNED, (ProfileEntry(executed("/bin/a"), 1.0, 2.0),)))
    assert profiles.save()
    profiles.release(())
    assert profiles.live() == []
    assert profiles.of(NEXT).inherited_from == "sha256:1"


def test_unwritable_directory_is_counted_and_learning_goes_on(tmp_path: Path) -> None:
    """Without a file profiles live in memory; the failure is counted and its reason kept."""
    (tmp_path / "blocked").write_text("")
    profiles = Profiles(tmp_path / "blocked")
    profiles.of(KEY).learn(executed("/bin/a"), 5.0)
    assert profiles.save() is False
    profiles.release(())
    assert profiles.of(KEY).knows(executed("/bin/a"), 6.0)
    assert profiles.failures >= 2
    assert FILE in profiles.last_error


def test_full_disk_keeps_what_was_not_saved_for_later(tmp_path: Path) -> None:
    """A write that fails leaves the changes waiting; the next one writes them."""
    profiles = Profiles(tmp_path)
    database = profiles._database
    assert database is not None
    [pages] = database.execute("pragma page_count").fetchone()
    database.execute(f"pragma max_page_count = {pages}")
    profile = profiles.of(KEY)
    for number in range(3000):
        profile.learn(executed(f"/bin/{number:060}"), 5.0)
    assert profiles.save() is False
    assert "full" in profiles.last_error
    database.execute("pragma max_page_count = 100000")
    assert profiles.save() is True
    assert len(Profiles(tmp_path).of(KEY).entries) == 3000


def test_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    """A file that is no database is kept under another name, said, and a new one is begun."""
    (tmp_path / FILE).write_bytes(b"not a database" * 1000)
    profiles = Profiles(tmp_path)
    profiles.of(KEY)
    assert profiles.save() is True
    assert "moved to" in profiles.last_error
    [damaged] = tmp_path.glob("*.damaged-*")
    assert damaged.read_bytes().startswith(b"not a database")
    assert sqlite3.connect(tmp_path / FILE).execute("select count(*) from profiles").fetchone() == (1,)


@pytest.mark.parametrize("name", ["/tmp/a\\udc80", "/tmp/\u00e4", "'; drop table profiles; --"])
def test_any_name_is_saved_as_it_is(tmp_path: Path, name: str) -> None:
    """Names are data, whatever they hold."""
    profiles = Profiles(tmp_path)
    profiles.of(KEY).learn(executed(name), 5.0)
    assert profiles.save()
    assert set(Profiles(tmp_path).of(KEY).entries) == {executed(name)}
