r"""How repetitive a response is and how often it reconsiders, as Open-Reasoner-Zero logs them.

Both scores are ORZ's own (``repeatness`` in playground/orz_7b_ppo.py, ``check_reflection_pattern``
in orz/ppo/utils.py), so that curves can be laid over each other. ORZ's loops take seconds for a
long response; the same number is computed here with sorted arrays.
"""

from __future__ import annotations

import re

import numpy as np

# ORZ's words, and as there in lower case: "Wait," at the start of a sentence is not counted.
REFLECTION = re.compile(r"wait,|recheck[,\s]|retry|alternatively,|however,")


def text_scores(text: str) -> dict[str, float]:
    """Return ``repetition`` and ``reflection_words`` of a response."""
    return {"repetition": repetition(text), "reflection_words": len(REFLECTION.findall(text))}


def repetition(text: str) -> float:
    """Return ORZ's repeat score, the share of substrings that are another's copy: 0 to nearly 1.

    ORZ sums the common prefixes of neighbours in the suffix array over n (n + 1) / 2; that sum is
    the number of all substrings less that of the different ones.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    n = len(codes)
    if n < 2:
        return 0.0
    return float(_common_prefixes(codes).sum(dtype=np.int64) * 2 / (n * (n + 1)))


def _common_prefixes(codes: np.ndarray) -> np.ndarray:
    """Lengths of the common prefixes of neighbouring suffixes, in the order of suffixes."""
    alphabet, symbols = np.unique(codes, return_inverse=True)
    n_bits = len(alphabet).bit_length()  # the code 0 is left for the end
    width = 62 // n_bits  # symbols that fit into one number
    symbols = symbols.astype(np.int64) + 1
    keys = np.zeros(len(codes), dtype=np.int64)
    for place in range(width):
        keys = (keys << n_bits) | _shifted(symbols, place)
    # ranks[j] orders suffixes by their first width * 2**j symbols.
    order, ranks = _rank(keys)
    levels = [ranks]
    while ranks[order[-1]] < len(codes) - 1:  # some are still alike
        reach = width << (len(levels) - 1)
        keys = levels[-1] * (len(codes) + 1) + _shifted(levels[-1] + 1, reach)
        order, ranks = _rank(keys)
        levels.append(ranks)
    first, second = order[:-1].copy(), order[1:].copy()
    lengths = np.zeros(len(codes) - 1, dtype=np.int64)
    steps = [(width << level, levels[level]) for level in reversed(range(len(levels)))]
    for step, names in [*steps, *[(1, symbols)] * (width - 1)]:
        padded = np.append(names, -1)  # beyond the end: equal to nothing
        same = padded[first] == padded[second]
        first, second = first + step * same, second + step * same
        lengths = lengths + step * same
    return lengths


def _rank(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of ``keys``, and for each its place among the different ones."""
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(in_order[1:] != in_order[:-1])])
    return order, ranks


def _shifted(values: np.ndarray, places: int) -> np.ndarray:
    """``values`` moved to the front by ``places``, with zeros behind."""
    return np.concatenate([values[places:], np.zeros(min(places, len(values)), values.dtype)])
