"""Path generalisation: generated names fold, words and system directories never do."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.paths import LITERAL_DIRECTORIES, LONGEST, generalise

WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=10).filter(lambda w: not w.startswith("tmp"))
PLAIN = st.one_of(WORDS, WORDS.map(str.upper), WORDS.map(str.capitalize))
HEXADECIMAL = st.text("0123456789abcdef", min_size=6, max_size=64).filter(
    lambda t: any(c.isdigit() for c in t) and any(c.isalpha() for c in t)
)
NUMBERS = st.integers(0, 10**12).map(str)
DATES = st.dates().map(str)
UUIDS = st.uuids().map(str)
RANDOM = st.text(string.ascii_letters, min_size=1, max_size=4).flatmap(
    lambda a: st.tuples(NUMBERS, st.text(string.ascii_letters, min_size=1, max_size=4)).map(lambda p: a + p[0] + p[1])
)
GENERATED = st.one_of(HEXADECIMAL, NUMBERS, DATES, UUIDS)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/log/app-2026-11-23.log", "/var/log/app-*.log"),
        ("/proc/1234/oom_score_adj", "/proc/*/oom_score_adj"),
        ("/tmp/tmp.Xa8dK2", "/tmp/tmp.*"),
        ("/tmp/Xa8dK2", "/tmp/*"),
        ("/tmp/tmpab3k_2ed", "/tmp/tmp*"),
        ("/tmp/tmp.kQzRmWtpXa", "/tmp/tmp.*"),
        ("/tmp/dropped", "/tmp/dropped"),
        ("/data/worker12/song.mp3", "/data/worker*/song.mp3"),
        ("/var/lib/postgresql/16/main/base/16384/2619", "/var/lib/postgresql/*/main/base/*/*"),
        (
            "/run/secrets/kubernetes.io/serviceaccount/..2026_11_23_10_01_02.123456789/token",
            "/run/secrets/kubernetes.io/serviceaccount/..*/token",
        ),
        ("/cache/web-6d4cf56db6-bcdfg/x", "/cache/web-*/x"),
        ("/app/bin/python3.11", "/app/bin/python3.11"),
        ("/etc/passwd.123", "/etc/passwd.123"),
        ("/usr/src/app/logs/1.log", "/usr/src/app/logs/*.log"),
        ("/home/user/getURLForID.JavaScript", "/home/user/getURLForID.JavaScript"),
        ("/memfd:abc123 (deleted)", "/memfd:*"),
    ],
)
def test_known_shapes_fold_as_documented(path: str, expected: str) -> None:
    """Each documented shape gives exactly the documented result."""
    assert generalise(path) == expected


@given(st.text())
def test_any_text_is_accepted_folded_once_and_bounded(path: str) -> None:
    """Arbitrary text never fails, is not folded further by a second turn, and stays within the bound."""
    once = generalise("/" + path)
    assert generalise(once) == once
    assert len(once) <= LONGEST
    assert once.isprintable()


@given(st.text(st.characters(codec=None, categories=None), max_size=2000), st.integers(1, 40))
def test_long_and_undecodable_paths_are_bounded(text: str, times: int) -> None:
    """Lone surrogates and very long paths stay printable, bounded and stable."""
    once = generalise("/".join(["", *[text] * times]))
    assert len(once) <= LONGEST
    assert once.isprintable()
    assert generalise(once) == once


@given(st.lists(PLAIN, min_size=1, max_size=6), st.sampled_from(["", ".log", "-data", "_old"]))
def test_plain_words_never_become_wildcards(words: list[str], end: str) -> None:
    """Lower case, upper case and capitalised words stay as they are, with plain extensions too."""
    path = "/srv/" + "/".join(words) + end
    assert generalise(path) == path


@given(st.sampled_from(["", "app-", "tmp.", "a_"]), st.sampled_from(["", ".log", ".json"]), GENERATED, GENERATED)
def test_generated_siblings_fold_to_the_same(prefix: str, end: str, one: str, other: str) -> None:
    """Two names that differ only in a number, date, hexadecimal or UUID part are one path."""
    assert (
        generalise(f"/data/{prefix}{one}{end}") == generalise(f"/data/{prefix}{other}{end}") == f"/data/{prefix}*{end}"
    )


@given(RANDOM)
def test_random_suffixes_fold(suffix: str) -> None:
    """mktemp's suffixes with letters and digits mixed fold and leave the prefix."""
    assert generalise(f"/data/tmp.{suffix}") == "/data/tmp.*"


@given(st.sampled_from(LITERAL_DIRECTORIES), st.lists(st.one_of(GENERATED, RANDOM, PLAIN), min_size=1, max_size=5))
def test_system_directories_are_literal(directory: str, parts: list[str]) -> None:
    """Nothing below a system directory is folded, however generated it looks."""
    path = "/".join([directory, *parts])
    assert generalise(path) == path
