r"""``\pm`` and ``\mp`` in, the values that they stand for out."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from ovr_plugin.reward.algebra.items import Group, Items, Unreadable, count_signs

MAX_SIGNS = 3  # of one value
_PLUS_MINUS, _MINUS_PLUS = frozenset(("\\pm",)), frozenset(("\\mp",))


def variants(items: Items) -> list[Items]:
    r"""Write out each ``\pm`` by itself; a ``\mp`` ties all of them to each other.

    Raises:
        Unreadable: if there are more than `MAX_SIGNS`.
    """
    n_tied = count_signs(items, _MINUS_PLUS)
    n = count_signs(items, _PLUS_MINUS) + n_tied
    if n > MAX_SIGNS:
        raise Unreadable("too many signs that are plus or minus")
    choices = ["+" * n, "-" * n] if n_tied else map("".join, product("+-", repeat=n))
    return [_with_signs(items, list(choice)) for choice in choices]


def _with_signs(items: Items, signs: list[str]) -> Items:
    """Take ``signs`` one by one for those that are open."""
    written = []
    for item in items:
        if isinstance(item, Group):
            item = replace(item, items=_with_signs(item.items, signs))
        elif item == "\\pm":
            item = signs.pop(0)
        elif item == "\\mp":
            item = "-" if signs.pop(0) == "+" else "+"
        written.append(item)
    return tuple(written)
