"""Completions as hosts pass them, in; the model's text and whether it was cut off, out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

# Whose messages are not the model's; a message without a role is.
OTHER_ROLES = frozenset(("system", "developer", "user", "tool", "environment"))
END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<eos>",
    "<pad>",
    "</s>",
    "<｜end▁of▁sentence｜>",  # noqa: RUF001 (DeepSeek's own)
)
TAIL_CHARS = 200  # of a prompt, by which its end is found in a query


def response_text(completion: Any) -> str:
    """Return the model's text: of a list of messages, the last one that is the model's.

    Without any, and for a message without content (a call of a tool), it is empty.

    Args:
        completion: a text, a message or a list of messages, each with ``role`` and ``content`` as
            keys or attributes; content is a text or a list of parts, of which the texts count.

    Raises:
        TypeError: if it is anything else; the text says what.
    """
    if isinstance(completion, str):
        return completion
    if _is_message(completion):
        return _content(completion)
    if not isinstance(completion, Sequence) or isinstance(completion, bytes):
        raise TypeError(
            f"a completion must be a text or a list of messages, not {_kind(completion)}"
        )
    for message in completion:
        if not _is_message(message):
            raise TypeError(f"a message must have a role and content, and one is {_kind(message)}")
    own = [message for message in completion if _get(message, "role") not in OTHER_ROLES]
    return _content(own[-1]) if own else ""


def response_in(query: str, prompt: Any, response_start: str) -> str:
    """Return the response of a query, which is prompt and response decoded as one text.

    A prompt may hold a box of its own ("put your answer into ..."), so it has to be cut off. It
    need not stand in the query as it is: a processor makes one image marker many, and tokenizers
    put a token before it. So its end is looked for, and else the first ``response_start``.

    Raises:
        TypeError: if the query is no text.
        ValueError: if neither is found.
    """
    if not isinstance(query, str):
        raise TypeError(f"a query must be a text, not {_kind(query)}")
    if isinstance(prompt, str) and prompt:
        if query.startswith(prompt):
            return query[len(prompt) :]
        tail = prompt[-TAIL_CHARS:]
        if (start := query.find(tail)) >= 0:
            return query[start + len(tail) :]
    if response_start and (start := query.find(response_start)) >= 0:
        return query[start + len(response_start) :]
    raise ValueError(
        "cannot tell a response from its prompt: the query holds neither the prompt's end nor "
        f"{response_start!r}; pass response_start=... with what opens the model's turn"
    )


def without_end_tokens(text: str) -> str:
    """Return the text without the special tokens and blanks that end it."""
    end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        token = next((each for each in END_TOKENS if text.endswith(each, 0, end)), None)
        if token is None:
            return text[:end]
        end -= len(token)


def token_set(token_ids: int | Collection[int] | None) -> frozenset[int]:
    """Return the ids of a tokenizer's or model's ``eos_token_id`` as a set; empty for None."""
    if token_ids is None:
        return frozenset()
    return frozenset((token_ids,) if isinstance(token_ids, int) else token_ids)


def cut_off(
    completion_ids: Sequence[Any] | None, eos: Collection[int], max_length: int | None
) -> bool:
    """Whether a response was cut off: it reached ``max_length`` and does not end in ``eos``.

    What is not known (no ``eos``, no ``max_length``) does not count; without both it is False.
    """
    if completion_ids is None or len(completion_ids) == 0 or (not eos and max_length is None):
        return False
    if max_length is not None and len(completion_ids) < max_length:
        return False
    return int(completion_ids[-1]) not in eos


def _is_message(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "content" in value or "role" in value
    return hasattr(value, "content") and hasattr(value, "role")


def _get(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, Mapping) else getattr(message, name, None)


def _content(message: Any) -> str:
    content = _get(message, "content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or isinstance(content, bytes):
        raise TypeError(f"a message's content must be a text or a list, not {_kind(content)}")
    texts = [part if isinstance(part, str) else _get(part, "text") for part in content]
    return "".join(text for text in texts if isinstance(text, str))


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
