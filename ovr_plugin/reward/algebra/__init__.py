"""Algebra: whether two texts of LaTeX say the same, as a worker process asks (`load`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

from ovr_plugin.reward.algebra import rehearsal
from ovr_plugin.reward.algebra.comparison import compare, explain, explain_pair
from ovr_plugin.reward.algebra.safety import shut_text_evaluation

__all__ = ["compare", "explain", "explain_pair", "load", "warm_up"]


def load() -> Callable[[str, str, list[float] | None], str]:
    """Import what sympy imports late, shut all ways from text to code, and return `compare`."""
    for module in rehearsal.MODULES:
        importlib.import_module(module)
    shut_text_evaluation()
    compare(*rehearsal.PAIRS[0])
    return compare


def warm_up() -> Iterator[None]:
    """Do in small steps what makes the first questions quick."""
    for text in rehearsal.EXPRESSIONS:
        explain(text)
        yield
    for reference, answer in rehearsal.PAIRS:
        compare(reference, answer)
        yield
