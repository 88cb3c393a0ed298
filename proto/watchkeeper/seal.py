"""The hash chain of spooled records, as uplink.proto documents it."""

from __future__ import annotations

import hashlib

GENESIS = bytes(32)  # stands for the record before the first


def record_hash(previous_hash: bytes, sequence: int, kind: str, payload: bytes) -> bytes:
    """SHA-256 of previous_hash | sequence (8 bytes, big endian) | kind | 0x00 | payload."""
    digest = hashlib.sha256(previous_hash)
    digest.update(sequence.to_bytes(8, "big"))
    digest.update(kind.encode())
    digest.update(b"\0")
    digest.update(payload)
    return digest.digest()
