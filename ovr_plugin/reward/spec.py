"""What a row knows about its answer, in one checked form: `AnswerSpec`.

Every interface passes the same optional keys in ``extra_info``: ``choices``, ``answer_type``,
``tolerance``, ``unit`` and ``truncated``. Null is absent, as parquet fills the columns of a struct.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ovr_plugin.reward.choices import read_choices


class AnswerType(str, Enum):
    """How a reference is to be read; without one, the reference's form decides."""

    NUMBER = "number"
    EXPRESSION = "expression"
    INTERVAL = "interval"
    TUPLE = "tuple"
    SET = "set"
    MATRIX = "matrix"
    EQUATION = "equation"
    CHOICE = "choice"
    TEXT = "text"
    YES_NO = "yes_no"
    QUANTITY = "quantity"
    PERCENTAGE = "percentage"
    RATIO = "ratio"
    TIME = "time"
    MONEY = "money"
    DATE = "date"


@dataclass(frozen=True)
class Tolerance:
    """How far a number may lie from its reference: either bound is enough."""

    relative: float = 0.0
    absolute: float = 0.0

    @classmethod
    def of(cls, value: object) -> Tolerance:
        """Read a relative tolerance, or ``{relative: ..., absolute: ...}``.

        Raises:
            ValueError: if it is neither, negative or not finite.
        """
        bounds = value if isinstance(value, Mapping) else {"relative": value}
        numbers = {str(key): _bound(bound) for key, bound in bounds.items() if bound is not None}
        if None in numbers.values() or not set(numbers) <= {"relative", "absolute"}:
            raise ValueError(
                "tolerance must be a relative one, such as 0.05, or "
                f"{{relative: ..., absolute: ...}}, not negative, and not {value!r}"
            )
        return cls(**{key: bound for key, bound in numbers.items() if bound is not None})


def _bound(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


@dataclass(frozen=True)
class AnswerSpec:
    """The facts that a comparison uses.

    Attributes:
        choices: option letter -> option text; empty where the question has no options.
        answer_type: None lets the reference's form decide.
        tolerance: None where numbers must be equal.
        unit: the unit that a bare reference is in ('' unknown).
        unit_required: whether an answer without a unit is wrong.
    """

    choices: Mapping[str, str] = field(default_factory=dict)
    answer_type: AnswerType | None = None
    tolerance: Tolerance | None = None
    unit: str = ""
    unit_required: bool = False

    @classmethod
    def of(cls, extra_info: Mapping[str, Any]) -> AnswerSpec:
        """Read the optional keys of ``extra_info``; others are ignored.

        Raises:
            ValueError: naming everything that is wrong with them.
        """
        read: dict[str, Any] = {}
        wrong = []
        for key, parse in _PARSERS.items():
            value = extra_info.get(key)
            if value is None:
                continue
            try:
                read.update(parse(value))
            except (TypeError, ValueError) as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError("; ".join(wrong))
        return cls(**read)


def _answer_type(value: object) -> dict[str, Any]:
    try:
        return {"answer_type": AnswerType(value)}
    except ValueError:
        known = ", ".join(kind.value for kind in AnswerType)
        raise ValueError(f"unknown answer_type {value!r}; there are {known}") from None


def _unit(value: object) -> dict[str, Any]:
    """``required``, ``optional``, a unit's name, or ``{name: ..., required: ...}``."""
    if isinstance(value, bool):
        return {"unit_required": value}
    if isinstance(value, str):
        if value.strip().lower() in ("required", "optional"):
            return {"unit_required": value.strip().lower() == "required"}
        return {"unit": value.strip()}
    if isinstance(value, Mapping) and set(value) <= {"name", "required"}:
        return {
            "unit": str(value.get("name") or "").strip(),
            "unit_required": bool(value.get("required")),
        }
    raise ValueError(f"unit must be required, optional, a unit or both as a mapping, not {value!r}")


_PARSERS = {
    "choices": lambda value: {"choices": read_choices(value)},
    "answer_type": _answer_type,
    "tolerance": lambda value: {"tolerance": Tolerance.of(value)},
    "unit": _unit,
}
