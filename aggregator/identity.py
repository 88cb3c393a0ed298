"""Which node speaks: proven by a token or by a client certificate of our authority."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from aggregator.authority import NODE_URI
from aggregator.store.protocol import Store
from aggregator.store.thread import StoreThread

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_NO_HASH = "0" * 64  # compared with when there is none, so that unknown nodes take as long as known ones


class IdentityError(Exception):
    """Nobody proved who they are; the message says what is wrong and the remedy, and may be shown to them."""


class Call(Protocol):
    """Of a gRPC call: what the peer sent and what TLS proved."""

    def invocation_metadata(self) -> Any: ...

    def auth_context(self) -> Mapping[str, Iterable[bytes]]: ...


class Identity:
    def __init__(self, store: StoreThread) -> None:
        self._store = store

    async def of(self, call: Call) -> str:
        """The node a client certificate, else a token, was made for; IdentityError when neither proves one."""
        return _certified(call.auth_context()) or await self._by_token(_token(call.invocation_metadata()))

    async def _by_token(self, token: str) -> str:
        node, _, secret = token.rpartition(".")
        if not node or not secret:
            raise IdentityError("no token and no client certificate: set uplink.token_file or uplink.certificate_file")
        expected = await self._store.call("node_token_hash", node)
        if not hmac.compare_digest(expected or _NO_HASH, token_hash(secret)) or not expected:
            raise IdentityError("the token is not valid: make a new one for this node and give it to its agent")
        return node


def issue_token(store: Store, node: str) -> str:
    """Make a token for ``node``; the one it had before ends. ValueError: that is no name of a node."""
    if not _NAME.fullmatch(node):
        raise ValueError(f"{node!r} is no name of a node: use letters, digits, dots, dashes and underscores")
    secret = secrets.token_urlsafe(32)
    store.save_node_token_hash(node, token_hash(secret))
    return f"{node}.{secret}"


def token_hash(secret: str) -> str:
    # A plain hash is enough: the secret has 256 random bits.
    return hashlib.sha256(secret.encode()).hexdigest()


def _certified(proven: Mapping[str, Iterable[bytes]]) -> str:
    for name in proven.get("x509_subject_alternative_name", ()):
        text = name.decode(errors="replace")
        if text.startswith(NODE_URI):
            return text.removeprefix(NODE_URI)
    return ""


def _token(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str) and value.startswith("Bearer "):
            return value.removeprefix("Bearer ").strip()
    return ""
