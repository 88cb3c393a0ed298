"""What people changed about policies, in the database; each change is sealed in the stream ``definitions``."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from aggregator.records import PolicyChange
from aggregator.store.chain import Chain
from aggregator.store.database import Database

STREAM = "definitions"

_encode = msgspec.json.Encoder().encode
_change = msgspec.json.Decoder(PolicyChange).decode


class Policies:
    """Every method but the reading one must be called inside a transaction."""

    def __init__(self, database: Database, chain: Chain) -> None:
        self._database = database
        self._chain = chain

    def all(self) -> list[PolicyChange]:
        return [_change(body) for (body,) in self._database.rows("SELECT body FROM policy ORDER BY name")]

    def keep(self, change: PolicyChange, sealed: Mapping[str, object]) -> None:
        self._database.write(
            "INSERT OR REPLACE INTO policy (name, body, who, at) VALUES (?, ?, ?, ?)",
            (change.name, _encode(change).decode(), change.who, change.at),
        )
        self._chain.append(STREAM, "policy", change.at, sealed)

    def drop(self, name: str, at: float, sealed: Mapping[str, object]) -> None:
        self._database.write("DELETE FROM policy WHERE name = ?", (name,))
        self._chain.append(STREAM, "policy", at, sealed)
