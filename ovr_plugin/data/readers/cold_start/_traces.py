r"""Reasoning traces in every spelling, one spelling out.

A response is ``<think>\n{thinking}\n</think>\n\n{solution}``, DeepSeek-R1's own form. Corpora spell
it with ``<think>`` tags, with Sky-T1's ``<|begin_of_thought|>`` ones, or keep both parts in fields.
A trace that was cut, has no thinking, or has tags where none belong is a bad row.
"""

from __future__ import annotations

import re
from typing import Any

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.sample import Message

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
SKY_THOUGHT = re.compile(
    r"\s*<\|begin_of_thought\|>(?P<thinking>.*)<\|end_of_thought\|>\s*"
    r"<\|begin_of_solution\|>(?P<solution>.*?)(?:<\|end_of_solution\|>)\s*",
    re.DOTALL,
)
SKY_TAG = re.compile(r"<\|(?:begin|end)_of_(?:thought|solution)\|>")
# Glued to the question by the corpora's own prompts; ours takes its place.
PREFIX = "Return your final response within \\boxed{}."
BOXED = "\\boxed"
USER, ASSISTANT, SYSTEM = ("user", "human"), ("assistant", "gpt"), ("system",)


def trace(thinking: str, solution: str) -> str:
    """The response of both parts; `RowError` if one is empty or holds a tag."""
    thinking, solution = thinking.strip(), solution.strip()
    if not thinking:
        raise RowError("no thinking before the solution")
    if not solution:
        raise RowError("no solution after the thinking")
    for part in (thinking, solution):
        if THINK_OPEN in part or THINK_CLOSE in part or SKY_TAG.search(part):
            raise RowError("a thinking tag inside the text")
    return f"{THINK_OPEN}\n{thinking}\n{THINK_CLOSE}\n\n{solution}"


def read_trace(text: str) -> str:
    """The response of a text with tags of either spelling.

    ``<think>`` itself may be missing, as where the prompt ended with it.
    """
    if SKY_TAG.search(text):
        return _sky_trace(text)
    thinking, close, solution = text.partition(THINK_CLOSE)
    if not close:
        cut = THINK_OPEN in text
        raise RowError("the thinking never ends" if cut else "no thinking tags in the response")
    return trace(thinking.strip().removeprefix(THINK_OPEN), solution)


def read_response(text: str) -> str:
    """As `read_trace`; a text without any tag stays as it is."""
    tagged = THINK_OPEN in text or THINK_CLOSE in text or SKY_TAG.search(text)
    response = read_trace(text) if tagged else text.strip()
    if not response:
        raise RowError("the response is empty")
    return response


def _sky_trace(text: str) -> str:
    found = SKY_THOUGHT.fullmatch(text)
    if found:
        return trace(found["thinking"], found["solution"])
    if "<|begin_of_thought|>" not in text:
        raise RowError("the opening tag of the thinking is missing")
    if "<|end_of_thought|>" not in text:
        raise RowError("the thinking never ends")
    raise RowError("the solution has not both of its tags")


def prompt_of(question: str, response: str) -> list[Message]:
    r"""The user's turn: with the instruction to box the answer where the response does so.

    Code and free answers have no box; asked for one, the model would learn to ignore the request.
    """
    question = question.strip().removeprefix(PREFIX).strip()
    if not question:
        raise RowError("the question is empty")
    if BOXED in response:
        return question_prompt(question)
    return [{"role": "user", "content": question}]


def turns_of(raw: RawRow, name: str) -> tuple[str, str]:
    """Question and response of a conversation of one turn each, in any of its spellings.

    A system turn is left out: these corpora put into it how the tags are to be set.
    """
    said: dict[str, list[str]] = {"user": [], "assistant": []}
    for turn in raw.field(name, list):
        role, text = _turn(turn)
        if role in USER:
            said["user"].append(text)
        elif role in ASSISTANT:
            said["assistant"].append(text)
        elif role not in SYSTEM:
            raise RowError(f"unknown turn: {turn!r:.60}")
    if len(said["user"]) != 1 or len(said["assistant"]) != 1:
        counts = f"{len(said['user'])} of the user, {len(said['assistant'])} of the assistant"
        raise RowError(f"not one question and one response: {counts}")
    return said["user"][0], said["assistant"][0]


def _turn(turn: Any) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise RowError(f"unknown turn: {turn!r:.60}")
    role = turn.get("from", turn.get("role"))
    text = turn.get("value", turn.get("content"))
    if not isinstance(role, str) or not isinstance(text, str):
        raise RowError(f"unknown turn: {turn!r:.60}")
    return role, text
