"""What a text says: a term, values in brackets, a relation, a matrix, a set of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Term:
    """An expression of sympy; ``label`` is the words behind it, a unit for instance."""

    expression: Any
    label: str = ""


@dataclass(frozen=True)
class Several:
    r"""Values between commas; ``brackets`` are those around them, '' for a bare list."""

    brackets: str
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Relation:
    """A chain such as ``1 < x < 2``: n signs between n + 1 parts."""

    parts: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    r"""Parts joined by ``\cup``, ``\cap``, ``\setminus``, ``or`` or ``and``."""

    sign: str
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Ratio:
    """``1:2:3``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Matrix:
    """Rows of entries; ``is_system`` for cases, whose rows are equations or values."""

    rows: tuple[tuple[Node, ...], ...]
    is_system: bool = False


@dataclass(frozen=True)
class NumberSet:
    """R, Z, N, Q, C, or the empty set as ''."""

    name: str


@dataclass(frozen=True)
class Builder:
    r"""``\{element | condition\}``."""

    element: Node
    condition: Node


Node = Term | Several | Relation | Joined | Ratio | Matrix | NumberSet | Builder


def form(node: Node) -> str:
    """Return ``node`` as text, its terms in sympy's notation."""
    if isinstance(node, Term):
        return f"{node.expression} [{node.label}]" if node.label else str(node.expression)
    if isinstance(node, Several):
        brackets = node.brackets or "  "
        return f"{brackets[0]}{', '.join(map(form, node.items))}{brackets[1]}".strip()
    if isinstance(node, Relation):
        signs = [f" {sign.strip(chr(92))} " for sign in node.signs] + [""]
        return "".join(form(part) + sign for part, sign in zip(node.parts, signs, strict=True))
    if isinstance(node, Joined):
        return f" {node.sign.strip(chr(92))} ".join(map(form, node.parts))
    if isinstance(node, Ratio):
        return " : ".join(map(form, node.parts))
    if isinstance(node, Matrix):
        kind = "system" if node.is_system else "matrix"
        return f"{kind}({'; '.join(', '.join(map(form, row)) for row in node.rows)})"
    if isinstance(node, NumberSet):
        return node.name or "empty set"
    return f"{{{form(node.element)} | {form(node.condition)}}}"
