"""Every noun survives the wire; what is not one is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper import wire
from watchkeeper.findings import (
    Behaviour,
    BehaviourClass,
    Container,
    Finding,
    FindingRepeat,
    Inventory,
    Process,
    Profile,
    ProfileDelta,
    ProfileEntry,
    ProfileKey,
    ProfileState,
    Severity,
)
from watchkeeper.v1 import uplink_pb2 as pb

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
times = st.floats(0, 1e11)
ids = st.text("0123456789abcdef", min_size=32, max_size=32)
pairs = st.dictionaries(texts, texts, max_size=4).map(lambda found: tuple(sorted(found.items())))
lists = st.lists(texts, max_size=5).map(tuple)
keys = st.builds(ProfileKey, names, texts, names, texts, texts)
behaviours = st.builds(Behaviour, st.sampled_from(BehaviourClass), texts, texts)
entries = st.builds(ProfileEntry, behaviours, times, times, names, texts, texts, times)
containers = st.builds(Container, names, *[texts] * 7, pairs, times, texts, texts)
processes = st.builds(
    Process, st.integers(0, 2**32 - 1), texts, lists, texts, st.integers(0, 2**32 - 1), st.integers(-1, 2**40), texts,
    lists, texts,
)  # fmt: skip
findings = st.builds(
    Finding, ids, names, names, names, st.sampled_from(Severity), names, times, times, st.none() | keys,
    st.none() | behaviours, st.none() | containers, st.none() | processes, pairs,
)  # fmt: skip
deltas = st.builds(
    ProfileDelta, keys, st.sampled_from(ProfileState), times, st.lists(entries, max_size=4).map(tuple), times
)
repeats = st.builds(FindingRepeat, ids, st.integers(1, 2**53), times)
inventories = st.builds(Inventory, times, st.lists(containers, max_size=4).map(tuple))
profiles = st.builds(
    Profile, keys, st.sampled_from(ProfileState), st.lists(entries, max_size=4).map(tuple), texts, texts
)

FINDING = Finding("0" * 32, "n1", "drift", "t", Severity.HIGH, "f", 1.0, 2.0)


@given(findings | deltas | repeats | inventories)
def test_a_packed_noun_unpacks_to_itself(noun: wire.Noun) -> None:
    """Findings, repeats, deltas and inventories come out as they went in."""
    assert wire.unpack(*wire.pack(noun)) == noun


@given(profiles)
def test_a_profile_survives_the_wire(profile: Profile) -> None:
    """A merged profile comes out of its serialised message as it went in."""
    assert wire.profile(pb.Profile.FromString(wire.profile_message(profile).SerializeToString())) == profile


@given(st.sampled_from(["finding", "finding_repeat", "profile_delta", "inventory", "?"]), st.binary(max_size=200))
def test_arbitrary_bytes_are_a_noun_or_a_wire_error(kind: str, payload: bytes) -> None:
    """No payload raises anything but WireError."""
    try:
        noun = wire.unpack(kind, payload)
    except wire.WireError as error:
        assert ":" in str(error)
    else:
        assert wire.pack(noun)[0] == kind


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "xyz"}, "finding.id: 'xyz' is not 32 hexadecimal digits"),
        ({"severity": "urgent"}, "finding.severity: 'urgent' is none of critical, high, medium, low, info"),
        ({"node": ""}, "finding.node: is empty"),
        ({"occurred_at": float("nan")}, "finding.occurred_at: nan is not a time"),
        ({"behaviour": pb.Behaviour(behaviour_class="sang")}, "behaviour.behaviour_class: 'sang' is none of executed"),
        ({"profile": pb.ProfileKey(workload="w")}, "profile.cluster: is empty"),
        ({"container": pb.Container(name="c")}, "container.id: is empty"),
    ],
)
def test_a_wire_error_names_the_field(change: dict[str, object], message: str) -> None:
    """A finding with one wrong field is refused with that field's name."""
    wrong = wire.finding_message(FINDING)
    for name, value in change.items():
        if isinstance(value, str | float):
            setattr(wrong, name, value)
        else:
            getattr(wrong, name).CopyFrom(value)
    with pytest.raises(wire.WireError, match="^" + message.replace("(", r"\(")):
        wire.unpack("finding", wrong.SerializeToString())


def test_an_unknown_kind_is_a_wire_error() -> None:
    """The message lists the kinds there are."""
    with pytest.raises(wire.WireError, match="kind: 'song' is none of finding, finding_repeat"):
        wire.unpack("song", b"")


def test_numbers_out_of_range_are_a_wire_error() -> None:
    """A process id below zero is refused before it is sent."""
    with pytest.raises(wire.WireError, match=r"^Finding: "):
        wire.pack(
            Finding("0" * 32, "n", "drift", "t", Severity.LOW, "f", 1.0, 1.0, process=Process(-1, "/bin/sh")),
        )


def test_bytes_that_are_not_text_are_shown_escaped() -> None:
    """A path with a byte that is not UTF-8 (a lone surrogate in Python) is sent readable."""
    process = wire.process(wire.process_message(Process(1, "/bin/\udcff")))
    assert process.executable == "/bin/\\udcff"


def test_a_boastful_process_is_cut_not_refused() -> None:
    """Overlong texts and lists end in an ellipsis on the way in and out."""
    boastful = Process(1, "x" * 9000, tuple("y" for _ in range(999)))
    sent = wire.process_message(boastful)
    assert (len(sent.executable), sent.executable[-1]) == (4096, "…")
    assert (len(sent.arguments), sent.arguments[-1]) == (256, "…")
    received = wire.process(pb.Process(pid=1, executable="x" * 9000, arguments=["y"] * 999, login_uid=-1))
    assert received == wire.process(sent)
