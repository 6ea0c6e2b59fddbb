"""The body of an answer in, completions out; what is not of the interface's form is told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ovr_plugin.reward.extract import THINK_CLOSE, THINK_OPEN

MAX_TOKENS = 1 << 31  # a count beyond it is none


class Rubbish(ValueError):
    """A body that is not what was asked for; the text says in what."""


@dataclass(frozen=True)
class Completion:
    """One sampled response.

    Attributes:
        text: thinking included; where the server returns it apart, inside ``<think>`` tags. Always
            encodable: half a surrogate pair is U+FFFD.
        truncated: it was cut off at the length limit.
        finish_reason: the server's word.
        n_tokens: of the response, as the server counts them; None where it does not say, or tells
            several responses' together.
    """

    text: str
    truncated: bool = False
    finish_reason: str = ""
    n_tokens: int | None = field(default=None, compare=False)


def parsed(content: bytes, wanted: str) -> dict[str, Any]:
    """The answer, which has the list that was ``wanted``, ``choices`` or ``data``.

    Raises:
        Rubbish: it has not, or one of its elements is malformed, or there is no choice.
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        raise Rubbish(f"not JSON: {_start(content)}") from None
    elements = answer.get(wanted) if isinstance(answer, dict) else None
    is_good = _is_choice if wanted == "choices" else _is_model
    if not isinstance(elements, list) or not all(map(is_good, elements)):
        raise Rubbish(f"no list of {wanted}: {_start(content)}")
    if wanted == "choices" and not elements:
        raise Rubbish("an empty list of choices")
    return dict(answer)


def completions(answer: dict[str, Any]) -> list[Completion]:
    """The completions of a ``parsed`` answer."""
    choices, usage = answer["choices"], answer.get("usage")
    n_tokens = count(usage.get("completion_tokens")) if isinstance(usage, dict) else None
    return [_completion(choice, n_tokens if len(choices) == 1 else None) for choice in choices]


def count(value: Any) -> int | None:
    """A count of tokens; None for what is none."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < MAX_TOKENS else None


def _start(content: bytes) -> str:
    return repr(content[:80].decode(errors="replace"))


def _is_model(model: Any) -> bool:
    return isinstance(model, dict) and "id" in model


def _is_choice(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return False
    return all(
        message.get(key) is None or isinstance(message[key], str)
        for key in ("content", "reasoning_content", "reasoning")
    )


def _completion(choice: dict[str, Any], n_tokens: int | None) -> Completion:
    """One choice; DeepSeek's API and vLLM's reasoning parsers give the thinking apart."""
    message = choice["message"]
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    content = message.get("content") or ""
    finish_reason = str(choice.get("finish_reason") or "")
    truncated = finish_reason == "length"
    if thinking:
        # Cut off while thinking, it must not look as if it had ended.
        ended = content or not truncated
        content = f"{THINK_OPEN}\n{thinking.strip()}\n" + (
            f"{THINK_CLOSE}\n\n{content.strip()}" if ended else ""
        )
    return Completion(_encodable(content), truncated, _encodable(finish_reason), n_tokens)


def _encodable(text: str) -> str:
    """JSON may hold half a surrogate pair, and no file may."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
