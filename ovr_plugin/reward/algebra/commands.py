r"""Commands and their arguments: fractions, roots, functions, sums, integrals, limits.

Each function here has a command that a `Reader` came to, takes the arguments from it, and returns
the text for the grammar.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy

from ovr_plugin.reward.algebra import vocabulary as v
from ovr_plugin.reward.algebra.items import Group, Item, Name, Unreadable, leaves
from ovr_plugin.reward.algebra.terms import (
    Command,
    Reader,
    arguments,
    content,
    is_digits,
    rational,
    read_term,
    split,
    symbol,
)

_TRIGONOMETRIC = "sin cos tan cot sec csc".split()
_HYPERBOLIC = "sinh cosh tanh coth sech csch".split()
_FUNCTIONS: dict[str, Any] = {
    **dict.fromkeys(("\\log", "\\lg", "\\ln"), sympy.log),
    "\\exp": sympy.exp,
    **{f"\\{name}": getattr(sympy, name) for name in _TRIGONOMETRIC + _HYPERBOLIC},
    **{f"\\arc{name}": getattr(sympy, f"a{name}") for name in _TRIGONOMETRIC},
    **{f"\\ar{name}": getattr(sympy, f"a{name}") for name in _HYPERBOLIC},
}
_INVERSES = {f"\\{name}": getattr(sympy, f"a{name}") for name in _TRIGONOMETRIC + _HYPERBOLIC}
_N_ARGUMENTS = {"^": 1, "\\frac": 2, "\\binom": 2}
_ARGUMENT_ENDS = frozenset(("+", "-", "*", "/", "\\mod", "\\det")) | v.BIG_OPERATORS


def _frac(reader: Reader, _: str) -> str:
    above, below = reader.argument(), reader.argument()
    if name := _derivative(above, below):
        return reader.lift(symbol(name))
    return rf"\frac{{ {reader.write(above)} }}{{ {reader.write(below)} }}"


def _derivative(above: Sequence[Item], below: Sequence[Item]) -> str:
    """The name of a derivative: nobody evaluates these."""
    for d in (Name("d"), Name("partial")):
        if len(below) > 1 and below[0] == d and above and above[0] == d:
            return "".join(leaves(tuple(above))) + "/" + "".join(leaves(tuple(below)))
    return ""


def _binom(reader: Reader, _: str) -> str:
    above, below = reader.argument(), reader.argument()
    return rf"\binom{{ {reader.write(above)} }}{{ {reader.write(below)} }}"


def _sqrt(reader: Reader, _: str) -> str:
    r"""``\sqrt13`` is meant to be that of 13, and round brackets to be its own."""
    degree = ""
    if isinstance(following := reader.peek(), Group) and following.opening == "[":
        reader.take()
        degree = f"[ {reader.write(following.items)} ]"
    item = reader.take()
    if isinstance(item, Group) and item.opening in ("{", "("):
        return rf"\sqrt{degree}{{ {reader.write(item.items)} }}"
    if isinstance(item, str) and not item[0].isdigit() and item != "\\pi":
        raise Unreadable(f"a root of {item}")
    return rf"\sqrt{degree}{{ {reader.write((item,))} }}"


def _power(reader: Reader, _: str) -> str:
    power = reader.take()
    sign = str(power) if power in ("-", "+") else ""
    return f"^{{ {sign} {reader.write(content(reader.take() if sign else power))} }}"


def _function(reader: Reader, name: str) -> str:
    make, base, power = _FUNCTIONS[name], None, None
    if name in ("\\log", "\\lg"):
        base = sympy.Integer(10)
    digits: Item | None = None
    while (side := reader.peek()) in ("_", "^"):
        reader.take()
        item = reader.take()
        if side == "^":
            power = read_term(content(item))
        elif name == "\\log":
            base, digits = read_term(content(item)), item
        else:
            raise Unreadable(f"{name} has no base")
    if reader.peek() is None and isinstance(digits, str) and is_digits(digits):  # \log_28: of 8
        base, argument = rational(Fraction(digits[0])), rational(Fraction(digits[1:] or "0"))
    else:
        argument = read_term(_function_argument(reader, name))
    if power == -1 and name in _INVERSES:
        return reader.lift(_INVERSES[name](argument, evaluate=False))
    value = make(*((argument,) if base is None else (argument, base)), evaluate=False)
    return reader.lift(value if power is None else sympy.Pow(value, power, evaluate=False))


def _function_argument(reader: Reader, name: str) -> Sequence[Item]:
    r"""What a function is of: brackets, or the factors up to an operator or another function.

    A number below pi belongs to it: ``\cos \pi/3``.
    """
    first = reader.peek()
    if isinstance(first, Group) and first.opening in ("(", "[", "{"):
        reader.take()
        if reader.peek() != "!":
            return first.items
        return (first, reader.take())
    sign = [reader.take()] if first in ("-", "+") else []

    def goes_on(taken: list[Item]) -> int:
        item = reader.peek()
        if _ends_argument(item, taken):
            return 0
        if item in ("\\frac", "\\binom"):
            reader.split_digits()
        return 1 + (_N_ARGUMENTS.get(item, 0) if isinstance(item, str) else 0)

    argument = reader.take_while(goes_on)
    if not argument:
        raise Unreadable(f"{name} of nothing")
    if reader.peek() == "/" and "\\pi" in argument and is_digits(reader.peek(1)):
        argument += [reader.take(), reader.take()]
    return sign + argument


def _ends_argument(item: Item | None, argument: list[Item]) -> bool:
    if isinstance(item, str):
        is_function = item in v.FUNCTIONS or item in v.LIST_FUNCTIONS
        return item in _ARGUMENT_ENDS or (is_function and len(argument) > 0)
    if not isinstance(item, Group) or item.opening not in ("(", "[") or not argument:
        return False
    last = argument[-1]  # of \sin 2(x + 1) the brackets are a part, of \sin x (x + 1) not
    return not (is_digits(last) or last == "\\sqrt")


def _list_function(reader: Reader, name: str) -> str:
    group = reader.take()
    if not isinstance(group, Group) or group.opening not in ("(", "\\{", "{"):
        raise Unreadable(f"{name} of nothing")
    values = [read_term(part) for part in arguments(group)]
    return reader.lift(sympy.Function(name[1:])(*values))


def _det(reader: Reader, _: str) -> str:
    return reader.lift(sympy.Function("det")(read_term((reader.take(),))))


def _sum(reader: Reader, name: str) -> str:
    scripts = _scripts(reader)
    equation = split(scripts.get("_", ()), "=")
    if len(equation) != 2 or len(equation[0]) != 1 or not isinstance(equation[0][0], Name):
        raise Unreadable(f"{name} over nothing that is counted")
    limits = (
        symbol(equation[0][0].text),
        read_term(equation[1]),
        read_term(scripts.get("^", ())),
    )
    make = sympy.Sum if name == "\\sum" else sympy.Product
    return reader.lift(make(read_term(_rest_of_product(reader)), limits))


def _integral(reader: Reader, _: str) -> str:
    scripts = _scripts(reader)
    end, i = -1, 0
    while (item := reader.peek(i)) is not None:
        if item == Name("d") and isinstance(reader.peek(i + 1), Name):
            end = i
        i += 1
    if end < 0:
        raise Unreadable("an integral over nothing")
    integrand = [reader.take() for _ in range(end)]
    reader.take()
    limits: tuple[Any, ...] = (read_term((reader.take(),)),)
    if scripts:
        limits += tuple(read_term(scripts.get(side, ())) for side in "_^")
    return reader.lift(sympy.Integral(read_term(integrand or ("1",)), limits))


def _limit(reader: Reader, _: str) -> str:
    approach = split(_scripts(reader).get("_", ()), "\\to")
    if len(approach) != 2 or len(approach[0]) != 1 or not isinstance(approach[0][0], Name):
        raise Unreadable("a limit of nothing")
    body, place = read_term(_rest_of_product(reader)), read_term(approach[1])
    return reader.lift(sympy.Limit(body, symbol(approach[0][0].text), place, "+-"))


def _scripts(reader: Reader) -> dict[str, Sequence[Item]]:
    scripts: dict[str, Sequence[Item]] = {}
    while (side := reader.peek()) in ("_", "^"):
        reader.take()
        item = reader.take()
        scripts[str(side)] = (item, reader.take()) if item in ("-", "+") else content(item)
    return scripts


def _rest_of_product(reader: Reader) -> Sequence[Item]:
    return reader.take_while(lambda taken: int(not taken or reader.peek() not in ("+", "-")))


COMMANDS: dict[str, Command] = {
    "\\frac": _frac,
    "\\binom": _binom,
    "\\sqrt": _sqrt,
    "^": _power,
    "\\det": _det,
    "\\sum": _sum,
    "\\prod": _sum,
    "\\int": _integral,
    "\\lim": _limit,
    **dict.fromkeys(_FUNCTIONS, _function),
    **dict.fromkeys(v.LIST_FUNCTIONS, _list_function),
}
