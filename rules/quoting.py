"""Quotes in conditions: undoing escapes, and putting quotes around what needs them."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"(?:\\x[0-9a-fA-F]{2})+|\\(.)", re.DOTALL)
_MEANINGS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "\\": "\\", "/": "/", " ": "\\"}


def end_of_quoted(text: str, start: int) -> int:
    """Where the quoted text that begins at ``start`` has its closing quote; -1: nowhere."""
    quote = text[start]
    end = text.find(quote, start + 1)
    while end > 0 and text[end - 1] == "\\":
        end = text.find(quote, end + 1)
    return end


def unescape(body: str, quote: str) -> str:
    """The text that stands between two ``quote`` marks, its escapes undone. Bytes written as ``\\xHH`` are UTF-8; what
    is not becomes a surrogate, as in the names of files. Raises ValueError for an escape that does not exist."""

    def meaning(match: re.Match[str]) -> str:
        letter = match[1]
        if letter is None:
            return bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "surrogateescape")
        if letter == quote:
            return quote
        if letter not in _MEANINGS:
            raise ValueError(f"there is no escape {match[0]!r} in text quoted by {quote}")
        return _MEANINGS[letter]

    return _ESCAPE.sub(meaning, body)


def quoted_if_blank(item: str) -> str:
    """An item of a list or of an exception as it is put into a condition: quoted if it has a space and no quote yet."""
    return f'"{item}"' if " " in item and item[0] not in "\"'" else item
