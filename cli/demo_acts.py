"""The demo's cast: an image of a small web shop with a hole in it, and what the intruder does through the hole.

The shop is busybox httpd with one CGI script that passes the visitor's text to ``eval``. The intruder
never enters through the runtime: the acts are HTTP requests, as they would be.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

IMAGE = "watchkeeper.local/shop:1"
NAMESPACE = "demo"
POD = "shop"
CONTAINER = "web"
LABELS = {"app": "shop"}

LOOKUP = """#!/bin/sh
echo "Content-Type: text/plain"
echo
read -r item
wget -q -O- "http://127.0.0.1:$SERVER_PORT/health"
date >> /var/log/shop.log
eval "echo looked up $item"
"""


def image_files() -> dict[str, tuple[bytes, int]]:
    """Files of the shop's image besides busybox: path -> (content, mode)."""
    return {
        "/www/cgi-bin/lookup": (LOOKUP.encode(), 0o755),
        "/www/health": (b"well\n", 0o644),
        "/var/log/shop.log": (b"", 0o644),
    }


def shop_command(port: int) -> list[str]:
    return ["/usr/sbin/httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", "/www"]


@dataclass(frozen=True, slots=True)
class Act:
    """``behaviour_class`` and a part of the object that the act's finding must name."""

    title: str
    injection: str
    behaviour_class: str
    object_part: str

    def found_by(self, finding: Mapping[str, Any]) -> bool:
        behaviours = finding.get("behaviours") or [finding.get("behaviour") or {}]
        return any(
            b.get("behaviour_class") == self.behaviour_class and self.object_part in b.get("object", "")
            for b in behaviours
        )


def acts(listen_port: int, out_port: int) -> tuple[Act, ...]:
    """The five acts. All stay on this machine: the outgoing connection goes to loopback."""
    return (
        Act(
            "runs a dropped binary",
            "cp /bin/busybox /tmp/busybox-x; /tmp/busybox-x true",
            "executed",
            "/tmp/busybox-x",  # noqa: S108 - a path inside the container
        ),
        Act(
            "opens a listening port",
            f"httpd -p 127.0.0.1:{listen_port} -h /tmp",
            "listening",
            f"tcp/{listen_port}",
        ),
        Act("writes below /etc", "echo '* * * * * root /tmp/x' > /etc/crontab", "written", "/etc/crontab"),
        Act("reads /etc/shadow", "read -r line < /etc/shadow", "sensitive_read", "/etc/shadow"),
        Act(
            "connects out",
            f"wget -q -O- http://127.0.0.2:{out_port}/",
            "outbound",
            f":{out_port}",
        ),
    )


def recorded_acts() -> tuple[Act, ...]:
    """The same acts when a recorded run is played: its ports are what they were."""
    return tuple(
        replace(act, object_part="loopback:" if act.behaviour_class == "outbound" else "tcp/")
        if act.behaviour_class in ("outbound", "listening")
        else act
        for act in acts(0, 0)
    )


def visit(port: int, text: str) -> str:
    """One visitor's request to the shop's look-up, whatever the text holds."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/cgi-bin/lookup", data=(text + "\n").encode())
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return str(response.read().decode(errors="replace"))
