"""Dashboard sessions: signed cookies, log-out, and a limit on guesses at the log-in form."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

COOKIE = "watchkeeper_session"
LIFETIME = 12 * 3600.0

_FREE_GUESSES = 5
_FIRST_PAUSE = 30.0
_LONGEST_PAUSE = 900.0
_REMEMBERED = 4096


class Sessions:
    """Cookies of the form ``expiry.nonce.signature``; the key covers the token, so a new token ends all of them."""

    def __init__(self, key: str, token: str) -> None:
        self._key = hashlib.sha256(f"{key}\0{token}".encode()).digest()
        self._ended: dict[str, float] = {}

    def begin(self, now: float) -> str:
        """A new session's cookie value."""
        content = f"{int(now + LIFETIME)}.{secrets.token_urlsafe(12)}"
        return f"{content}.{self._signature(content)}"

    def is_valid(self, cookie: str, now: float) -> bool:
        content, _, signature = cookie.rpartition(".")
        if not content or not hmac.compare_digest(signature.encode(), self._signature(content).encode()):
            return False
        return float(content.partition(".")[0]) > now and content not in self._ended

    def end(self, cookie: str, now: float) -> None:
        """The cookie is no longer good, wherever else it may be kept."""
        self._ended = {content: expiry for content, expiry in self._ended.items() if expiry > now}
        if self.is_valid(cookie, now):
            content = cookie.rpartition(".")[0]
            self._ended[content] = float(content.partition(".")[0])

    def _signature(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class _Guesses:
    failed: int = 0
    blocked_until: float = 0.0


class GuessLimit:
    """Lets an address guess five times, then makes it wait, twice as long each further time (up to 15 min)."""

    def __init__(self) -> None:
        self._guesses: dict[str, _Guesses] = {}

    def wait_seconds(self, address: str, now: float) -> float:
        """0: may try now."""
        guesses = self._guesses.get(address)
        return max(0.0, guesses.blocked_until - now) if guesses else 0.0

    def failed(self, address: str, now: float) -> None:
        if address not in self._guesses and len(self._guesses) >= _REMEMBERED:
            del self._guesses[next(iter(self._guesses))]
        guesses = self._guesses.setdefault(address, _Guesses())
        guesses.failed += 1
        if guesses.failed >= _FREE_GUESSES:
            pause = _FIRST_PAUSE * 2 ** min(guesses.failed - _FREE_GUESSES, 10)
            guesses.blocked_until = now + min(pause, _LONGEST_PAUSE)

    def succeeded(self, address: str) -> None:
        self._guesses.pop(address, None)
