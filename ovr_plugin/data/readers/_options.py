r"""Multiple-choice options that stand in the question's own text, as in NuminaMath and ORZ.

``(A) 74 (B) 75``, ``$\textbf{(A)}\ 74 \qquad \textbf{(B)}\ 75$`` and lines ``A. 74`` are found.
They are kept where the reference is one of their letters, so that an answer by value counts too.
"""

from __future__ import annotations

import re
from typing import Any

from ovr_plugin.data.readers._rows import number_or_none
from ovr_plugin.data.sample import letters

_STYLE = r"\\(?:text|textbf|mathrm|mathbf|textrm)"
_LABEL = re.compile(
    rf"{_STYLE}\s*\{{\s*\(?([A-J])[).]?\s*\}}\s*[).]?"  # \textbf{(A)}, \text{A})
    r"|(?<![A-Za-z0-9\\])\(\s*([A-J])\s*\)"  # (A)
    r"|(?:^|\n|\s{2,}|\\qquad|;)\s*([A-J])[.:)](?=\s)"  # A. at the beginning of a line
)
_LETTER = re.compile(rf"(?:{_STYLE}\s*\{{)?\s*\(?\s*([A-J])\s*\)?[.:]?\s*\}}?")
_SPACE = r"\\ |\\[,;:!]|~|\\q?quad|\s"
_EDGE = re.compile(rf"^(?:{_SPACE}|[:.}}])+|(?:{_SPACE}|[,;&]|\\\\)+$")


def answer_facts(question: str, answer: str) -> dict[str, Any]:
    """``ground_truth``, ``answer_type`` and ``choices`` of a text question, for `Sample`."""
    answer = answer.strip()
    letter = _LETTER.fullmatch(answer)
    choices = options_in(question) if letter else []
    if letter and letter[1] in letters(len(choices)):
        return {"ground_truth": letter[1], "answer_type": "choice", "choices": choices}
    return {"ground_truth": answer, "answer_type": number_or_none(answer)}


def options_in(question: str) -> list[str]:
    """The texts of the options A, B, ... that end the question; empty where they are not clear."""
    found = [(next(filter(None, m.groups())), m) for m in _LABEL.finditer(question)]
    starts = [place for place, (letter, _) in enumerate(found) if letter == "A"]
    if not starts:
        return []
    found = found[starts[-1] :]
    if [letter for letter, _ in found] != letters(len(found)) or len(found) < 2:
        return []
    ends = [match.start() for _, match in found[1:]] + [len(question)]
    texts = [_text(question[m.end() : end]) for (_, m), end in zip(found, ends, strict=True)]
    return texts if all(texts) and len(set(texts)) == len(texts) else []


def _text(option: str) -> str:
    text = option.strip()
    while (stripped := _EDGE.sub("", text)) != text:
        text = stripped
    if text.count("$") % 2:  # the formula was opened before the label, or is closed after it
        text = text.strip("$").strip() if text.count("$") == 1 else f"${text}"
    return _EDGE.sub("", text)
