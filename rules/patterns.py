"""Text patterns of the rule language as predicates over text: glob (fnmatch(3) without flags), regex, path prefixes.

Where the C library works on bytes these work on characters: ``?`` is one "é", not half of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import re2

Predicate = Callable[[str], object]
"""Its result counts for its truth only."""

NEVER = "(?!)"
CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": " \\t\\n\\r\\f\\v",
    "blank": " \\t",
    "punct": "!-/:-@\\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": "\\x00-\\x1f\\x7f",
    "xdigit": "0-9a-fA-F",
}
STAR = "*"
_WILD = re.compile(r"[?*\[]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def sanitised(text: str) -> str:
    """Without what no UTF-8 can hold (bytes that were not text come as lone surrogates): U+FFFD instead."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def lowered(text: str) -> str:
    """tolower(3) in the C locale: letters of ASCII only."""
    return text.lower() if text.isascii() else _octets(text).lower().decode("utf-8", "surrogatepass")


def raised(text: str) -> str:
    """toupper(3) in the C locale."""
    return text.upper() if text.isascii() else _octets(text).upper().decode("utf-8", "surrogatepass")


def glob(pattern: str, ignore_case: bool = False) -> Predicate:
    """Like fnmatch(3): ``*`` also matches ``/`` and a leading dot; ``\\`` takes the next character as it is."""
    flags = re.DOTALL | re.ASCII | (re.IGNORECASE if ignore_case else 0)
    return re.compile(_glob_expression(pattern, "."), flags).fullmatch


def regex(pattern: str) -> Predicate:
    """RE2 with POSIX syntax, over the whole text. ValueError: not a pattern."""
    options = re2.Options()
    options.posix_syntax = True
    options.longest_match = True
    options.log_errors = False
    try:
        compiled = re2.compile(sanitised(pattern).encode(), options)
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(f"invalid regex pattern: {reason.decode() if isinstance(reason, bytes) else reason}") from None
    whole = compiled.fullmatch
    return lambda text: whole(sanitised(text).encode()) is not None


def path_prefixes(patterns: Sequence[str]) -> Predicate:
    """True for a path that one of the patterns is, or is a directory above of; a component may be a glob."""
    heads = tuple(_whole(pattern) for pattern in patterns if not _WILD.search(pattern))
    globs = [_components(pattern) for pattern in patterns if _WILD.search(pattern)]
    expressions = ["".join(f"/{_component_expression(part)}" for part in parts) + "/" for parts in globs]
    matched = re.compile("|".join(expressions), re.DOTALL | re.ASCII).match if expressions else None

    def below(path: str) -> bool:
        whole = _whole(path)
        return whole.startswith(heads) or (matched is not None and matched(whole) is not None)

    return below


def _components(path: str) -> list[str]:
    return [component for component in path.split("/") if component]


def _whole(path: str) -> str:
    return "".join(f"/{component}" for component in _components(path)) + "/"


def _component_expression(component: str) -> str:
    return _glob_expression(component, "[^/]") if _WILD.search(component) else re.escape(component)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _glob_expression(pattern: str, anything: str) -> str:
    """``anything``: what ``?`` stands for. Each star takes as little as the fixed part behind it allows and never
    comes back to it (as only the last part is bound to the end, that loses nothing), so no pattern takes long."""
    parts: list[list[str]] = [[]]
    for token in _tokens(pattern, anything):
        if token == STAR:
            parts.append([])
        else:
            parts[-1].append(token)
    first, *rest = ("".join(part) for part in parts)
    if not rest:
        return first
    middle = "".join(f"(?>{anything}*?{part})" for part in rest[:-1] if part)
    return f"{first}{middle}{anything}*{rest[-1]}"


def _tokens(pattern: str, anything: str) -> Iterator[str]:
    """Expressions for one character each, and STAR."""
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            yield STAR
        elif character == "?":
            yield anything
        elif character == "\\":
            yield re.escape(pattern[at]) if at < len(pattern) else NEVER
            at += 1
        elif character == "[":
            expression, at = _bracket(pattern, at, anything)
            yield expression
        else:
            yield re.escape(character)


def _bracket(pattern: str, start: int, anything: str) -> tuple[str, int]:
    """The bracket expression whose content begins at ``start``, and where it ends. Without an end it is just ``[``."""
    negated = pattern[start : start + 1] in ("!", "^")
    at = first = start + negated
    content = ""
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        named = re.compile(r"\[:([a-z]+):\]").match(pattern, at)
        if named:
            content += CLASSES.get(named[1], "")
            at = named.end()
            continue
        low, at = _bracket_character(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("]", ""):
            high, at = _bracket_character(pattern, at + 1)
        if low <= high:
            content += f"{_escaped(low)}-{_escaped(high)}"
    if at >= len(pattern):
        return re.escape("["), start
    if not content:
        return (anything if negated else NEVER), at + 1
    if not negated:
        return f"[{content}]" if anything == "." else f"(?:(?!/)[{content}])", at + 1
    return f"(?:(?=[^{content}]){anything})", at + 1


def _bracket_character(pattern: str, at: int) -> tuple[str, int]:
    """One end of a range: a character, an escaped one, or ``[.x.]`` and ``[=x=]``; and where it ends."""
    collating = re.compile(r"\[([.=])(.)\1\]", re.DOTALL).match(pattern, at)
    if collating:
        return collating[2], collating.end()
    if pattern[at] == "\\" and at + 1 < len(pattern):
        return pattern[at + 1], at + 2
    return pattern[at], at + 1


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}"
