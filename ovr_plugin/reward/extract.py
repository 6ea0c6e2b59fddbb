r"""A response in, the text of its final answer out: the last complete box after the thinking.

``\boxed{...}`` and ``\fbox{...}`` count, wherever they stand (OVR 3.2 ignores format and style).
Thinking that was opened and never closed is no answer, whatever boxes it holds. A box without
braces is none: LaTeX would put the 4 alone of ``\boxed 42`` into it. Two options, off by default,
take ``<answer>`` tags and answers that only prose announces, each where all before it is missing.

The search runs from the end and stops at the answer; no character is scanned more than a few times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
TAG_OPEN, TAG_CLOSE = "<answer>", "</answer>"

_TAG_END = "think>"  # of both tags: one search finds the last of them
MAX_JOINED = 64  # boxes of one list
MAX_JOINT_CHARS = 80  # between two of them
UNBOXED_TAIL_CHARS = 2000  # where an unboxed answer is looked for
BARE_CHARS = 300  # of a response that is nothing but its answer

_WORKED = ("box", TAG_OPEN, "####")  # one of them is in every worked solution that is read
_BOX_OPEN = re.compile(r"\\(?:boxed|fbox)\s*\{")
_ESCAPE_OR_BRACE = re.compile(r"\\.|[{}]")
# Layout between two boxes, and the variable of `x = \boxed{1} or x = \boxed{2}`.
_LAYOUT = re.compile(
    r"\\(?:q?quad|text|mathrm|textbf|[ ,;:!()\[\]])|[a-zA-Z](?:_\{?\w{1,3}\}?)?\s*=|[\s$*{}]"
)
_JOINTS = frozenset(", ; , and or ,and ,or ;and & 和 或 与 以及 、 ， ；".split())  # noqa: RUF001

_CUE = re.compile(
    r"(?:\banswers?|\b(?:correct|right) (?:option|choice)|答案)"
    r"(?:\*\*)?\s{0,2}(?:\b(?:is|are)\b|应?[是为為])?(?:\*\*)?\s{0,2}[:：=]?(?:\*\*)?"  # noqa: RUF001
    r"(?:\s{0,2}\bthe\s[^.:\n]{1,60}?\s(?:is|are)\b)?\s{0,4}",
    re.IGNORECASE,
)
_SAYS = re.compile(r"\b(?:is|are)\b|[:：=是为為]", re.IGNORECASE)  # noqa: RUF001
_SENTENCE_END = re.compile(r"\n|<\||[.!?](?=\s|\*|<|$)|。")
# Nothing but an option, with its text or without, or a word or two.
_BARE = re.compile(r"\(?[A-Z](?:[.:]|\)[.:]?)(?: .+)?|\S+(?: \S+)?")
_FORMULAS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def extract_answer(
    response: str, *, answer_tags: bool = False, unboxed: bool = False
) -> str | None:
    """Return what the last complete box after the thinking holds, stripped; None without one.

    An empty last box is an empty string: the response gave no answer, and an earlier box is not it.

    Args:
        response: the model's text, thinking included.
        answer_tags: without a box, take the last complete ``<answer>...</answer>``.
        unboxed: without either, take what follows "the answer is", "Answer:" or the like in the
            last `UNBOXED_TAIL_CHARS` characters, or else the formula that ends the response, or
            the response itself, if that is just an option ("B. red") or two words ("13 cm").
    """
    answers = extract_answers(response, answer_tags=answer_tags, unboxed=unboxed)
    return answers[-1] if answers else None


def extract_answers(
    response: str, *, answer_tags: bool = False, unboxed: bool = False
) -> list[str]:
    r"""Return `extract_answer`'s one, after the boxes that are joined to it; empty without one.

    Joined are boxes with nothing between them but layout and a comma, "and", "or" or the like:
    ``\boxed{1} and \boxed{2}`` is a list where the reference is one.
    """
    text = final_text(response)
    if text is None:
        return []
    if boxes := last_boxes(text):
        return boxes
    answer = last_tagged(text) if answer_tags else None
    if answer is None and unboxed:
        answer = announced(text)
    return [] if answer is None else [answer]


def final_answer(reference: Any) -> Any:
    r"""Return the final answer of a reference that is a worked text; any other as it is.

    Of a text with a ``\boxed{}`` or ``<answer>`` tag (``solution`` of MATH and of Open R1's sets)
    it is what stands there, as in a response; a text that ends in GSM8K's ``#### 72`` means 72.
    """
    if not isinstance(reference, str) or not any(mark in reference for mark in _WORKED):
        return reference
    answers = extract_answers(reference, answer_tags=True)
    if answers:
        return ", ".join(answers)
    _, mark, last = reference.rpartition("####")
    return last.strip() if mark and last.strip() and "\n" not in last.strip() else reference


def final_text(response: str) -> str | None:
    """Return the text after the last ``</think>``, or None if thinking is still open at the end."""
    end = response.rfind(_TAG_END)
    while end >= 0:
        if response.endswith(THINK_CLOSE, 0, end + len(_TAG_END)):
            return response[end + len(_TAG_END) :]
        if response.endswith(THINK_OPEN, 0, end + len(_TAG_END)):
            return None
        end = response.rfind(_TAG_END, 0, end)
    return response


def last_boxes(text: str) -> list[str]:
    """Return what the complete box that starts last holds, after those joined to it; or nothing.

    Of nested boxes that is the innermost; a box that is never closed does not count.
    """
    found: list[str] = []
    # Where the search for a closing brace ends. What an unclosed box would need, no box around it
    # can have: behind an unclosed box the text is out, and nothing is searched twice.
    end = len(text)
    for start in _commands_from_the_end(text):
        opened = _BOX_OPEN.match(text, start, end)
        closing = _closing_brace(text, opened.end(), end) if opened else -1
        if found and (closing < 0 or not _is_joint(text, closing + 1, end)):
            break
        if opened and closing >= 0:
            found.append(text[opened.end() : closing].strip())
            if len(found) == MAX_JOINED or not _may_be_joined(text, start):
                break
            end = start
        elif opened:
            end = start
    return found[::-1]


def last_tagged(text: str) -> str | None:
    """Return what the last complete ``<answer>...</answer>`` holds, stripped; None without one."""
    closing = text.rfind(TAG_CLOSE)
    opened = text.rfind(TAG_OPEN, 0, max(closing, 0))
    return text[opened + len(TAG_OPEN) : closing].strip() if opened >= 0 else None


def announced(text: str) -> str | None:
    """Return the answer that ``text`` announces at its end, closes with or is; None without one."""
    tail = text[-UNBOXED_TAIL_CHARS:]
    cues = [cue for cue in _CUE.finditer(tail) if _SAYS.search(cue.group())]
    if cues:
        return _said(tail[cues[-1].end() :])
    tail = tail.rstrip(" \n.。*")
    for opening, closing in _FORMULAS:
        if tail.endswith(closing):
            start = tail.rfind(opening, 0, len(tail) - len(closing))
            if start >= 0:
                return tail[start + len(opening) : len(tail) - len(closing)].strip() or None
    bare = text.strip()
    return bare if len(bare) <= BARE_CHARS and _BARE.fullmatch(bare) else None


def _said(text: str) -> str | None:
    """The formula that ``text`` starts with, or its first sentence."""
    for opening, closing in _FORMULAS:
        end = text.find(closing, len(opening)) if text.startswith(opening) else -1
        rest = text[end + len(closing) :] if end >= 0 else ""
        if end >= 0 and (not rest.strip() or _SENTENCE_END.match(rest.lstrip(" *"))):
            return text[len(opening) : end].strip() or None
    end_of_sentence = _SENTENCE_END.search(text)
    sentence = text[: end_of_sentence.start()] if end_of_sentence else text
    return sentence.strip(" *") or None


def _commands_from_the_end(text: str) -> Iterator[int]:
    """Where box commands stand, last first; either kind is searched for once over."""
    boxed, end = text.rfind(r"\boxed"), len(text)
    while True:
        fbox = text.rfind(r"\fbox", max(boxed, 0), end)
        if max(fbox, boxed) < 0:
            return
        yield max(fbox, boxed)
        end = max(fbox, boxed)
        if fbox < 0:
            boxed = text.rfind(r"\boxed", 0, boxed)


def _closing_brace(text: str, start: int, end: int) -> int:
    r"""Where the brace that was opened before ``start`` is closed, or -1; ``\{`` is no brace."""
    first = text.find("}", start, end)
    if first < 0 or not ("{" in text[start:first] or "\\" in text[start:first]):
        return first
    depth = 1
    for token in _ESCAPE_OR_BRACE.finditer(text, start, end):
        kind = token.group()
        depth += (kind == "{") - (kind == "}")
        if not depth:
            return token.start()
    return -1


def _may_be_joined(text: str, start: int) -> bool:
    return text.rfind("}", max(0, start - MAX_JOINT_CHARS), start) >= 0


def _is_joint(text: str, start: int, end: int) -> bool:
    if end - start > MAX_JOINT_CHARS:
        return False
    return _LAYOUT.sub("", text[start:end]).lower() in _JOINTS
