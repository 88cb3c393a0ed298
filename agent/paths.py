"""Path generalisation: what is accidental in a path becomes "*", what has a meaning stays.

Siblings that a program generates (numbers, hexadecimal names, UUIDs, dates, random suffixes) fold into one
path; words never do. System directories stay literal: there every single name matters.
"""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 512  # characters of a generalised path
LONGEST_PART = 255

LITERAL_DIRECTORIES = (
    "/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr",
)  # fmt: skip
# Where images put their own application or interpreters write caches although it lies below a literal directory.
_NOT_LITERAL = ("/usr/src/", "/__pycache__/")
# Below these the names are programs, wherever the directory is.
_PROGRAM_DIRECTORIES = frozenset({"bin", "sbin", "libexec"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Python's tempfile: "tmp" and eight characters.
_PYTHON_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}\Z")
# Kubernetes' generated suffixes have no vowels and none of 0, 1, 3, so that they never look like a word.
_POD_SUFFIX = re.compile(r"(\*-)[bcdfghjklmnpqrstvwxz2456789]{5}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9]+")
_HEXADECIMAL = re.compile(r"[0-9a-f]{6,}\Z|[0-9A-F]{6,}\Z")
_LETTERS_THEN_DIGITS = re.compile(r"([A-Za-z]{3,})[0-9]+\Z")
_DIGITS_THEN_LETTERS = re.compile(r"[0-9]+([A-Za-z]{3,})\Z")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_STARS = re.compile(r"\*(?:[-_.~@:+=,#%]*\*)+")

# Words that happen to hold a digit.
_WORDS = frozenset(
    {"7z", "amd64", "arm64", "base64", "bz2", "ext4", "h2", "http2", "i386", "i686", "ipv4", "ipv6", "k8s", "log4j"}
    | {"m4a", "md5", "mp3", "mp4", "oauth2", "p12", "pkcs12", "python2", "python3", "s3", "sha1", "sha256", "sha512"}
    | {"sqlite3", "utf8", "x64", "x86", "x509"}
)


@lru_cache(maxsize=2048)
def generalise(path: str) -> str:
    """``path`` with generated parts folded into "*". Idempotent; never longer than LONGEST; any text is allowed."""
    path = printable(path.removesuffix(" (deleted)"))
    if not is_literal(path):
        path = "/".join(_parts(path.split("/")))
    return _bounded(path)


def is_literal(path: str) -> bool:
    """Whether ``path`` lies where every name matters."""
    if any(place in path for place in _NOT_LITERAL):
        return False
    return any(path == directory or path.startswith(directory + "/") for directory in LITERAL_DIRECTORIES)


def printable(text: str) -> str:
    """``text`` with unprintable characters and undecodable bytes escaped: fit for a wire, a database, a screen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _parts(parts: list[str]) -> list[str]:
    folded, literal = [], False
    for part in parts:
        folded.append(part if literal or (part.isalpha() and part.islower()) else _fold(part))
        literal = literal or part in _PROGRAM_DIRECTORIES
    return folded


def _fold(part: str) -> str:
    if _PYTHON_TEMPORARY.match(part):
        return "tmp*"
    part = _TOKEN.sub(_fold_token, _UUID.sub("*", part))
    part = _STARS.sub("*", part)
    return _POD_SUFFIX.sub("*", part)


def _fold_token(match: re.Match[str]) -> str:
    token = match[0]
    if token.isalpha():
        return "*" if _is_shuffled(token) else token
    if token.isdigit() or _HEXADECIMAL.match(token):
        return "*"
    if token.lower() in _WORDS:
        return token
    if word := _LETTERS_THEN_DIGITS.match(token):
        return "*" if _is_shuffled(word[1]) else word[1] + "*"
    if word := _DIGITS_THEN_LETTERS.match(token):
        return "*" if _is_shuffled(word[1]) else "*" + word[1]
    return "*"


def _is_shuffled(letters: str) -> bool:
    """Whether upper and lower case alternate as chance does it (mktemp), not as words in camel case do."""
    if len(letters) < 6 or letters.islower() or letters.isupper() or letters[1:].islower():
        return False
    return len(letters) / len(_HUMP.findall(letters)) <= 2.0


def _bounded(path: str) -> str:
    if len(path) <= LONGEST and all(len(part) <= LONGEST_PART for part in path.split("/")):
        return path
    kept: list[str] = []
    room = LONGEST - 2
    for part in ("*" if len(name) > LONGEST_PART else name for name in path.split("/")):
        room -= len(part) + 1
        if room < 0:
            return "/".join([*kept, "*"])
        kept.append(part)
    return "/".join(kept)
