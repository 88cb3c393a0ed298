"""Profiles of many nodes become one, and behaviours are accepted into it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aggregator.profiles import Delta, accept, expire, merge, profile_hash, profile_id
from aggregator.records import MergedProfile
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileEntry, ProfileKey, ProfileState

KEY = ProfileKey("c", "ns", "Deployment/web", "web", "sha256:1")
LS, CURL, SH = (Behaviour(BehaviourClass.EXECUTED, "/bin/sh", name) for name in ("/bin/ls", "/bin/curl", "/bin/sh"))

entries = st.builds(
    ProfileEntry, st.sampled_from([LS, CURL, SH]), st.floats(1, 100), st.floats(101, 200), st.just("learned")
)
deltas = st.builds(
    Delta, st.just(KEY), st.sampled_from(ProfileState), st.just(0.0), st.lists(entries, max_size=3).map(tuple),
    st.floats(0, 200), st.floats(1, 200),
)  # fmt: skip


def learned(*behaviours: Behaviour) -> MergedProfile:
    known = tuple(ProfileEntry(behaviour, 10.0, 20.0) for behaviour in sorted(behaviours))
    return MergedProfile(KEY, ProfileState.LEARNED, known, 60.0, 10.0, 20.0)


def test_the_first_delta_makes_the_profile() -> None:
    """Without a profile the delta is it."""
    entry = ProfileEntry(LS, 5.0, 6.0)
    merged = merge(None, Delta(KEY, ProfileState.LEARNING, 30.0, (entry,), 6.0, at=9.0))
    assert merged == MergedProfile(KEY, ProfileState.LEARNING, (entry,), 30.0, 5.0, 6.0)


def test_merging_unites_entries_and_times() -> None:
    """Union of behaviours, earliest and latest sight of each, sum of the time watched, learned wins."""
    delta = Delta(KEY, ProfileState.LEARNING, 5.0, (ProfileEntry(LS, 3.0, 15.0), ProfileEntry(CURL, 30.0, 31.0)), 31.0)
    assert merge(learned(LS), delta) == MergedProfile(
        KEY, ProfileState.LEARNED, (ProfileEntry(CURL, 30.0, 31.0), ProfileEntry(LS, 3.0, 20.0)), 65.0, 3.0, 31.0
    )


@given(st.lists(deltas, min_size=1, max_size=5), st.randoms())
def test_the_order_of_merging_does_not_matter(some: list[Delta], random: object) -> None:
    """Nodes report in any order, and twice, and the profile is the same."""
    shuffled = [*some, *some]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def all_of(order: list[Delta]) -> MergedProfile:
        merged = None
        for delta in order:
            merged = merge(merged, replace(delta, at=0.5))
        assert merged is not None
        return merged

    one, other = all_of(some), all_of(shuffled)
    assert (one.state, one.entries, one.last_novelty_at, profile_hash(one)) == (
        other.state, other.entries, other.last_novelty_at, profile_hash(other),
    )  # fmt: skip


def test_accepting_records_who_why_and_until_when() -> None:
    """A new behaviour gets in as accepted; a learned one stays learned."""
    accepted = accept(learned(LS), [CURL, LS], "ada", "nightly job", 500.0, at=100.0)
    assert accepted.entries == (
        ProfileEntry(CURL, 100.0, 100.0, "accepted", "ada", "nightly job", 500.0),
        ProfileEntry(LS, 10.0, 20.0),
    )


def test_an_acceptance_ends() -> None:
    """At its end the behaviour is no longer part of the profile; what has no end stays."""
    accepted = accept(accept(learned(LS), [CURL], "ada", "", 500.0), [SH], "ada", "", 0.0)
    assert expire(accepted, 499.9) is accepted
    assert {entry.behaviour for entry in expire(accepted, 500.0).entries} == {LS, SH}


def test_a_profile_is_named_by_its_whole_key() -> None:
    """16 hex digits; fields do not run into each other."""
    assert len(profile_id(KEY)) == 16
    assert profile_id(replace(KEY, namespace="nsD", workload="eployment/web")) != profile_id(KEY)
    assert profile_id(replace(KEY)) == profile_id(KEY)
