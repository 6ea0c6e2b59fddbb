"""The pictures of a raw row: bytes in the row, or a path below the corpus that must be there.

What a row says is not trusted: a path that leads out of the corpus, however it is spelt, is
refused. Links on the disk are followed: whoever set the folder up put them there, and the Hub's own
cache consists of them. (Links inside archives are refused when these are unpacked.)
"""

from __future__ import annotations

import os

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.readers._rows import RawRow, RowError, is_unicode


def picture_of(raw: RawRow, field: str = "image") -> ImageRef:
    """The picture in a row: the Hub's struct of bytes and path, or a path beside the file."""
    return picture(raw, raw.field(field, (dict, str)), field)


def picture(raw: RawRow, value: object, name: str = "image") -> ImageRef:
    """A picture given as the Hub's struct, as bytes, or as a path."""
    if isinstance(value, str):
        return picture_at(raw, value)
    if isinstance(value, bytes) and value:
        return ImageRef(data=value)
    data, path = (
        (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (None, None)
    )
    if isinstance(data, bytes) and data:
        return ImageRef(data=data)
    if isinstance(path, str) and path:
        return picture_at(raw, path)
    raise RowError(f"no picture: {name!r} has neither bytes nor path")


def picture_at(raw: RawRow, path: str) -> ImageRef:
    """A picture named relative to the corpus or the row's file; it must lie inside the corpus."""
    if "://" in path:
        raise RowError(f"image given by URL: {path:.200}; download it and give its path")
    root = os.path.abspath(raw.root)
    beside = os.path.join(root, os.path.dirname(raw.file))
    places = [os.path.normpath(os.path.join(base, path)) for base in (root, beside)]
    inside = [place for place in places if place.startswith(root + os.sep)]
    if not is_unicode(path):
        raise RowError(f"the picture's path is not valid Unicode: {path!r:.200}")
    if not inside or "\0" in path:
        raise RowError(f"the picture lies outside the corpus: {path!r:.200}")
    for place in inside:
        if os.path.isfile(place):
            return ImageRef(path=place)
    raise RowError(f"the picture is not there: {path:.200}")
