r"""Token ids of a response in, as much of its end out as grades like the whole text.

A final answer sits in the tail, and decoding whole responses takes longer than grading them. Here
windows of tokens are decoded, from the end and growing, until no text in front of the window could
change its boxes. Whether thinking ever ended, where the window does not tell, is looked up in the
ids, among the few tokens that can begin a think tag.

All this holds for a byte-level BPE (Qwen, Llama 3, ...), where decoding joins bytes: a window
decodes to the end of the whole text, but for a first character that was cut in half, which no box
reaches. What other tokenizers made is decoded whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovr_plugin.reward.extract import (
    MAX_JOINT_CHARS,
    THINK_CLOSE,
    THINK_OPEN,
    _is_joint,
    last_boxes,
)

FIRST_WINDOW = 64  # tokens: a closing sentence with its box
GROWTH = 4
TAGS = (THINK_OPEN, THINK_CLOSE)
# A token is a byte at least, so that a tag spans no more tokens than this.
MAX_TAG_TOKENS = max(map(len, TAGS))
MAX_LOOKS = 32  # at what may be a tag; it is quicker to decode what looks like one all over
_PLAIN, _BEGINS_TAG, _HOLDS_TAG, _UNKNOWN = range(4)

Ids = NDArray[np.integer[Any]]


class TailDecoder:
    """Decodes a response as far back as its answer asks for.

    Args:
        tokenizer: of transformers.
        first_window: tokens that are decoded first.
    """

    def __init__(self, tokenizer: Any, first_window: int = FIRST_WINDOW) -> None:
        self._tokenizer = tokenizer
        self._first_window = first_window
        self._backend = _byte_level_backend(tokenizer)
        if self._backend is not None:
            self._kinds, self._goes_on = _token_tables(self._backend)
            self._is_suspect = self._kinds != _PLAIN

    def __call__(self, ids: Ids) -> str:
        """Return the end of the text, special tokens included, that decides the answer.

        Args:
            ids: the response without padding.
        """
        if self._backend is None:
            return str(self._tokenizer.decode(ids.tolist(), skip_special_tokens=False))
        width = self._first_window
        tail = self._decode(ids[-width:])
        if len(ids) <= width or _has_tag(tail):
            return tail
        tag = self._last_tag(ids)
        if tag is None:
            return self._decode(ids)
        start, text = tag
        if text.rfind(THINK_OPEN) > text.rfind(THINK_CLOSE):
            return text  # thinking never ended: there is no answer
        while not _is_settled(tail):
            width *= GROWTH
            if width >= len(ids) - start:
                return self._decode(ids[start:])
            tail = self._decode(ids[-width:])
        return tail

    def _last_tag(self, ids: Ids) -> tuple[int, str] | None:
        """Return the index of the token in which the last think tag begins, and the text there.

        Without a tag that is 0 and no text; None where the ids cannot tell.
        """
        try:
            suspects = self._is_suspect.take(ids).nonzero()[0]
        except IndexError:  # no token of this tokenizer: it decodes to nothing, even amid a tag
            return None
        if len(suspects):
            next_ids = ids[np.minimum(suspects + 1, len(ids) - 1)]
            begins_only = self._kinds[ids[suspects]] == _BEGINS_TAG
            suspects = suspects[~begins_only | self._goes_on[next_ids]]
        if len(suspects) > MAX_LOOKS:
            return None
        for i in reversed(suspects.tolist()):
            if self._kinds[ids[i]] == _UNKNOWN:
                return None
            text = self._decode(ids[i : i + MAX_TAG_TOKENS])
            if _has_tag(text):
                return i, text
        return 0, ""

    def _decode(self, ids: Ids) -> str:
        backend: Any = self._backend
        return str(backend.decode(ids.tolist(), skip_special_tokens=False))


def _has_tag(text: str) -> bool:
    return THINK_OPEN in text or THINK_CLOSE in text


def _is_settled(tail: str) -> bool:
    """Tell whether ``tail`` has a box, and no text in front of it could join another to its boxes.

    That other box would end at one of the braces just before the first box here.
    """
    first = min((at for name in (r"\boxed", r"\fbox") if (at := tail.find(name)) >= 0), default=0)
    if first <= MAX_JOINT_CHARS or not last_boxes(tail):
        return False
    brace = tail.rfind("}", first - MAX_JOINT_CHARS - 1, first)
    while brace >= 0:
        if _is_joint(tail, brace + 1, first):
            return False
        brace = tail.rfind("}", first - MAX_JOINT_CHARS - 1, brace)
    return True


def _byte_level_backend(tokenizer: Any) -> Any:
    """Return the Rust tokenizer if its tokens are bytes, else None."""
    from tokenizers.decoders import ByteLevel

    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend if isinstance(getattr(backend, "decoder", None), ByteLevel) else None


def _token_tables(backend: Any) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Per id: whether it can begin a think tag or holds one, and whether it can go on with one.

    A byte-level vocabulary spells ASCII, which the tags are, as itself.
    """
    vocabulary: dict[str, int] = backend.get_vocab(with_added_tokens=True)
    beginnings = tuple({tag[:end] for tag in TAGS for end in range(1, len(tag))})
    later = frozenset("".join(tag[1:] for tag in TAGS))
    kinds = np.full(max(vocabulary.values()) + 1, _UNKNOWN, np.uint8)
    goes_on = np.zeros(len(kinds), np.bool_)
    for token, id_ in vocabulary.items():
        kinds[id_] = _BEGINS_TAG if token.endswith(beginnings) else _PLAIN
        if any(tag in token for tag in TAGS):
            kinds[id_] = _HOLDS_TAG
        goes_on[id_] = token[:1] in later
    return kinds, goes_on
