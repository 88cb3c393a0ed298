"""What literals mean for each type of field: text in, a value to compare with out. ValueError says what is wrong."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable

from rules.fields import Type

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_NETWORK = re.compile(r"[^/%]+/[0-9]{1,3}")


def text(literal: str) -> str:
    """Texts are C's: they end at the first NUL."""
    return literal.partition("\0")[0]


def integer(literal: str) -> int:
    """Decimal or hexadecimal."""
    if not _NUMBER.fullmatch(literal):
        raise ValueError(f"{literal} is not a valid number")
    sign = -1 if literal.startswith("-") else 1
    digits = literal.lstrip("+-")
    return sign * int(digits, 16 if digits[:2].lower() == "0x" else 10)


def boolean(literal: str) -> bool:
    if literal not in ("true", "false"):
        raise ValueError(f"unrecognized boolean value {literal}")
    return literal == "true"


def port(literal: str) -> int:
    """A number, or the name of a service as this machine's services file has it."""
    if re.fullmatch("[0-9]+", literal):
        return int(literal)
    try:
        return socket.getservbyname(literal)
    except (OSError, ValueError, UnicodeError):
        raise ValueError(f"unrecognized protocol {literal}") from None


def address(literal: str) -> Address:
    try:
        return ipaddress.IPv4Address(literal) if "." in literal and ":" not in literal else _address6(literal)
    except ValueError:
        raise ValueError(f"unrecognized IP address {literal}") from None


def network(literal: str) -> Network:
    """CIDR; bits of the host's part do not count."""
    try:
        if _NETWORK.fullmatch(literal):
            return ipaddress.ip_network(literal, strict=False)
    except ValueError:
        pass  # told below, in one way
    raise ValueError(f"unrecognized IP network {literal}")


def octets(literal: str) -> bytes:
    return literal.encode("utf-8", "surrogatepass")


def hexadecimal(literal: str) -> bytes:
    try:
        return bytes.fromhex(literal)
    except ValueError:
        raise ValueError(f"{literal} is not a hexadecimal string") from None


def _address6(literal: str) -> ipaddress.IPv6Address:
    if "%" in literal:
        raise ValueError(literal)
    return ipaddress.IPv6Address(literal)


READERS: dict[Type, Callable[[str], object]] = {
    Type.STRING: text,
    Type.PATH: text,
    Type.INTEGER: integer,
    Type.BOOLEAN: boolean,
    Type.PORT: port,
    Type.ADDRESS: address,
    Type.NETWORK: network,
    Type.BYTES: octets,
    Type.TIME: integer,
    Type.DURATION: integer,
}
