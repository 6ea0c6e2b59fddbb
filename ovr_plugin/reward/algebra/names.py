r"""Tokens in, tokens out in which one name is one `Name`.

The grammar behind reads letters one by one and drops primes; here ``x_{1}'`` becomes ``x_1'``, with
its subscript, accent, prime or star. Absolute values become groups. Brackets' contents are joined
as their brackets close, so that nothing recurses.
"""

from __future__ import annotations

from ovr_plugin.reward.algebra import vocabulary as v
from ovr_plugin.reward.algebra.items import Group, Item, Items, Name, Unreadable, leaves

MAX_POINTS = 4  # of a figure
_PRIMES = {"'": "'", "''": "''", "\\prime": "'"}


def joined(items: list[Item]) -> Items:
    """Return the tokens of one level with its names and absolute values put together."""
    return tuple(_join_names(pair_bars(items)))


def pair_bars(items: list[Item]) -> list[Item]:
    """Make groups of absolute values, unless a bar has no partner."""
    if items.count("|") < 2:
        return items
    frames: list[list[Item]] = [[]]
    for item in items:
        if item != "|":
            frames[-1].append(item)
        elif len(frames) > 1 and _ends_value(frames[-1]):
            inside = _join_names(frames.pop())
            frames[-1].append(Group("|", "|", tuple(inside)))
        else:
            frames.append([])
    return frames[0] if len(frames) == 1 else items


def _ends_value(items: list[Item]) -> bool:
    last = items[-1] if items else "|"
    return not isinstance(last, str) or last[0].isdigit() or last in ("!", "\\pi", "\\infty", "'")


def _join_names(items: list[Item]) -> list[Item]:
    found: list[Item] = []
    i = 0
    while i < len(items):
        item, following = items[i], items[i + 1] if i + 1 < len(items) else None
        i += 1
        if not isinstance(item, str):
            found.append(item)
        elif item in v.FONTS:
            continue
        elif item in v.FIGURES:
            n = _count_points(items[i:])
            found.append(_figure(item, tuple(items[i : i + n])))
            i += n
        elif item in _PRIMES and found and isinstance(found[-1], Name):
            found[-1] = Name(found[-1].text + _PRIMES[item])
        elif following is not None and _join_two(found, item, following):
            i += 1
        else:
            found.append(item)
    return found


def _join_two(found: list[Item], item: str, following: Item) -> bool:
    """Add what a command and its argument are together, if that is one name or mark."""
    if item in v.ACCENTS or item in v.ARROWS:
        found.append(_accented(item, following))
    elif item in ("\\mathbb", "\\Bbb"):
        found.append("\\mathbb{" + "".join(leaves((following,))) + "}")
    elif item == "_" and _takes_subscript(found):
        found.append(_lowered(found.pop(), following))
    elif item == "^" and (mark := _mark(following)):
        _add_mark(found, mark)
    else:
        return False
    return True


def _accented(accent: str, item: Item) -> Item:
    content = item.items if isinstance(item, Group) else (item,)
    text = "".join(leaves(content))
    if len(content) == 1 and (accent in v.ARROWS or (accent.endswith("hat") and text in "ijk")):
        return item
    if len(content) > 1 and accent in ("\\overline", "\\bar") and all(map(_is_point, content)):
        return item  # a segment
    return Name(f"{'vec' if accent in v.ARROWS else accent[1:]} {text}")


def _count_points(items: list[Item]) -> int:
    n = 0
    while n < min(MAX_POINTS, len(items)) and _is_point(items[n]):
        n += 1
    return n


def _is_point(item: Item) -> bool:
    return isinstance(item, Name) or (isinstance(item, str) and item.isdigit())


def _figure(kind: str, points: Items) -> Name:
    texts = leaves(points)
    if kind == "\\triangle":
        return Name("triangle " + "".join(sorted(texts)))
    return Name("angle " + "".join(min(texts, texts[::-1])))


def _takes_subscript(found: list[Item]) -> bool:
    last = found[-1] if found else ""
    return not isinstance(last, str) or last[:1].isdigit() or last == "\\pi"


def _lowered(base: Item, subscript: Item) -> Name:
    if isinstance(base, Group) and len(base.items) == 1 and base.opening == "{":
        base = base.items[0]
    if isinstance(base, Group):
        raise Unreadable("a subscript of something in brackets")
    return Name("".join(leaves((base,))) + "_" + "".join(leaves((subscript,))))


def _mark(item: Item) -> str:
    """What a superscript is that is no power: degrees, primes, a star."""
    texts = item.items if isinstance(item, Group) else (item,)
    if texts and all(isinstance(text, str) and text in _PRIMES for text in texts):
        return "".join(_PRIMES[str(text)] for text in texts)
    is_mark = len(texts) == 1 and texts[0] in ("\\circ", "*", "+", "-")
    return str(texts[0]) if is_mark else ""


def _add_mark(found: list[Item], mark: str) -> None:
    if mark == "\\circ":
        found.append(mark)
    elif found and isinstance(last := found[-1], Name):
        found[-1] = Name(last.text + mark)
    else:
        raise Unreadable(f"a superscript {mark} of no name")
