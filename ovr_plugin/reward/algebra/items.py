"""What LaTeX is made of: names, words, groups in brackets; commands, signs and numbers are text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

MAX_DEPTH = 24  # of brackets within brackets


class Unreadable(ValueError):
    """The text is no mathematics that can be compared."""


class Name(NamedTuple):
    """An identifier with all that belongs to it."""

    text: str


class Words(NamedTuple):
    r"""What ``\text{}`` holds."""

    text: str


@dataclass(frozen=True, eq=False)
class Group:
    r"""What stands between brackets; an environment's ``opening`` is its name."""

    opening: str
    closing: str
    items: Items

    depth: int = 0

    def __post_init__(self) -> None:
        """Count how deep it is.

        Raises:
            Unreadable: if it is deeper than `MAX_DEPTH`.
        """
        depth = 1 + max((item.depth for item in self.items if isinstance(item, Group)), default=0)
        if depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        object.__setattr__(self, "depth", depth)


Item = str | Name | Words | Group
Items = tuple[Item, ...]


def leaves(items: Items) -> list[str]:
    """Every token's text, without brackets and backslashes."""
    found: list[str] = []
    for item in items:
        if isinstance(item, Group):
            found += leaves(item.items)
        else:
            found.append((item if isinstance(item, str) else item.text).strip(" \\"))
    return found


def has_sign(items: Items, signs: frozenset[str]) -> bool:
    """Whether one of ``signs`` is among ``items``, outside of groups."""
    return any(isinstance(item, str) and item in signs for item in items)


def count_signs(items: Items, signs: frozenset[str]) -> int:
    """How many of ``items`` are one of ``signs``, inside of groups too."""
    return sum(
        count_signs(item.items, signs)
        if isinstance(item, Group)
        else isinstance(item, str) and item in signs
        for item in items
    )


def names_in(items: Items) -> frozenset[str]:
    """All names among ``items``."""
    found: set[str] = set()
    for item in items:
        if isinstance(item, Group):
            found |= names_in(item.items)
        elif isinstance(item, Name):
            found.add(item.text)
    return frozenset(found)


def renamed(items: Items, names: dict[str, str]) -> Items:
    """Return ``items`` with other names."""
    return tuple(_renamed(item, names) for item in items) if names else items


def _renamed(item: Item, names: dict[str, str]) -> Item:
    if isinstance(item, Group):
        return replace(item, items=renamed(item.items, names))
    return Name(names.get(item.text, item.text)) if isinstance(item, Name) else item


def spelled(items: Items) -> tuple[Any, ...]:
    """Return ``items`` as plain values, which are equal if the tokens are."""
    return tuple(
        (item.opening, spelled(item.items), item.closing) if isinstance(item, Group) else item
        for item in items
    )
