"""Templates, and how values read in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

import watchkeeper
from aggregator.api.authentication import has_session
from aggregator.api.context import Context
from aggregator.evidence import about

HERE = Path(__file__).parent
STATIC = HERE / "static"

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

STATUS_WORDS = {
    "pass": "Passes",
    "pass_with_exceptions": "Passes with exceptions",
    "partial": "Partly known",
    "not_assessed": "Not assessed",
    "fail": "Fails",
    "not_applicable": "Not applicable",
}
COUNTED_WORDS = STATUS_WORDS | {"pass": "hold", "pass_with_exceptions": "hold with exceptions", "fail": "fail"}
VERBS = {
    "executed": "ran",
    "written": "wrote",
    "sensitive_read": "read the sensitive file",
    "listening": "listened on",
    "outbound": "connected to",
    "capability": "used the capability",
}
CLASS_WORDS = {
    "executed": "Programs run",
    "written": "Files written",
    "sensitive_read": "Sensitive files read",
    "listening": "Ports listened on",
    "outbound": "Peers connected to",
    "capability": "Capabilities used",
}
ACTION_WORDS = {
    "acknowledge": "Acknowledged",
    "accept": "Accepted into the profile",
    "false_positive": "False positive",
    "fixed": "Fixed",
}
ORIGIN_WORDS = {
    "entrypoint": "the container's entry point",
    "exec_in": "entered from outside (exec)",
    "child": "child of a process of the container",
    "host": "process of the host",
}
STATE_WORDS = {
    "watched": "Watched",
    "degraded": "Degraded",
    "silent": "Silent",
    "never": "Never reported",
    "learning": "Learning",
    "learned": "Learned",
    "enabled": "Enabled",
    "disabled": "Disabled",
}
SOURCE_WORDS = {"syscall": "system calls", "k8s_audit": "Kubernetes audit", "aws_cloudtrail": "CloudTrail"}
POLICY_ORIGIN_WORDS = {"shipped": "shipped", "file": "from a file", "api": "made here"}


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render ``template``; the shell around it shows whether someone is logged in."""
    context: Context = request.app.state.context
    values = {
        "now": context.clock(),
        "path": request.url.path,
        "logged_in": has_session(request, context),
        "version": watchkeeper.__version__,
        **values,
    }
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(values), status)


def duration(seconds: float) -> str:
    """The largest unit only: ``3 h``."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def when(at: float, now: float) -> Markup:
    """Relative, with the absolute time behind it; the script keeps it current."""
    if at <= 0:
        return Markup("never")
    moment = datetime.fromtimestamp(at, UTC)
    # Clocks differ a little, and nothing is due within a second.
    relative = f"{duration(now - at)} ago" if now > at - 1 else f"in {duration(at - now)}"
    return Markup('<time datetime="{}" title="{}" data-at="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), absolute(at), f"{at:.0f}", relative
    )


def delay(seconds: float) -> str:
    """How long something took to arrive: milliseconds while they matter."""
    return f"{max(0.0, seconds) * 1000:.0f} ms" if seconds < 10 else duration(seconds)


def subjects(body: str) -> str:
    """What a sealed record is about."""
    return " · ".join(about(json.loads(body)))


def codes(text: str) -> Markup:
    """Marks what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def absolute(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: float) -> str:
    """Binary units, three significant digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def pretty(text: str) -> str:
    """Canonical JSON made readable."""
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def members(text: str) -> dict[str, Any]:
    """Of a JSON object, as an agent sent it; what is none is shown as it came."""
    try:
        found = json.loads(text)
    except ValueError:
        return {"output_fields": text}
    return found if isinstance(found, dict) else {"output_fields": text}


def short(digest: str) -> str:
    """Enough of a hash to tell it from others; with its algorithm's name cut off."""
    return digest.removeprefix("sha256:")[:12]


def share(part: float, whole: float) -> str:
    """In per cent, two significant digits below 10; nothing of nothing is a dash."""
    if whole <= 0:
        return "-"
    percent = 100 * part / whole
    if part and percent < 0.01:
        return "< 0.01 %"
    return f"{percent:.0f} %" if percent >= 10 or not part else f"{percent:.2g} %"


def number(count: float) -> str:
    return f"{count:,.0f}".replace(",", "\u202f")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        absolute=absolute,
        codes=codes,
        delay=delay,
        duration=duration,
        members=members,
        number=number,
        pretty=pretty,
        share=share,
        short=short,
        size=size,
        source_words=lambda source: SOURCE_WORDS.get(source, source),
        subjects=subjects,
        when=when,
    )
    environment.globals.update(
        counted_words=COUNTED_WORDS,
        status_words=STATUS_WORDS,
        verbs=VERBS,
        class_words=CLASS_WORDS,
        action_words=ACTION_WORDS,
        origin_words=ORIGIN_WORDS,
        state_words=STATE_WORDS,
        origin_of_policy=POLICY_ORIGIN_WORDS,
    )
    return environment


_ENVIRONMENT = _environment()
