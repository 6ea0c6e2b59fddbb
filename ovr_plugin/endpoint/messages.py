"""A prompt with ``<image>`` placeholders in, the interface's messages with data URLs out."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovr_plugin.data.images import ImageRef, open_image
from ovr_plugin.data.prompt_length import with_image_parts
from ovr_plugin.data.sample import Message

SENT_AS_THEY_ARE = ("PNG", "JPEG", "WEBP", "GIF")  # what every server decodes


def chat_messages(
    prompt: Sequence[Message], images: Sequence[ImageRef] = ()
) -> list[dict[str, Any]]:
    """The messages of a request; pictures are sent as bytes, in their own format where possible.

    Raises:
        OSError: a picture cannot be read.
    """
    parts = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]
    return with_image_parts(prompt, parts)


def data_url(image: ImageRef) -> str:
    """``data:image/png;base64,...``; formats that servers may not know become PNG."""
    from io import BytesIO

    with open_image(image) as opened:
        kind = opened.format or ""
        if kind not in SENT_AS_THEY_ARE:
            buffer = BytesIO()
            opened.convert("RGB").save(buffer, "PNG")
            kind, data = "PNG", buffer.getvalue()
        elif image.data is not None:
            data = image.data
        else:
            data = Path(str(image.path)).read_bytes()
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
