"""Secrets an operator hands to a node: a token or a client certificate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def new_node_token(settings: Any, node: str) -> str:
    """Make and store a token; only its hash stays in the aggregator's state."""
    from aggregator.identity import issue_token
    from aggregator.store.sqlite import SqliteStore

    store = SqliteStore(settings.state_directory / "store.sqlite")
    try:
        return issue_token(store, node)
    finally:
        store.close()


def issue_certificate(settings: Any, node: str, out: Path, days: int) -> list[Path]:
    """Write NODE's certificate, its key and the CA's certificate into ``out``."""
    from aggregator.authority import Authority

    authority = Authority(settings.state_directory)
    certificate, key = authority.issue_client(node, days)
    out.mkdir(parents=True, exist_ok=True)
    files = {out / "tls.crt": certificate, out / "tls.key": key, out / "ca.crt": authority.ca_pem}
    for path, content in files.items():
        write_secret(path, content.decode())
    return list(files)


def write_secret(path: Path, content: str) -> None:
    """Create or replace a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
