r"""The grammar of conditions, and the tokens it is made of. Above the parser: that module only walks these tables.

    expression  = alternative { "or" ( blank alternative | "(" expression ")" ) }
    alternative = operand { "and" ( blank operand | "(" expression ")" ) }
    operand     = { "not" blank } ( "not(" expression ")" | "(" expression ")" | check )
    check       = left condition | identifier                         an identifier alone is a macro
    left        = field | transformer
    condition   = "exists"
                | ( "<=" | "<" | ">=" | ">" ) ( number | transformer )
                | textual [ modifier list ] | textual ( text | transformer )
                | ( "intersects" | "in" | "pmatch" ) ( list | identifier | transformer )
    textual     = "==" | "=" | "!=" | word blank                      word: glob iglob contains icontains bcontains
                                                                      startswith bstartswith endswith regex
    modifier    = "oneof" | "anyof" | "allof"
    list        = "(" [ text { "," text } ] ")"
    transformer = "val(" field ")" | function "(" argument { "," argument } ")" [ "[" index "]" ]
    argument    = number | quoted | transformer | field | "(" [ argument { "," argument } ] ")"
    field       = name "." name { "." name } [ "[" index "]" ]        no blanks around the brackets
    index       = quoted | bare index
    text        = quoted | bare

``and`` binds closer than ``or``; a bracket that stands right behind ``or`` is an alternative of its own, so
``a or(b) and c`` is an error where ``a or (b) and c`` is not. Blank: space, tab, backspace, carriage return, line feed.

Quoted text ends at the first quote of its kind that no backslash precedes. Inside it ``\b \f \n \r \t \\ \/ \xHH`` mean
what they mean in C, ``\"`` and ``\'`` only in text quoted by the same mark, backslash and blank a backslash (an old
habit that rules rely on); every other escape is an error. Bare text has no escapes.
"""

from __future__ import annotations

import re

MAX_BRACKETS = 1000
"""Brackets inside one another, as in Falco."""
MAX_DEPTH = 100
"""Levels of a tree whose and, or, not really alternate, macros included: Python compiles no more than 200 brackets."""
MAX_TRANSFORMERS = 20
"""Transformers inside one another."""

BLANK = " \t\b\r\n"
BLANKS = re.compile(r"[ \t\b\r\n]*")
NOT = re.compile(r"not[ \t\n\v\f\r]+")
NOT_BRACKET = re.compile(r"not\(")
IDENTIFIER = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*")
FIELD_NAME = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*(?:\.[a-zA-Z]+[a-zA-Z0-9_]*)+")
BARE_INDEX = re.compile(r"""[^][\"' \t\n\v\f\r\0]+""")
BARE_TEXT = re.compile(r"""[^()"' \t\n\v\f\r=,\0]+""")
NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[+\-]?[0-9]+\.?[0-9]*(?:[eE][+\-][0-9]+)?")

FUNCTIONS = ("tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt")
TRANSFORMER = re.compile(rf"({'|'.join(('val', *FUNCTIONS))})\(")
EXISTS = re.compile("exists")
RELATIONAL = re.compile("<=|<|>=|>")
WORDS = ("glob", "iglob", "contains", "icontains", "bcontains", "startswith", "bstartswith", "endswith", "regex")
TEXTUAL = re.compile(rf"==|=|!=|(?:{'|'.join(WORDS)})(?=[ \t\b\r\n])")
SETS = ("intersects", "in", "pmatch")
SET = re.compile("|".join(SETS))
MODIFIERS = ("oneof", "anyof", "allof")
MODIFIER = re.compile(rf"({'|'.join(MODIFIERS)})(?=[ \t\b\r\n]*\()")

TEXTUAL_OPERATORS = frozenset({"==", "=", "!=", *WORDS})
OPERATORS = frozenset({"exists", "<=", "<", ">=", ">", *TEXTUAL_OPERATORS, *SETS})
"""Every operator without a modifier."""


def takes_list(operator: str) -> bool:
    """Whether the operator, perhaps with a modifier (``startswith oneof``), stands before a list."""
    return operator in SETS or has_modifier(operator)


def has_modifier(operator: str) -> bool:
    """Whether it is a textual operator with oneof, anyof or allof behind it."""
    words = operator.split()
    return len(words) == 2 and words[0] in TEXTUAL_OPERATORS and words[1] in MODIFIERS
