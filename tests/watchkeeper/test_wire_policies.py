"""Rules and policies survive the wire whole, or are refused by name."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper import wire
from watchkeeper.findings import Severity
from watchkeeper.policies import DetectionSet, Policy, RuleFile, Scope
from watchkeeper.v1 import uplink_pb2 as pb
from watchkeeper.wire_policies import MAX_NAMED, MAX_POLICIES, MAX_RULE_FILES, MAX_RULE_TEXT

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
lists = st.lists(names, max_size=4).map(tuple)
scopes = st.builds(Scope, lists, lists, st.lists(st.tuples(names, texts), max_size=3).map(tuple), lists, lists)
policies = st.builds(
    Policy, names, st.booleans(), lists, texts, scopes, st.sampled_from([(), ("alert",)]),
    st.none() | st.sampled_from(Severity), texts,
)  # fmt: skip
files = st.builds(RuleFile, names, texts)
sets = st.builds(DetectionSet, st.lists(files, max_size=3).map(tuple), st.lists(policies, max_size=3).map(tuple))
POLICY = Policy("p", True, ("r",))


@given(sets)
def test_a_detection_set_survives_the_wire(detection: DetectionSet) -> None:
    """It comes out as it went in, so that both sides compute one hash."""
    message = pb.DetectionSet.FromString(wire.detection_set_message(detection).SerializeToString())
    received = wire.detection_set(message)
    assert received == detection
    assert received.hash == detection.hash


@given(sets, sets)
def test_sets_that_differ_have_other_hashes(one: DetectionSet, other: DetectionSet) -> None:
    """And equal ones the same."""
    assert (one.hash == other.hash) == (one == other)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_set_or_a_wire_error(payload: bytes) -> None:
    """Nothing else is raised, and what is taken can be sent on."""
    try:
        received = wire.detection_set(wire.parse(pb.DetectionSet, payload))
    except wire.WireError as error:
        assert ":" in str(error)
    else:
        assert wire.detection_set(wire.detection_set_message(received)) == received


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        (DetectionSet((RuleFile("", "x"),)), "file.name: is empty"),
        (DetectionSet((RuleFile("a", "x" * (MAX_RULE_TEXT + 1)),)), "detection.files: characters: 8388609 are more"),
        (DetectionSet((RuleFile("a", ""),) * (MAX_RULE_FILES + 1)), "detection.files: 1025 are more than 1024"),
        (DetectionSet(policies=(POLICY,) * (MAX_POLICIES + 1)), "detection.policies: 1025 are more than 1024"),
        (DetectionSet(policies=(replace(POLICY, name=""),)), "policy.name: is empty"),
        (DetectionSet(policies=(replace(POLICY, name="x" * 4097),)), "policy.name: characters: 4097 are more"),
        (DetectionSet(policies=(replace(POLICY, rules=("r",) * (MAX_NAMED + 1)),)), "policy: names: 16385 are more"),
        (DetectionSet(policies=(replace(POLICY, rules=("",)),)), "policy: names: is empty"),
        (DetectionSet(policies=(replace(POLICY, scope=Scope(labels=(("", "v"),))),)), "policy: names: is empty"),
        (DetectionSet(policies=(replace(POLICY, actions=("explode",)),)), "policy.actions: 'explode' is none of alert"),
        (DetectionSet(policies=(replace(POLICY, description="d" * 4097),)), "policy.description: characters: 4097"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(detection: DetectionSet, message: str) -> None:
    """Never cut: that would be another set."""
    with pytest.raises(wire.WireError, match="^" + re.escape(message)):
        wire.detection_set_message(detection)


def test_a_wrong_severity_is_refused() -> None:
    """By the side that receives it."""
    with pytest.raises(wire.WireError, match=r"policy\.severity: 'urgent' is none of critical"):
        wire.detection_set(pb.DetectionSet(policies=[pb.Policy(name="p", severity="urgent")]))


def test_text_that_is_not_unicode_is_refused() -> None:
    """A lone surrogate can not be sent."""
    with pytest.raises(wire.WireError, match=r"^detection: "):
        wire.detection_set_message(DetectionSet((RuleFile("a", "\udcff"),)))


def test_no_detection_is_told_from_an_empty_one() -> None:
    """Absent means nothing new, empty means: run no rules."""
    assert not pb.Configuration().HasField("detection")
    message = pb.Configuration(detection=wire.detection_set_message(DetectionSet()))
    assert pb.Configuration.FromString(message.SerializeToString()).HasField("detection")
