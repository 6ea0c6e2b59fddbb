"""JSON files larger than memory: a list's elements, or an object's members, one at a time.

Python's own parser reads each element, from a window over the file. Event parsers such as ijson
take memory that grows with the square of the nesting: a hundred kilobytes of brackets end the
process.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

MAX_ELEMENT_CHARS = 2**27  # what has no end before that is no row, and would fill the memory
_WINDOW_CHARS = 2**18
_PIECE_CHARS = 2**13
_EDGE_CHARS = 32  # a fault farther than this from the window's edge is none of its making
_SPACE = " \t\n\r"
_ENDS = frozenset(",]}:" + _SPACE)  # what may follow a value


def list_elements(stream: BinaryIO, within: str = "") -> Iterator[Any]:
    """The elements of a list, or of the list that is the member ``within`` of an object.

    Nothing is skipped: behind a fault it cannot be told whether a quote opens a string or closes
    one, so that what is read on might be no row at all.

    Raises:
        ValueError: not JSON, or not of this form; what came before has been yielded, and the
            message says at which character, from 0, the fault is.
        RecursionError: nested too deeply.
    """
    window = _Window(stream)
    if within:
        for key in window.keys():
            if key == within:
                break
            window.value()
        else:
            raise ValueError(f"there is no member {within!r}")
    window.take("[")
    yield from window.values()
    if not within:
        window.end()


def object_members(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Each key of an object with its value; raises as `list_elements` does."""
    window = _Window(stream)
    for key in window.keys():
        yield key, window.value()
    window.end()


class _Window:
    """The part of a file from which the next element is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = io.TextIOWrapper(stream, encoding="utf-8-sig")
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False
        self._n_before = 0  # characters that are no longer in the window

    def keys(self) -> Iterator[str]:
        """The keys of an object; the caller takes each value."""
        self.take("{")
        if self._next() == "}":
            self._at += 1
            return
        while True:
            if self._next() != '"':
                raise self._fault("a member of the object has no name")
            key: str = self.value()
            self.take(":")
            yield key
            if self._next() == "}":
                self._at += 1
                return
            self.take(",")

    def values(self) -> Iterator[Any]:
        """The elements of a list whose bracket was taken."""
        if self._next() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self._next() == "]":
                self._at += 1
                return
            self.take(",")

    def end(self) -> None:
        """Nothing may follow."""
        if self._next():
            start = self._text[self._at : self._at + 60]
            raise self._fault(f"the end of the file expected, found {start!r}")

    def take(self, wanted: str) -> None:
        """Step over a character that must come now."""
        found = self._next()
        if found != wanted:
            raise self._fault(f"{wanted!r} expected, found {found or 'the end of the file'!r}")
        self._at += 1

    def value(self) -> Any:
        """Read one element, of whatever kind."""
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:  # wrong, or cut by the window's edge
                near_edge = error.pos + _EDGE_CHARS > len(self._text)
                is_cut = near_edge or error.msg.startswith("Unterminated")
                if self._ended or not is_cut:
                    start = self._text[self._at : self._at + 60]
                    raise self._fault(f"{error.msg}: {start!r}", error.pos) from None
            else:
                # A number may go on behind the edge.
                if self._ended or self._text[end : end + 1] in _ENDS:
                    self._at = end
                    return value
            self._grow()

    def _next(self) -> str:
        while True:
            while self._at < len(self._text):
                char = self._text[self._at]
                if char not in _SPACE:
                    return char
                self._at += 1
            if self._ended:
                return ""
            self._grow()

    def _grow(self) -> None:
        self._text = self._text[self._at :]
        self._n_before += self._at
        self._at = 0
        if len(self._text) > MAX_ELEMENT_CHARS:
            raise self._fault(f"an element is longer than {MAX_ELEMENT_CHARS:,} characters")
        # As much again as is there, so that a long element is not read over and over.
        more = self._read(max(_WINDOW_CHARS, len(self._text)))
        self._ended = not more
        self._text += more

    def _read(self, n_chars: int) -> str:
        pieces = []
        try:
            while n_chars > 0 and (piece := self._stream.read(min(n_chars, _PIECE_CHARS))):
                pieces.append(piece)
                n_chars -= len(piece)
        except Exception:  # a gzip file that is cut: what came before it is used first
            if not pieces:
                raise
        return "".join(pieces)

    def _fault(self, what: str, at: int | None = None) -> ValueError:
        place = self._n_before + (self._at if at is None else at)
        return ValueError(f"character {place}: {what}")
