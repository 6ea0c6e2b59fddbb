"""Responses to rows that know something of their answer, and the scores they should get."""

from __future__ import annotations

from typing import Any, NamedTuple


class ToyRow(NamedTuple):
    """One response. `facts` may stand in any of the places that an adapter reads."""

    response: str
    answer: Any
    facts: dict[str, Any]
    cut_off: bool
    score: float | None  # None: the reference is none, and where a host can, it leaves the row out


TOY_ROWS = (
    ToyRow(r"Six times seven is \boxed{42}", "42", {}, False, 1.0),
    ToyRow(r"Six times seven is \boxed{41}", "42", {}, False, 0.0),
    ToyRow(r"It is \boxed{blue}", "B", {"choices": ["red", "blue"]}, False, 1.0),
    ToyRow(r"About \boxed{102}", "100", {"tolerance": 0.05}, False, 1.0),
    ToyRow(r"About \boxed{102}", "100", {}, False, 0.0),
    ToyRow(r"The side is \boxed{5\text{ cm}}", "0.05", {"unit": "m"}, False, 1.0),
    ToyRow(r"So \boxed{(x+1)^2}", "x^2+2x+1", {"answer_type": "expression"}, False, 1.0),
    ToyRow(r"Six times seven is \boxed{42}, or", "42", {}, True, 0.0),
    ToyRow("Six times seven is 42", "42", {}, False, 0.0),
    ToyRow(r"Six times seven is \boxed{42}", None, {}, False, None),
)
