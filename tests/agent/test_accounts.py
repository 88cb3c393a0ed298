"""Names of users and groups, read through the root of a process."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from agent import accounts
from agent.accounts import FRESH_SECONDS, Accounts
from watchkeeper.findings import Container

WEB = Container(id="web")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:Web,,,:/var/www:/usr/sbin/nologin\nalso:x:33:33::/:/bin/sh\n"


class Place:
    """A /proc of its own with one process; its root is a plain directory."""

    def __init__(self, proc: Path) -> None:
        self.now = 0.0
        self.proc = proc
        self.etc = self.root(7) / "etc"
        self.etc.mkdir(parents=True)
        self.accounts = Accounts(proc, lambda: self.now)

    def root(self, pid: int) -> Path:
        return self.proc / str(pid) / "root"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_names_of_a_container(place: Place) -> None:
    """Users have name, home and shell, groups a name; of two users with one id the first counts."""
    (place.etc / "passwd").write_text(PASSWD)
    (place.etc / "group").write_text("root:x:0:\nwww-data:x:33:web\n")
    names = place.accounts(WEB, 7)
    assert (names.user(33), names.home(33), names.shell(33), names.group(33)) == (
        "web",
        "/var/www",
        "/usr/sbin/nologin",
        "www-data",
    )
    assert (names.user(5), names.home(5), names.shell(5), names.group(5)) == ("", "", "", "")


def test_changed_files_are_read_again_after_a_while(place: Place) -> None:
    """A new user is known some seconds later, and not before: names cost no file access for each event."""
    passwd = place.etc / "passwd"
    passwd.write_text(PASSWD)
    assert place.accounts(WEB, 7).user(34) == ""
    passwd.write_text(f"{PASSWD}mallory:x:34:34::/:/bin/sh\n")
    assert place.accounts(WEB, 7).user(34) == ""
    place.now = FRESH_SECONDS
    assert place.accounts(WEB, 7).user(34) == "mallory"


def test_names_outlive_the_process_they_were_read_from(place: Place) -> None:
    """When the process is gone, what is known stays; the next event's process is the one to read from."""
    (place.etc / "passwd").write_text(PASSWD)
    assert place.accounts(WEB, 7).user(33) == "web"
    place.now = FRESH_SECONDS
    assert place.accounts(WEB, 8).user(33) == "web"
    (place.root(9) / "etc").mkdir(parents=True)
    (place.root(9) / "etc" / "passwd").write_text("other:x:33:33::/:/bin/sh\n")
    place.now += FRESH_SECONDS
    assert place.accounts(WEB, 9).user(33) == "other"


def test_links_lead_nowhere(place: Place, tmp_path: Path) -> None:
    """A container that links its files, or its etc, to somewhere else learns nothing of the host's."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWD)
    (place.etc / "passwd").symlink_to(secret)
    assert place.accounts(WEB, 7).user(33) == ""
    (place.root(8)).mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (place.root(8) / "etc").symlink_to(tmp_path / "etc")
    assert place.accounts(Container(id="other"), 8).user(33) == ""


@pytest.mark.parametrize(
    "content", ["", "\0", "a:b", "a:x:-1:0:::", "a:x:٣:0::/:/bin/sh", ":" * 5000, "#root:x:0:0::/:/"]
)
def test_nonsense_names_nobody(place: Place, content: str) -> None:
    """Whatever stands in the file, asking does not fail."""
    (place.etc / "passwd").write_text(content)
    (place.etc / "group").write_text(content)
    names = place.accounts(WEB, 7)
    assert (names.user(0), names.group(0)) == ("", "")


def test_a_pipe_does_not_hold_the_agent_up(place: Place) -> None:
    """A named pipe in the file's place is passed over at once."""
    os.mkfifo(place.etc / "passwd")
    assert place.accounts(WEB, 7).user(0) == ""


def test_containers_are_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many containers are remembered; an older one's names are read again."""
    monkeypatch.setattr(accounts, "CONTAINERS", 2)
    (place.etc / "passwd").write_text(PASSWD)
    for number in range(5):
        assert place.accounts(Container(id=str(number)), 7).user(33) == "web"
    assert len(place.accounts) == 2


def test_the_host_itself() -> None:
    """The host's own names are those of this machine."""
    assert Accounts()(None, 1).user(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
