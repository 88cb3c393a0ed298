"""Secrets of the API in the state directory: the bearer token, and the key that signs dashboard sessions."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

TOKEN_FILE = "api-token"  # noqa: S105 - a file's name
SESSION_KEY_FILE = "session-key"


def kept_secret(path: Path) -> str:
    """The secret in ``path``; made at first use, readable by the owner only."""
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        known = ""
    return known or _made(path)


def equal(given: str, expected: str) -> bool:
    """Compare in time that tells nothing of where they differ, nor of the expected one's length."""
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())


def _made(path: Path) -> str:
    secret = secrets.token_urlsafe(32)
    # Written beside and renamed: a reader (the demo waits for the file) never sees half of it.
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(descriptor)
    draft.rename(path)
    return secret
