"""The text of a condition to its syntax tree. The grammar stands in ``rules.grammar``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rules import grammar
from rules.expression import And, Compare, Exists, Expression, Field, Literal, Macro, Not, Or, Transformed
from rules.quoting import end_of_quoted, unescape
from rules.rule import Place

NOWHERE = Place("")
_EXCERPT = 24


class ParseError(ValueError):
    """A condition is not of the grammar. ``offset``: in the text, from 0; ``line`` and ``column``: in it, from 1;
    ``place``: where the text stands in its file."""

    def __init__(self, message: str, offset: int, line: int, column: int, place: Place = NOWHERE) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.line = line
        self.column = column
        self.place = place


def parse(text: str, place: Place = NOWHERE) -> Expression:
    """The tree of a condition, macros still as names. ``and`` and ``or`` are n-ary, brackets and double negations gone:
    an And holds no And, a Not no Not. At most grammar.MAX_DEPTH levels deep. Raises ParseError, nothing else."""
    return _Parser(text, place).expression()


@dataclass(slots=True)
class _Operand:
    tree: Expression
    depth: int = 1


@dataclass(slots=True)
class _Group:
    """What was read so far of the whole text, or of what stands in a bracket."""

    negated: bool = False
    alternatives: list[_Operand] = field(default_factory=list)
    conjuncts: list[_Operand] = field(default_factory=list)
    bracket_after_or: bool = False  # the alternative is a bracket right behind "or": no "and" may follow


class _Parser:
    def __init__(self, text: str, place: Place) -> None:
        self._text = text
        self._place = place
        self._at = 0

    def expression(self) -> Expression:
        """Brackets are kept on a stack of our own: Python's would not take a thousand of them."""
        groups = [_Group()]
        while True:
            negated, bracket = self._negations()
            if bracket:
                self._limit(len(groups) - 1, grammar.MAX_BRACKETS, "brackets")
                groups.append(_Group(negated))
                continue
            operand = self._negated(_Operand(self._check()), negated)
            groups[-1].conjuncts.append(operand)
            self._close(groups)
            if not self._connective(groups[-1]):
                break
        if self._at < len(self._text) or len(groups) > 1:
            raise self._error("expected 'and', 'or'" + (" or ')'" if len(groups) > 1 else " or the end"))
        return self._joined(groups[0]).tree

    def _negations(self) -> tuple[bool, bool]:
        """Whether an odd number of nots stands here, and whether a bracket opens behind them."""
        self._blanks()
        negated = False
        while self._take(grammar.NOT):
            negated = not negated
        if self._take(grammar.NOT_BRACKET):
            return not negated, True
        self._blanks()
        return negated, self._skip("(")

    def _close(self, groups: list[_Group]) -> None:
        """Closes as many brackets as end here."""
        self._blanks()
        while len(groups) > 1 and self._skip(")"):
            group = groups.pop()
            groups[-1].conjuncts.append(self._negated(self._joined(group), group.negated))
            self._blanks()

    def _connective(self, group: _Group) -> bool:
        """Takes an ``and`` or ``or``; False: there is none."""
        if self._skip("or"):
            group.alternatives.append(self._conjunction(group))
            group.conjuncts = []
            group.bracket_after_or = not self._blanks()
            if group.bracket_after_or and not self._ahead("("):
                raise self._error("expected a blank or '(' after 'or'")
            return True
        if self._ahead("and") and not group.bracket_after_or:
            self._skip("and")
            if not self._blanks() and not self._ahead("("):
                raise self._error("expected a blank or '(' after 'and'")
            return True
        return False

    def _joined(self, group: _Group) -> _Operand:
        operands = [*group.alternatives, self._conjunction(group)]
        if len(operands) == 1:
            return operands[0]
        trees: list[Expression] = []
        for operand in operands:
            trees.extend(operand.tree.operands if isinstance(operand.tree, Or) else (operand.tree,))
        return self._deep(Or(tuple(trees)), operands, Or)

    def _conjunction(self, group: _Group) -> _Operand:
        if len(group.conjuncts) == 1:
            return group.conjuncts[0]
        trees: list[Expression] = []
        for operand in group.conjuncts:
            trees.extend(operand.tree.operands if isinstance(operand.tree, And) else (operand.tree,))
        return self._deep(And(tuple(trees)), group.conjuncts, And)

    def _negated(self, operand: _Operand, negated: bool) -> _Operand:
        if not negated:
            return operand
        if isinstance(operand.tree, Not):
            return _Operand(operand.tree.operand, operand.depth - 1)
        return self._deep(Not(operand.tree), [operand], Not)

    def _deep(self, tree: Expression, operands: list[_Operand], kind: type) -> _Operand:
        depth = 1 + max(operand.depth - isinstance(operand.tree, kind) for operand in operands)
        self._limit(depth - 1, grammar.MAX_DEPTH, "levels of and, or, not")
        return _Operand(tree, depth)

    def _check(self) -> Expression:
        left = self._field() or self._transformer()
        if left is not None:
            return self._condition(left)
        name = self._take(grammar.IDENTIFIER)
        if not name:
            raise self._error("expected '(', a field, or the name of a macro")
        return Macro(name)

    def _condition(self, left: Field | Transformed) -> Expression:
        self._blanks()
        if self._take(grammar.EXISTS):
            return Exists(left)
        if operator := self._take(grammar.RELATIONAL):
            return Compare(left, operator, self._number())
        if operator := self._take(grammar.TEXTUAL):
            operator = "=" if operator == "==" else operator
            self._blanks()
            if modifier := self._take(grammar.MODIFIER):
                self._blanks()
                self._skip("(")
                return Compare(left, operator, self._list(), modifier)
            return Compare(left, operator, self._transformer() or self._literal("text or a transformer"))
        if operator := self._take(grammar.SET):
            return Compare(left, operator, self._set())
        raise self._error("expected an operator")

    def _number(self) -> Literal | Transformed:
        self._blanks()
        if transformed := self._transformer():
            return transformed
        number = self._take(grammar.NUMBER)
        if not number:
            raise self._error("expected a number or a transformer")
        return Literal(number)

    def _set(self) -> Transformed | tuple[Literal, ...]:
        self._blanks()
        if self._skip("("):
            return self._list()
        if transformed := self._transformer():
            return transformed
        name = self._take(grammar.IDENTIFIER)
        if not name:
            raise self._error("expected a list, a name, or a transformer")
        return (Literal(name),)

    def _list(self) -> tuple[Literal, ...]:
        """The items of a list whose bracket is open already."""
        self._blanks()
        if self._skip(")"):
            return ()
        items = []
        while True:
            self._blanks()
            items.append(self._literal("text"))
            self._blanks()
            if not self._skip(","):
                break
        self._require(")", "closes the list")
        return tuple(items)

    def _literal(self, wanted: str) -> Literal:
        text = self._quoted()
        if text is None:
            text = self._take(grammar.BARE_TEXT)
            if not text:
                raise self._error(f"expected {wanted}")
        return Literal(text)

    def _field(self) -> Field | None:
        name = self._take(grammar.FIELD_NAME)
        return Field(name, self._index()) if name else None

    def _index(self) -> str | None:
        if not self._skip("["):
            return None
        index = self._quoted()
        if index is None:
            index = self._take(grammar.BARE_INDEX)
            if not index:
                raise self._error("expected an argument, quoted or bare")
        self._require("]", "closes the argument")
        return index

    def _transformer(self, level: int = 1) -> Transformed | None:
        function = self._take(grammar.TRANSFORMER)[:-1]
        if not function:
            return None
        self._limit(level - 1, grammar.MAX_TRANSFORMERS, "transformers")
        self._blanks()
        if function == "val":
            operand = self._field()
            if operand is None:
                raise self._error("expected a field")
            arguments: tuple[Field | Transformed | Literal, ...] = (operand,)
        else:
            arguments = self._arguments(level)
        self._blanks()
        self._require(")", f"closes {function}(")
        return Transformed(function, arguments, self._index())

    def _arguments(self, level: int) -> tuple[Field | Transformed | Literal, ...]:
        arguments = []
        while True:
            self._blanks()
            arguments.append(self._argument(level))
            self._blanks()
            if not self._skip(","):
                return tuple(arguments)

    def _argument(self, level: int) -> Field | Transformed | Literal:
        if number := self._take(grammar.NUMBER):
            return Literal(number)
        text = self._quoted()
        if text is not None:
            return Literal(text)
        operand = self._listed(level + 1) or self._transformer(level + 1) or self._field()
        if operand is None:
            raise self._error("expected a field, a transformer, a list, quoted text, or a number")
        return operand

    def _listed(self, level: int) -> Transformed | None:
        """A list among arguments, ``join(separator, (a, b))``, is the transformer "list"."""
        if not self._skip("("):
            return None
        self._limit(level - 1, grammar.MAX_TRANSFORMERS, "transformers")
        self._blanks()
        items = () if self._ahead(")") else self._arguments(level)
        self._require(")", "closes the list")
        return Transformed("list", items)

    def _quoted(self) -> str | None:
        """Quoted text, its escapes undone; None: none begins here."""
        if not (self._ahead('"') or self._ahead("'")):
            return None
        start = self._at
        end = end_of_quoted(self._text, start)
        body = self._text[start + 1 : end]
        if end < 0 or "\0" in body:
            raise self._error("the quoted text does not end" if end < 0 else "there is a NUL in the quoted text")
        try:
            text = unescape(body, self._text[start])
        except ValueError as error:
            raise self._error(str(error)) from error
        self._at = end + 1
        return text

    def _take(self, token: re.Pattern[str]) -> str:
        """The token that stands here, or ""; no token of the grammar is empty."""
        match = token.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _skip(self, text: str) -> bool:
        if not self._ahead(text):
            return False
        self._at += len(text)
        return True

    def _ahead(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _blanks(self) -> bool:
        return bool(self._take(grammar.BLANKS))

    def _require(self, text: str, purpose: str) -> None:
        if not self._skip(text):
            raise self._error(f"expected the {text!r} that {purpose}")

    def _limit(self, count: int, limit: int, what: str) -> None:
        if count >= limit:
            raise self._error(f"more than {limit} {what} inside one another")

    def _error(self, message: str) -> ParseError:
        ahead = self._text[self._at : self._at + _EXCERPT]
        found = f"here stands {ahead!r}" if ahead else "here the condition ends"
        line_start = self._text.rfind("\n", 0, self._at) + 1
        line = self._text.count("\n", 0, self._at) + 1
        return ParseError(f"{message}; {found}", self._at, line, self._at - line_start + 1, self._place)
