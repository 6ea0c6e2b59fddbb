"""What a comparison says: `Comparison`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """A verdict and how it came about.

    Attributes:
        equal: None where only algebra can tell: then ``reference`` and ``answer`` are LaTeX for it.
        how: the rule that decided, in a word or two.
        reference: the reference as that rule read it.
        answer: the answer as that rule read it.
    """

    equal: bool | None
    how: str = "text"
    reference: object = ""
    answer: object = ""
