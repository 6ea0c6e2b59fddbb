r"""The tokens of one expression in, what sympy has for it out; nothing is evaluated.

Tokens are written as text for `grammar`. Names, numbers, functions and other commands are read here
or in `commands`, and in the text there is a name in their place: it is sums, products, powers,
roots, fractions and brackets that the grammar reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import sympy

from ovr_plugin.reward.algebra import vocabulary as v
from ovr_plugin.reward.algebra.grammar import parse, quotient
from ovr_plugin.reward.algebra.items import Group, Item, Name, Unreadable, Words, leaves
from ovr_plugin.reward.algebra.values import DEGREE, PERCENT

MAX_ITEMS = 600  # of one expression: the grammar takes a millisecond for ten
# Letters that are a function where brackets follow; others are a factor.
APPLIED = frozenset("f g F G phi psi Phi Psi Gamma zeta f^-1 g^-1".split())
_OPERATORS = frozenset(("+", "-", "/", "\\cdot", "\\mod"))
_WRITTEN = {"*": "\\cdot", "+": "+", "-": "-", "/": "/", "\\mod": "\\mod", "!": "!"}
_CONSTANTS = {"\\pi": sympy.pi, "\\infty": sympy.oo}
_UNITS = {"\\circ": DEGREE, "%": PERCENT}
_BRACKETS = frozenset(("(", "[", "{", "\\{"))
_ROUNDED = frozenset(("\\lfloor", "\\lceil"))

Command = Callable[["Reader", str], str]


def read_term(items: Sequence[Item]) -> Any:
    """Return the expression that ``items`` write.

    Raises:
        Unreadable: if they write none.
    """
    if len(items) == 1 and isinstance(items[0], Name):
        return _named(items[0])
    if not items:
        raise Unreadable("nothing where an expression should be")
    for command in ("\\over", "\\choose"):
        if command in items:
            i = list(items).index(command)
            above, below = read_term(items[:i]), read_term(items[i + 1 :])
            is_fraction = command == "\\over"
            return quotient(above, below) if is_fraction else binomial(above, below)
    return Reader().read(items)


def symbol(name: str) -> sympy.Symbol:
    """The symbol of that name."""
    return sympy.Symbol(name, real=True)


def rational(value: Fraction) -> Any:
    """A fraction as sympy has it."""
    return sympy.Rational(value.numerator, value.denominator)


def binomial(above: Any, below: Any) -> Any:
    """A binomial coefficient that is not evaluated."""
    return sympy.binomial(above, below, evaluate=False)


def content(item: Item) -> Sequence[Item]:
    """What is in braces, or the item itself."""
    return item.items if isinstance(item, Group) and item.opening == "{" else (item,)


def split(items: Sequence[Item], joint: str) -> list[list[Item]]:
    """The parts of ``items`` between joints."""
    parts: list[list[Item]] = [[]]
    for item in items:
        if item == joint:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def arguments(group: Group) -> list[list[Item]]:
    """What stands between the commas in brackets."""
    return split(group.items, ";" if ";" in group.items else ",")


def is_digits(item: object) -> bool:
    """Whether an item is a whole number."""
    return isinstance(item, str) and item.isdigit()


class Reader:
    """Reads one expression, item by item."""

    def __init__(self) -> None:
        self._lifted: dict[str, Any] = {}
        self._items: list[Item] = []
        self._at = 0

    def read(self, items: Sequence[Item]) -> Any:
        """Return the expression.

        Raises:
            Unreadable: if there is none.
        """
        return parse(self.write(items), self._lifted)

    def write(self, items: Sequence[Item]) -> str:
        """Write ``items`` with every product spelled out, which ANTLR decides at once."""
        if len(items) > MAX_ITEMS:
            raise Unreadable("an expression is too long")
        outer = self._items, self._at
        self._items, self._at = list(items), 0
        written: list[str] = []
        factors: list[str] = []
        while self._at < len(self._items):
            text = self._next()
            if text.startswith(("^", "!")):  # belongs to the factor in front of it
                if not factors:
                    raise Unreadable(f"{text[0]} of nothing")
                factors[-1] += text
            elif text in _OPERATORS:
                written += [_product(factors, written), text]
                factors = []
            elif text:
                factors.append(text)
        self._items, self._at = outer
        return " ".join([*written, _product(factors, written)])

    def lift(self, value: Any) -> str:
        """Return the text that stands for ``value``."""
        name = f"v{len(self._lifted)}"
        self._lifted[name] = value
        return rf"\variable{{{name}}}"

    def peek(self, ahead: int = 0) -> Item | None:
        """The item that comes next, or later; None behind the last."""
        return self._items[self._at + ahead] if self._at + ahead < len(self._items) else None

    def take(self) -> Item:
        """Go to the next item.

        Raises:
            Unreadable: if there is none.
        """
        if self._at >= len(self._items):
            raise Unreadable("something is missing at the end")
        self._at += 1
        return self._items[self._at - 1]

    def take_while(self, goes_on: Callable[[list[Item]], int]) -> list[Item]:
        """Take as many items at a time as ``goes_on`` says of those taken, until it says 0."""
        taken: list[Item] = []
        while self.peek() is not None and (n := goes_on(taken)):
            taken += [self.take() for _ in range(n)]
        return taken

    def split_digits(self) -> None:
        r"""Cut numbers that are two arguments of the command ahead: ``\frac12``."""
        for i in (self._at + 1, self._at + 2):
            item = self._items[i] if i < len(self._items) else None
            if isinstance(item, str) and item.isdigit() and len(item) > 1:
                self._items[i : i + 1] = [item[0], item[1:]]

    def argument(self) -> Sequence[Item]:
        r"""Take a command's argument: a group's content or one token, of ``12`` the 1."""
        item = self.take()
        if isinstance(item, Group) and item.opening == "{":
            return item.items
        if isinstance(item, str) and item.isdigit() and len(item) > 1:
            self._items[self._at - 1 : self._at] = [item[0], item[1:]]
            return (item[0],)
        if isinstance(item, str) and not (item[0].isdigit() or item in _CONSTANTS):
            raise Unreadable(f"{item} is no argument")
        return (item,)

    def _next(self) -> str:
        item = self.take()
        if isinstance(item, Name):
            return self._name(item)
        if isinstance(item, Group):
            return self._group(item)
        if isinstance(item, Words):
            return self.lift(symbol("".join(leaves((item,))).lower()))
        if item[0].isdigit() or (item[0] == "." and len(item) > 1):
            return self._number(item)
        if item in _WRITTEN:
            if item == "!" and self.peek() == "!":
                raise Unreadable("a double factorial")
            return _WRITTEN[item]
        if item in _CONSTANTS or item in _UNITS:
            return self.lift(_CONSTANTS.get(item) or symbol(_UNITS[item]))
        return self._command(item)

    def _command(self, command: str) -> str:
        from ovr_plugin.reward.algebra.commands import COMMANDS  # they read their arguments here

        write = COMMANDS.get(command)
        if write is None:
            raise Unreadable(f"what is {command} here?")
        return write(self, command)

    # Names and numbers

    def _name(self, name: Name) -> str:
        if name.text in ("f", "g") and self.peek() == "^" and _is_inverse(self.peek(1)):
            self._at += 2
            name = Name(f"{name.text}^-1")
        if value := self._combinations(name):
            return self.lift(value)
        is_applied = name.text.partition("_")[0].strip("'") in APPLIED or "'" in name.text
        group = self.peek()
        if is_applied and isinstance(group, Group) and group.opening == "(":
            self.take()
            values = [read_term(part) for part in arguments(group)]
            return self.lift(sympy.Function(name.text)(*values, evaluate=False))
        return self.lift(_named(name))

    def _combinations(self, name: Name) -> Any:
        """``C_{10}^{3}``, where both are numbers."""
        n = name.text.removeprefix("C_")
        k = content(self.peek(1) or "") if self.peek() == "^" else ()
        if name.text == n or not n.isdigit() or not (len(k) == 1 and is_digits(k[0])):
            return None
        self._at += 2
        return binomial(sympy.Integer(int(n)), sympy.Integer(int(str(k[0]))))

    def _number(self, number: str) -> str:
        before = self._items[self._at - 2] if self._at > 1 else None
        after, below, behind = self.peek(), self.peek(1), self.peek(2)
        if isinstance(after, str) and (after[0].isdigit() or after[0] == "."):
            raise Unreadable("a number behind a number")
        value = Fraction(number)
        if after == "\\frac" and number.isdigit() and before in (None, "+", "-", "*", "/"):
            value += self._proper_fraction()
        elif after == "/" and is_digits(number) and is_digits(below) and _is_factor(behind):
            if int(str(below)):  # 1/2x is half of x
                self._at += 2
                value /= int(str(below))
        return self.lift(rational(value))

    def _proper_fraction(self) -> Fraction:
        r"""Take the ``\frac{1}{2}`` that makes the number in front of it mixed; 0 if it is none."""
        start, items = self._at, list(self._items)
        self.take()
        above, below = self.argument(), self.argument()
        if len(above) == len(below) == 1 and is_digits(above[0]) and is_digits(below[0]):
            n, d = int(str(above[0])), int(str(below[0]))
            if 0 < n < d:
                return Fraction(n, d)
        self._at, self._items = start, items
        return Fraction(0)

    # Brackets

    def _group(self, group: Group) -> str:
        opening, items = group.opening, group.items
        if opening in _ROUNDED:
            return f"{opening} {self.write(items)} {group.closing}"
        inner = items[0] if len(items) == 1 else None
        is_matrix = isinstance(inner, Group) and _is_matrix(inner)
        if opening in ("vmatrix", "Vmatrix") or (opening == "|" and is_matrix):
            matrix = _matrix(inner if opening == "|" and isinstance(inner, Group) else group)
            return self.lift(sympy.Function("det")(matrix))
        if opening == "|":
            return rf"\lvert {self.write(items)} \rvert"
        if _is_matrix(group):
            return self.lift(_matrix(group))
        if opening not in _BRACKETS:
            raise Unreadable(f"what is {opening} here?")
        if not items and opening == "{":
            return ""
        if is_matrix and isinstance(inner, Group):
            return self.lift(_matrix(inner))
        parts = arguments(group)
        if len(parts) > 1:
            in_words = any(isinstance(item, Words) for item in self._items)
            if opening + group.closing in ("(]", "[)") or (opening == "[" and in_words):
                raise Unreadable("an interval is no factor")  # "increasing on [0, 1)"
            return self.lift(matrix_of([[read_term(part)] for part in parts]))
        if "\\over" in items or "\\choose" in items:
            return self.lift(read_term(items))
        return f"( {self.write(items)} )"


def matrix_of(rows: Sequence[Sequence[Any]]) -> Any:
    """A matrix as a function of its size and entries, which sympy leaves alone."""
    size = sympy.Integer(len(rows)), sympy.Integer(len(rows[0]))
    return sympy.Function("matrix")(*size, *(entry for row in rows for entry in row))


def _matrix(group: Group) -> Any:
    rows = [split(row, "&") for row in split(group.items, "\\\\") if row]
    if len({len(row) for row in rows}) != 1:
        raise Unreadable("a matrix with rows of different lengths")
    return matrix_of([[read_term(entry) for entry in row] for row in rows])


def _is_matrix(group: Group) -> bool:
    return group.opening.endswith("matrix") or group.opening == "array"


def _named(name: Name) -> Any:
    return sympy.E if name.text == "e" else symbol(name.text)


def _product(factors: list[str], written: list[str]) -> str:
    """Factors side by side bind closer than a slash in front of them."""
    product = r" \cdot ".join(factors)
    is_divisor = len(factors) > 1 and written[-1:] == ["/"]
    return f"( {product} )" if is_divisor else product


def _is_factor(item: Item | None) -> bool:
    if isinstance(item, str):
        return item in ("\\pi", "\\sqrt") or item in v.FUNCTIONS
    return item is not None


def _is_inverse(item: Item | None) -> bool:
    return isinstance(item, Group) and item.items == ("-", "1")
