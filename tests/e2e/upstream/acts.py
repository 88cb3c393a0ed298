"""Which act makes which upstream rule fire, as data: what is run, in which container, and fields the hit must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ACTOR = "/actors/actor"
OUTSIDE = "203.0.113.7"  # of the documentation's network; an address of a network namespace that the act makes
METADATA = "169.254.169.254"  # likewise
API_SERVER = "127.0.0.77"
PORT = "39417"

PLAIN, PRIVILEGED, TERMINAL, HOST, START = "plain", "privileged", "terminal", "host", "start"

# Programs that are called as the rules expect; each is a copy of the actor.
NAMES = (
    "actor", "apk", "debugfs", "java", "kubectl", "nc", "nginx", "nmap", "npm", "perl", "pkexec", "postgres", "rsync",
    "sh", "shred", "ssh", "sshd", "sudo", "useradd", "wget", "xmrig",
)  # fmt: skip

FILES: Mapping[str, tuple[bytes, int]] = {
    "/etc/apt/sources.list.d/vendor.list": (b"", 0o644),
    "/host/etc": (b"", 0o644),
    "/lib/liblzma.so.5.6.1": (b"", 0o644),
    "/root/.bash_history": (b"", 0o644),
    "/root/.ssh/id_rsa": (b"", 0o600),
    "/tmp/tool": (b"", 0o644),
    "/usr/bin/tool": (b"", 0o755),
    "/var/lib/rpm/Packages": (b"", 0o644),
    "/var/log/syslog": (b"", 0o644),
}


@dataclass(frozen=True, slots=True)
class Act:
    """``where``: the container it happens in, or HOST; START: starting the containers is the act. ``call``: a system
    call that some kernels are built without."""

    rule: str
    command: Sequence[str]
    where: str = PLAIN
    fields: Mapping[str, object] = field(default_factory=dict)
    call: str = ""


def _actor(*words: str, name: str = "actor") -> list[str]:
    return [f"/actors/{name}", *words]


STABLE = (
    Act("Directory traversal monitored file read", _actor("read", "/var/../etc/../etc/shadow"),
        fields={"fd.name": "/etc/shadow", "fd.nameraw": "/var/../etc/../etc/shadow", "proc.name": "actor"}),
    Act("Read sensitive file trusted after startup", _actor("sleep", "5.6", "read", "/etc/shadow", name="nginx"),
        fields={"fd.name": "/etc/shadow", "proc.name": "nginx", "proc.exepath": "/actors/nginx"}),
    Act("Read sensitive file untrusted", ["cat", "/etc/shadow"],
        fields={"fd.name": "/etc/shadow", "proc.name": "cat", "proc.cmdline": "cat /etc/shadow", "user.name": "root"}),
    Act("Run shell untrusted", _actor("fork", "run", "/bin/sh", "-c", "exit", name="nginx"),
        fields={"proc.name": "sh", "proc.pname": "nginx", "evt.type": "execve"}),
    Act("System user interactive", _actor("fork", "setuid", "65534", "run", "/bin/sh", "-c", "exit", name="sshd"),
        fields={"user.name": "nobody", "user.uid": 65534, "proc.name": "sh", "proc.pname": "sshd"}),
    Act("Terminal shell in container", (), TERMINAL, {"proc.name": "sh", "proc.cmdline": "sh"}),
    Act("Contact K8S API Server From Container", _actor("connect", API_SERVER, PORT),
        fields={"fd.rport": int(PORT), "fd.l4proto": "tcp", "proc.name": "actor"}),
    Act("Netcat Remote Code Execution in Container", _actor("nothing", "-e", name="nc"),
        fields={"proc.cmdline": "nc nothing -e"}),
    Act("Search Private Keys or Passwords", ["find", "/etc", "-name", "id_rsa"],
        fields={"proc.cmdline": "find /etc -name id_rsa"}),
    Act("Clear Log Activities", _actor("truncate", "/var/log/syslog"), fields={"fd.name": "/var/log/syslog"}),
    Act("Remove Bulk Data from Disk", _actor("nothing", name="shred"), fields={"proc.name": "shred"}),
    Act("Create Symlink Over Sensitive Files", _actor("symlink", "/etc/shadow", "/tmp/s"),
        fields={"evt.arg.target": "/etc/shadow", "evt.arg.linkpath": "/tmp/s"}),
    Act("Create Hardlink Over Sensitive Files", _actor("link", "/etc/shadow", "/tmp/h"),
        fields={"evt.arg.oldpath": "/etc/shadow", "evt.arg.newpath": "/tmp/h"}),
    Act("Packet socket created in container", _actor("packet-socket"), fields={"evt.type": "socket"}),
    Act("Redirect STDOUT/STDIN to Network Connection in Container", _actor("redirect", PORT),
        fields={"evt.type": "dup2", "fd.sip": "127.0.0.1", "fd.rport": int(PORT), "fd.type": "ipv4"}),
    Act("Linux Kernel Module Injection Detected", _actor("load-module"), PRIVILEGED, {"evt.type": "finit_module"},
        "finit_module"),
    Act("Debugfs Launched in Privileged Container", _actor("nothing", name="debugfs"), PRIVILEGED,
        {"proc.name": "debugfs"}),
    Act("Detect release_agent File Container Escapes", _actor("write", "/tmp/release_agent"), PRIVILEGED,
        {"fd.name": "/tmp/release_agent"}),
    Act("PTRACE attached to process", _actor("attach"), fields={"evt.type": "ptrace"}),
    Act("PTRACE anti-debug attempt", _actor("trace-me"), fields={"evt.type": "ptrace"}),
    Act("Find AWS Credentials", ["grep", "aws_secret_access_key", "/etc/passwd"], fields={"proc.name": "grep"}),
    Act("Execution from /dev/shm", ["sh", "-c", "/dev/shm/program"], fields={"proc.name": "sh"}),
    Act("Drop and execute new binary in container", ["sh", "-c", f"cp {ACTOR} /tmp/dropped; /tmp/dropped nothing"],
        fields={"proc.exe": "/tmp/dropped", "proc.name": "dropped", "evt.arg.flags": "EXE_WRITABLE|EXE_UPPER_LAYER"}),
    Act("Disallowed SSH Connection Non Standard Port", _actor("connect-out", OUTSIDE, "8443", name="ssh"), PRIVILEGED,
        {"fd.rport": 8443, "proc.name": "ssh"}),
    Act("Fileless execution via memfd_create", _actor("fork", "from-memory", ACTOR), fields={"evt.type": "execveat"}),
)  # fmt: skip

FURTHER = (
    Act("Modify Shell Configuration File", _actor("write", "/root/.bashrc")),
    Act("Schedule Cron Jobs", _actor("write", "/etc/crontab")),
    Act("Read ssh information", _actor("read", "/root/.ssh/id_rsa")),
    Act("DB program spawned process", _actor("fork", "run", "/bin/ls", name="postgres")),
    Act("Change thread namespace", _actor("setns")),
    Act("Change namespace privileges via unshare", _actor("unshare")),
    Act("Launch Privileged Container", (), START),
    Act("Launch Excessively Capable Container", (), START),
    Act("System procs network activity", _actor("connect-out", OUTSIDE, "81", name="sh"), PRIVILEGED),
    Act("Program run with disallowed http proxy env",
        _actor("set", "HTTP_PROXY=http://127.0.0.1:1", "as", "wget", "nothing")),
    Act("Unexpected UDP Traffic", _actor("connect-udp-out", OUTSIDE, "4567"), PRIVILEGED),
    Act("Non sudo setuid", _actor("setuid", "65534", "setuid", "0")),
    Act("User mgmt binaries", _actor("nothing", name="useradd"), HOST),
    Act("Create files below dev", _actor("write", "/dev/strange")),
    Act("Contact EC2 Instance Metadata Service From Container", _actor("connect-out", METADATA, "80"), PRIVILEGED),
    Act("Contact cloud metadata service from container", _actor("connect-out", METADATA, "80"), PRIVILEGED),
    Act("Launch Package Management Process in Container", _actor("nothing", name="apk")),
    Act("Launch Suspicious Network Tool in Container", _actor("nothing", name="nmap")),
    Act("Launch Suspicious Network Tool on Host", _actor("nothing", name="nmap"), HOST),
    Act("Delete or rename shell history", _actor("unlink", "/root/.bash_history")),
    Act("Set Setuid or Setgid bit", _actor("chmod", "/tmp/tool", "4755")),
    Act("Launch Remote File Copy Tools in Container", _actor("nothing", name="rsync")),
    Act("Mount Launched in Privileged Container", ["mount", "none", "/nowhere"], PRIVILEGED),
    Act("Launch Ingress Remote File Copy Tools in Container", ["wget", "--help"]),
    Act("Read environment variable from /proc files", _actor("read", "/proc/1/environ")),
    Act("Exfiltrating Artifacts via Kubernetes Control Plane", ["tar", "cf", "/tmp/x.tar", "/tmp/tool"]),
    Act("Adding ssh keys to authorized_keys", _actor("write", "/root/.ssh/authorized_keys")),
    Act("Potential Local Privilege Escalation via Environment Variables Misuse",
        ["env", "GLIBC_TUNABLES=glibc.malloc.mxfast=glibc.malloc.mxfast=A", "true"]),
    Act("Backdoored library loaded into SSHD (CVE-2024-3094)", _actor("read", "/lib/liblzma.so.5.6.1", name="sshd")),
    Act("BPF Program Not Profiled", _actor("load-program"), PRIVILEGED),
    Act("Unexpected inbound connection source", _actor("connect-out", OUTSIDE, "82"), PRIVILEGED),
    Act("Read Shell Configuration File", _actor("write", "/root/.profile", "read", "/root/.profile")),
    Act("Update Package Repository", _actor("write", "/etc/apt/sources.list.d/vendor.list")),
    Act("Write below binary dir", _actor("write", "/usr/bin/strange")),
    Act("Write below monitored dir", _actor("write", "/lib/strange")),
    Act("Write below etc", _actor("write", "/etc/strange")),
    Act("Write below root", _actor("write", "/strange")),
    Act("Write below rpm database", _actor("write", "/var/lib/rpm/Packages")),
    Act("Modify binary dirs", _actor("rename", "/usr/bin/tool", "/usr/bin/other")),
    Act("Mkdir binary dirs", _actor("mkdir", "/usr/bin/directory")),
    Act("Launch Sensitive Mount Container", (), START),
    Act("Interpreted procs inbound network activity", _actor("connect-out", OUTSIDE, "83", name="perl"), PRIVILEGED),
    Act("Interpreted procs outbound network activity", _actor("connect-out", OUTSIDE, "83", name="perl"), PRIVILEGED),
    Act("Unexpected K8s NodePort Connection", _actor("connect-out", OUTSIDE, "30001"), PRIVILEGED),
    Act("Create Hidden Files or Directories", _actor("write", "/tmp/.hidden")),
    Act("Detect crypto miners using the Stratum protocol", ["echo", "stratum+tcp://pool:1"]),
    Act("Kubernetes Client Tool Launched in Container", _actor("nothing", name="kubectl")),
    Act("Container Drift Detected (chmod)", _actor("chmod", "/tmp/tool", "0755")),
    Act("Container Drift Detected (open+create)", _actor("create-program", "/tmp/new")),
    Act("Container Run as Root User", (), START),
    Act("Sudo Potential Privilege Escalation", _actor("nothing", "-s", "\\", name="sudo")),
    Act("Unprivileged Delegation of Page Faults Handling to a Userspace Process", _actor("setuid", "65534", "fault")),
    Act("Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)", _actor(name="pkexec")),
    Act("Java Process Class File Download", _actor("receive-class", PORT, name="java")),
    Act("Decoding Payload in Container", ["base64", "-d", "/etc/hostname"]),
    Act("Basic Interactive Reconnaissance", (), TERMINAL),
    Act("Netcat/Socat Remote Code Execution on Host", _actor("nothing", "-e", name="nc"), HOST),
    Act("Network Tool Executed During NPM Package Install",
        _actor("fork", "run", "/actors/nmap", "nothing", name="npm")),
    Act("Known Cryptominer Process Executed", _actor("nothing", name="xmrig")),
    Act("Web Server Spawned Shell", _actor("fork", "run", "/bin/sh", "-c", "exit", name="nginx")),
    Act("Web Server Spawned Suspicious Child Process", _actor("fork", "run", "/usr/bin/whoami", name="nginx")),
    Act("Reverse Shell from Web Server", _actor("fork", "run", "/bin/sh", "-c", ": bash -i", name="nginx")),
    Act("Privileged Container Device Access", _actor("write", "/dev/sd-strange")),
    Act("Container Access to Host Sensitive Paths", _actor("read", "/host/etc")),
)  # fmt: skip

# What no act can make fire here, and why.
UNREACHABLE = {
    "Network Connection outside Local Subnet": "its list of namespaces is empty until the user fills it",
    "Launch Disallowed Container": "its macro allows every container until the user overrides it",
    "Detect outbound connections to common miner pool ports": "needs the addresses of real mining pools by DNS",
    "Modify Container Entrypoint": "fd.name is what the kernel resolved: /proc/self/exe is the program's path",
}
