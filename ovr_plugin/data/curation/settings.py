"""A mapping in, a checked dataclass out, every mistake collected with the place it was made at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_settings(kind: type[T], given: Any, where: str, errors: list[str]) -> T | None:
    """A ``kind`` with the values of ``given``; None, and lines in ``errors``, if that is wrong.

    ``kind`` may have a method ``problems()`` that returns what is wrong beyond the types; it is
    asked of the right values where others are wrong.
    """
    n_before = len(errors)
    made, wrong = read_right(kind, given, where, errors)
    if made is not None:
        lines: list[str] = getattr(made, "problems", list)()
        errors += [f"{where}{line}" for line in lines if not is_told(line, wrong)]
    return made if len(errors) == n_before else None


def read_right(
    kind: type[T], given: Any, where: str, errors: list[str]
) -> tuple[T | None, set[str]]:
    """A ``kind`` with those values that have the right type, and the names of the other ones.

    None where no ``kind`` can be made of them. Lines in ``errors`` say what is wrong.
    """
    if not isinstance(given, Mapping):
        errors.append(f"{where}: must be a mapping of settings, not {given!r}")
        return None, set()
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    errors += [
        f"{where}: no setting {key!r}; there are {', '.join(known)}"
        for key in given
        if key not in known
    ]
    wrong: set[str] = set()
    lacks = False
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if name in given and not _fits(given[name], hints[name]):
            errors.append(f"{where}.{name}: must be {_in_words(hints[name])}, not {given[name]!r}")
        elif required and name not in given:
            errors.append(f"{where}.{name}: is missing; it must be {_in_words(hints[name])}")
        else:
            continue
        wrong.add(name)
        lacks |= required
    if lacks:
        return None, wrong
    names = [key for key in given if key in known and key not in wrong]
    right = {key: _converted(given[key], hints[key]) for key in names}
    return kind(**right), wrong


def is_told(line: str, wrong: set[str]) -> bool:
    """Whether what ``problems()`` says follows from values whose type is wrong already.

    A line without a name is about several values: none may be wrong then.
    """
    if line.startswith(": "):
        return bool(wrong)
    return any(line.startswith((f".{name}:", f".{name}.", f".{name}[")) for name in wrong)


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if get_origin(hint) is list:
        [element] = get_args(hint)
        return isinstance(value, list) and all(_fits(each, element) for each in value)
    if get_origin(hint) is dict:
        _, element = get_args(hint)
        return isinstance(value, dict) and all(
            isinstance(key, str) and _fits(each, element) for key, each in value.items()
        )
    if hint is Any:
        return True
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _converted(value: Any, hint: Any) -> Any:
    return float(value) if hint is float else value


def _in_words(hint: Any) -> str:
    names = {
        str: "text",
        int: "an integer",
        float: "a number",
        bool: "true or false",
        type(None): "null",
    }
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_in_words(each) for each in get_args(hint))
    if get_origin(hint) is list:
        return f"a list, each {_in_words(get_args(hint)[0])}"
    if get_origin(hint) is dict:
        return f"a mapping of names, each to {_in_words(get_args(hint)[1])}"
    return names.get(hint, "a value")
