"""What a response to learn from must not do (OVR A: "undesirable patterns").

Endless repetition, languages mixed, thinking that does not end, no boxed answer, control tokens of
a chat template, refusals. Each pattern is a function of the response's text (and of the question's,
for its language) that gives a reason or None.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from ovr_plugin.data.control_tokens import SHAPE
from ovr_plugin.data.curation.row import Row
from ovr_plugin.reward.extract import THINK_CLOSE, THINK_OPEN, extract_answer

MIN_COMPRESSED_SHARE = 0.08  # real chains of thought compress to 0.25 to 0.45 of their size
MIN_COMPRESSED_BYTES = 4000
TAIL_CHARS = 20_000
PROBE_CHARS = 64
N_LOOPS = 8  # of the same words one after the other, at the response's end
MAX_OTHER_SCRIPT = 0.005  # of the letters

SCRIPTS = {
    "Chinese or Japanese": re.compile("[぀-ヿ㐀-鿿]"),
    "Cyrillic": re.compile("[Ѐ-ӿ]"),
    "Arabic": re.compile("[؀-ۿ]"),
    "Hebrew": re.compile("[֐-׿]"),
    "Korean": re.compile("[가-힯]"),
    "Thai": re.compile("[฀-๿]"),
    "Devanagari": re.compile("[ऀ-ॿ]"),
}
LETTER = re.compile(r"[^\W\d_]")
CONTROL = re.compile(rf"{SHAPE.pattern}|\[/?INST\]|</?s>")  # and those of other templates
REFUSAL = re.compile(
    r"^\W*(?:I'm sorry|I am sorry|Sorry|I apologi[sz]e|I can(?:no|')t (?:help|assist|answer|see)"
    r"|As an AI\b|I'm unable to)",
    re.IGNORECASE,
)


def repetition(row: Row) -> str | None:
    """The end goes round in circles, or nearly all of a long text is said many times."""
    response = _response(row)
    looped = _loop(response[-TAIL_CHARS:])
    if LETTER.search(looped):  # a row of dashes or zeros is a table or a number
        said = " ".join(looped.split())[:60]
        return f"undesirable, endless repetition: {said!r} over and over"
    data = response.encode(errors="replace")
    if len(data) > MIN_COMPRESSED_BYTES:
        share = len(zlib.compress(data, 1)) / len(data)
        if share < MIN_COMPRESSED_SHARE:
            return f"undesirable, endless repetition: compresses to {share:.1%}"
    return None


def mixed_languages(row: Row) -> str | None:
    """A script that the question does not have makes up more than a few letters of the response.

    A response that is wholly in another language than its question is mixed too: it teaches to
    leave the language of the question. Greek is mathematics everywhere.
    """
    response = _response(row)
    if response.isascii():
        return None
    n_letters = len(LETTER.findall(response))
    for name, script in SCRIPTS.items():
        found = script.findall(response)
        if len(found) > max(MAX_OTHER_SCRIPT * n_letters, 4) and not script.search(row.question):
            return f"undesirable, languages mixed: {len(found)} letters are {name}"
    return None


def unfinished_thinking(row: Row) -> str | None:
    """Thinking is opened and never closed, closed twice, or closed with nothing after it."""
    response = _response(row)
    n_open, n_close = response.count(THINK_OPEN), response.count(THINK_CLOSE)
    if n_open > n_close:
        return "undesirable, thinking does not end: opened and not closed"
    if n_close > 1:
        return f"undesirable, thinking ends {n_close} times: one answer must follow it"
    if n_close and not response.rpartition(THINK_CLOSE)[2].strip():
        return "undesirable, nothing after the thinking: the answer is missing"
    return None


def no_boxed_answer(row: Row) -> str | None:
    """No complete box after the thinking: the reward of the next stage would find no answer."""
    if extract_answer(_response(row)):
        return None
    return "undesirable, no boxed answer: the reward would find none"


def control_tokens(row: Row) -> str | None:
    """A template's tokens in the text, which become real ones when it is tokenised."""
    match = CONTROL.search(_response(row))
    return f"undesirable, control token in the text: {match.group()!r}" if match else None


def refusal(row: Row) -> str | None:
    """The response is an apology."""
    answer = _response(row).rpartition(THINK_CLOSE)[2]
    match = REFUSAL.match(answer.lstrip())
    return f"undesirable, a refusal: {answer.strip()[:60]!r}" if match else None


PATTERNS: dict[str, Callable[[Row], str | None]] = {
    pattern.__name__: pattern
    for pattern in (
        repetition,
        mixed_languages,
        unfinished_thinking,
        no_boxed_answer,
        control_tokens,
        refusal,
    )
}


def _response(row: Row) -> str:
    return str(getattr(row.sample, "response", ""))


def _loop(tail: str) -> str:
    """What the text repeats at its end `N_LOOPS` times, or nothing."""
    before = tail.rfind(tail[-PROBE_CHARS:], 0, len(tail) - 1)
    period = len(tail) - min(len(tail), PROBE_CHARS) - before
    looped = tail[-N_LOOPS * period :]
    if before < 0 or len(looped) < N_LOOPS * period or looped[period:] != looped[:-period]:
        return ""
    return looped[-period:]
