r"""A response in, the text of its final answer out: the last complete box after the thinking.

``\boxed{...}`` and ``\fbox{...}`` count, wherever they stand (OVR 3.2 ignores format and style).
Thinking that was opened and never closed is no answer, whatever boxes it holds. One pass over the
text with tokens of bounded length: the time is linear in the response, however hostile.
"""

from __future__ import annotations

import re

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"

# A box may have a doubled backslash (text that went through JSON); `\{` and `\\` are no braces.
_TOKENS = re.compile(r"\\{1,2}(?:boxed|fbox)(?![a-zA-Z])|\\.|[{}]", re.DOTALL)


def extract_answer(
    response: str, *, answer_tags: bool = False, unboxed: bool = False
) -> str | None:
    """Return what the last complete box after the thinking holds, stripped; None without one.

    An empty last box is an empty string: the response gave no answer, and an earlier box is not it.
    """
    answer = final_text(response)
    return None if answer is None else last_box(answer)


def final_text(response: str) -> str | None:
    """Return the text after the last ``</think>``, or None if thinking is still open at the end."""
    after = response[response.rfind(THINK_CLOSE) + len(THINK_CLOSE) :]
    text = after if THINK_CLOSE in response else response
    return None if THINK_OPEN in text else text


def last_box(text: str) -> str | None:
    """Return the content of the complete box that starts last, stripped; None without one.

    Of nested boxes that is the innermost; a box that is never closed does not count.
    """
    if "boxed" not in text and "fbox" not in text:
        return None
    open_boxes: list[
        int | None
    ] = []  # per open brace: where its box's content starts, if it is one
    command_end: int | None = None
    start, end = -1, -1
    for token in _TOKENS.finditer(text):
        kind = token.group()
        if kind == "{":
            boxed = command_end is not None and not text[command_end : token.start()].strip()
            open_boxes.append(token.end() if boxed else None)
        elif kind == "}" and open_boxes:
            opened = open_boxes.pop()
            if opened is not None and opened > start:
                start, end = opened, token.start()
        command_end = token.end() if kind.endswith("box") or kind.endswith("boxed") else None
    return text[start:end].strip() if start >= 0 else None
