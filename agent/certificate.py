"""When a certificate ends, read without a cryptography library: the agent has to stay small."""

from __future__ import annotations

import binascii
import datetime
from pathlib import Path


def expires_at(path: Path) -> float:
    """Unix time at which the first certificate in a PEM file ends. ValueError: it holds none; OSError as usual."""
    text = path.read_text(encoding="ascii", errors="replace")
    _, begun, rest = text.partition("-----BEGIN CERTIFICATE-----")
    encoded, ended, _ = rest.partition("-----END CERTIFICATE-----")
    if not begun or not ended:
        raise ValueError("holds no PEM certificate")
    return _not_after(binascii.a2b_base64(encoded))


def _not_after(certificate: bytes) -> float:
    """Certificate ::= SEQUENCE { SEQUENCE { [0] version?, serial, algorithm, issuer, validity, … }, … } (RFC 5280)."""
    _, body, _ = _element(certificate, 0)
    _, fields, _ = _element(body, 0)
    tag, _, position = _element(fields, 0)
    for _ in range(3 if tag == 0xA0 else 2):  # version is optional
        _, _, position = _element(fields, position)
    _, validity, _ = _element(fields, position)
    _, _, position = _element(validity, 0)
    tag, moment, _ = _element(validity, position)
    text = moment.decode("ascii")
    # UTCTime (0x17) has two digits of the year, of 1950 to 2049.
    century = "" if tag != 0x17 else "19" if text >= "50" else "20"
    return datetime.datetime.strptime(century + text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC).timestamp()


def _element(data: bytes, position: int) -> tuple[int, bytes, int]:
    """The DER element at ``position``: its tag, its content and where the next begins."""
    try:
        tag, length, position = data[position], data[position + 1], position + 2
    except IndexError:
        raise ValueError("holds a certificate that is cut short") from None
    if length & 0x80:
        size = length & 0x7F
        length, position = int.from_bytes(data[position : position + size], "big"), position + size
    if position + length > len(data):
        raise ValueError("holds a certificate that is cut short")
    return tag, data[position : position + length], position + length
