"""What a condition says about an event, straight from the language: slow, and independent of the compiler."""

from __future__ import annotations

import base64
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import re2

from rules.expression import And, Compare, Exists, Expression, Field, Literal, Not, Or, Transformed
from rules.fields import Quantifier, Source, Type

TEXTS = (Type.STRING, Type.PATH)
NUMBERS = (Type.INTEGER, Type.TIME, Type.DURATION)


def holds(expression: Expression, event: Any, source: Source) -> bool:
    match expression:
        case And(operands):
            return all(holds(operand, event, source) for operand in operands)
        case Or(operands):
            return any(holds(operand, event, source) for operand in operands)
        case Not(operand):
            return not holds(operand, event, source)
        case Exists(left):
            return value(left, event, source) is not None
        case Compare():
            return _compare(expression, event, source)
    raise AssertionError(expression)


def value(key: Field | Transformed | Literal, event: Any, source: Source) -> Any:
    """None: the event does not have it."""
    if isinstance(key, Literal):
        return key.text.split("\0")[0]
    if isinstance(key, Field):
        return _cut(source.fields[key.name].extractor(key.argument)(event))
    arguments = [value(argument, event, source) for argument in key.arguments]
    if any(argument is None for argument in arguments):
        return None
    return _transform(key.function, arguments, key.argument)


def kind(key: Field | Transformed | Literal, source: Source) -> Type:
    if isinstance(key, Field):
        return source.fields[key.name].type
    if isinstance(key, Literal) or key.function in ("join", "concat", "getopt", "list"):
        return Type.STRING
    return Type.INTEGER if key.function == "len" else kind(key.arguments[0], source)


def _cut(got: Any) -> Any:
    if isinstance(got, str):
        return got.split("\0")[0] if "\0" in got else got
    if isinstance(got, tuple):
        return tuple(map(_cut, got)) if got else None
    return got


def _compare(compare: Compare, event: Any, source: Source) -> bool:
    got = value(compare.left, event, source)
    if got is None:
        return False
    type_ = kind(compare.left, source)
    if isinstance(compare.right, Transformed):
        right = value(compare.right, event, source)
        return right is not None and _related(compare.operator, got, right)
    literals = (compare.right,) if isinstance(compare.right, Literal) else compare.right
    texts = [literal.text for literal in literals]
    info = source.fields[compare.left.name] if isinstance(compare.left, Field) else None
    if info is not None and not compare.modifier and (special := info.match(compare.operator, texts)) is not None:
        return bool(special(got))

    def one(element: Any) -> bool:
        results = [_one(type_, compare.operator, element, text) for text in texts]
        if compare.modifier == "oneof":
            return results.count(True) == 1
        if compare.modifier == "allof":
            return bool(results) and all(results)
        return any(results)

    if not isinstance(got, tuple):
        return one(got)
    elements = [one(element) for element in got]
    of_all = info.quantifier is Quantifier.EITHER and compare.operator == "!=" if info else False
    is_list = info.is_list if info else True
    if (is_list and compare.operator == "in") or of_all:
        return all(elements)
    return any(elements)


def _one(type_: Type, operator: str, got: Any, text: str) -> bool:
    """One value against one literal."""
    if type_ in (Type.ADDRESS, Type.NETWORK):
        same = got == ipaddress.ip_address(text) if type_ is Type.ADDRESS else got in ipaddress.ip_network(text, False)
        return not same if operator == "!=" else same
    if operator in ("bcontains", "bstartswith"):
        return _related(operator, got, bytes.fromhex(text))
    if operator == "pmatch":
        return _below(got, text.split("\0")[0])
    if operator == "regex":
        return _regex(got, text.split("\0")[0])
    return _related(operator, got, literal(type_, text))


def literal(type_: Type, text: str) -> Any:
    if type_ in NUMBERS:
        return int(text, 16) if "0x" in text else int(text)
    if type_ is Type.PORT:
        return int(text) if text.isdigit() else socket.getservbyname(text)
    if type_ is Type.BOOLEAN:
        return {"true": True, "false": False}[text]
    return text.encode() if type_ is Type.BYTES else text.split("\0")[0]


def _related(operator: str, left: Any, right: Any) -> bool:
    match operator:
        case "=":
            return bool(left == right)
        case "in":
            return set(left) <= set(right) if isinstance(left, tuple) else bool(left == right)
        case "intersects":
            return bool(set(left) & set(right)) if isinstance(left, tuple) else bool(left == right)
        case "!=":
            return bool(left != right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case ">=":
            return bool(left >= right)
        case "contains" | "bcontains":
            return right in left
        case "startswith" | "bstartswith":
            return bool(left[: len(right)] == right)
        case "endswith":
            return len(right) <= len(left) and bool(left[len(left) - len(right) :] == right)
        case "icontains":
            return _low(right) in _low(left)
        case "glob":
            return _glob(right, left)
        case "iglob":
            return _glob(_low(right), _low(left))
    raise AssertionError(operator)


def _low(text: str) -> str:
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


def _up(text: str) -> str:
    return "".join(chr(ord(letter) - 32) if "a" <= letter <= "z" else letter for letter in text)


def _glob(pattern: str, text: str) -> bool:
    """fnmatch(3) by trying: stars, ?, escapes, and brackets of single characters and ranges."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    if first == "*":
        return any(_glob(rest, text[skipped:]) for skipped in range(len(text) + 1))
    if first == "\\" and not rest:
        return False
    if not text:
        return False
    if first == "?":
        return _glob(rest, text[1:])
    if first == "\\":
        return rest[0] == text[0] and _glob(rest[1:], text[1:])
    if first == "[" and (end := rest.find("]", 2 if rest[:1] in ("!", "^") else 1)) > 0:
        negated = rest[0] in "!^"
        return (text[0] in _bracket(rest[negated:end])) is not negated and _glob(rest[end + 1 :], text[1:])
    return first == text[0] and _glob(rest, text[1:])


def _bracket(content: str) -> set[str]:
    result = set(content[:1])
    for at in range(1, len(content)):
        if content[at] == "-" and at + 1 < len(content):
            result |= {chr(code) for code in range(ord(content[at - 1]), ord(content[at + 1]) + 1)}
        else:
            result.add(content[at])
    return result


def _below(path: str, pattern: str) -> bool:
    parts = [part for part in path.split("/") if part]
    wanted = [part for part in pattern.split("/") if part]
    return len(wanted) <= len(parts) and all(
        _glob(want, part) if set(want) & set("?*[") else want == part for want, part in zip(wanted, parts, strict=False)
    )


def _regex(text: str, pattern: str) -> bool:
    options = re2.Options()
    options.posix_syntax = options.longest_match = True
    clean = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
    return re2.fullmatch(pattern, clean, options) is not None


def _transform(function: str, arguments: Sequence[Any], index: str | None) -> Any:
    match function:
        case "val":
            return arguments[0]
        case "len":
            got = arguments[0]
            return len(got.encode("utf-8", "surrogateescape") if isinstance(got, str) else got)
        case "join":
            return arguments[0].join(arguments[1])
        case "concat":
            return "".join(arguments)
        case "list":
            return tuple(arguments)
        case "getopt":
            return _getopt(arguments[0], arguments[1], index)
    one = {"tolower": _low, "toupper": _up, "basename": lambda path: path.split("/")[-1], "b64": _base64}[function]
    if not isinstance(arguments[0], tuple):
        return one(arguments[0])
    results = tuple(one(element) for element in arguments[0])
    return None if None in results else results


def _base64(got: str | bytes) -> str | bytes | None:
    text = got if isinstance(got, str) else got.rstrip(b"\0").decode("latin-1")
    bare = text[:-2] if text.endswith("==") else text[:-1] if text.endswith("=") else text
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    if set(bare) - set(alphabet) or len(bare) % 4 == 1 or (text and not bare):
        return None
    bits = "".join(f"{alphabet.index(letter):06b}" for letter in bare)
    if "1" in bits[len(bits) // 8 * 8 :]:
        return None
    octets = base64.b64decode(bare + "==="[: -len(bare) % 4])
    return octets.split(b"\0")[0].decode("utf-8", "surrogateescape") if isinstance(got, str) else octets


def _getopt(words: Sequence[str], known: str, index: str | None) -> Any:
    told: list[tuple[str, tuple[str, ...], str]] = []  # option, what it adds to the list, what is its value
    rest = list(words)
    while rest and rest[0] != "--" and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        letters = "" if word.startswith("--") else word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == ":" or letter not in known:
                told.append(("", ("?",), ""))
            elif letter + ":" not in known:
                told.append((letter, (letter,), letter))
            else:
                argument = letters or (rest.pop(0) if rest else None)
                told.append((letter, ("",), "") if argument is None else (letter, (letter, argument), argument))
                letters = ""
    if index is None:
        return tuple(part for _, listed, _ in told for part in listed)
    found = [chosen for letter, _, chosen in told if letter == index]
    return found[-1] if found else None
