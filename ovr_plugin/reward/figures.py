r"""Names of geometric figures: a sign and points in, which figure it is out.

A sign that only one side has (``\overline{AB}``, ``AB``) is ignored; two must agree. A segment and
an angle may be named from either end, a triangle in any order, a ray or a vector only as it goes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.normalize import plain_text

if TYPE_CHECKING:
    from ovr_plugin.reward.spec import AnswerSpec

_FIGURE = re.compile(
    r"(?:(?P<sign>\\(?:overline|bar|overrightarrow|vec|overleftrightarrow|angle|triangle)|"
    r"(?i:segment|line|side|edge|ray|vector|angle|triangle))\s?)?"
    r"\{?\s?(?P<points>[A-Z](?:['_]\d?)?(?:\s?[A-Z](?:['_]\d?)?){1,3})\s?\}?"
)
_SIGNS = {
    "overline": "segment",
    "bar": "segment",
    "side": "segment",
    "edge": "segment",
    "overrightarrow": "vector",
    "vec": "vector",
    "overleftrightarrow": "line",
}


def decide(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare two figures of which one, at least, has a sign or a word for its kind."""
    if "\\" not in reference + answer and " " not in reference + answer:
        return None
    right, given = _read(reference), _read(answer)
    if right is None or given is None or not (right[0] or given[0]):
        return None
    kinds = {right[0], given[0]} - {""}
    same = len(kinds) == 1 and _same_points(kinds.pop(), right[1], given[1])
    return Comparison(same, "figure", right, given)


def _read(text: str) -> tuple[str, tuple[str, ...]] | None:
    figure = _FIGURE.fullmatch(plain_text(text))
    if figure is None:
        return None
    sign = (figure["sign"] or "").lower().lstrip("\\")
    return _SIGNS.get(sign, sign), tuple(re.findall(r"[A-Z](?:['_]\d?)?", figure["points"]))


def _same_points(kind: str, right: tuple[str, ...], given: tuple[str, ...]) -> bool:
    if kind == "triangle":
        return sorted(right) == sorted(given)
    return right == given or (kind in ("segment", "line", "angle") and right == given[::-1])
