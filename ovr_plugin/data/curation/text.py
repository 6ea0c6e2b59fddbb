"""Texts as numbers: words, n-grams and MinHash signatures, in numpy.

Everything that compares texts starts from one sequence of 64-bit word hashes. N-grams are
polynomials of them, so that contamination (n = 8) and near duplicates (n = 3) cost a few array
operations per row; libraries (rensa, datasketch) want every n-gram as a string of its own, and
making those strings alone takes longer than all that is done here. Nothing depends on Python's
salted ``hash``: the same text gives the same numbers everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from ovr_plugin.data.prompt import INSTRUCTION
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, Message

# Words and numbers, each Chinese or Japanese character, and the signs that change what a formula
# says. Other punctuation, LaTeX's braces and dollars and all spacing are no difference.
CJK = "぀-ヿ㐀-鿿"
TOKEN = re.compile(rf"[^\W{CJK}]+|[{CJK}]|[+\-*/=<>^!%]")
NUMBER = re.compile(r"\d+")

N_PERMUTATIONS = 64  # the estimate of a Jaccard similarity of 0.8 is off by 0.05 (one sigma)
SHINGLE = 3
MAX_SHINGLES = 2048  # of a long response, its beginning tells enough
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_random = np.random.Generator(np.random.PCG64(20507))
_A = _random.integers(0, 2**63, N_PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_B = _random.integers(0, 2**63, N_PERMUTATIONS, dtype=np.uint64)


class _WordHashes(dict[str, int]):
    """Word -> hash, remembered; emptied when it has seen 65,536 words."""

    def __missing__(self, word: str) -> int:
        if len(self) >= 1 << 16:
            self.clear()
        self[word] = hash64(word.encode(errors="replace"))
        return self[word]


_HASHES = _WordHashes()


def hash64(data: bytes) -> int:
    """A 64-bit hash of bytes."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def id_key(name: str) -> int:
    """The hash by which a row's id is looked up; marks and measurements have the same."""
    return hash64(name.encode(errors="replace"))


def question_text(prompt: list[Message]) -> str:
    """What a prompt asks, without pictures' places and the instruction that all rows share."""
    text = "\n".join(message["content"] for message in prompt if message["role"] != "system")
    return text.replace(INSTRUCTION, "").replace(IMAGE_PLACEHOLDER, "")


def tokens(text: str) -> list[str]:
    """Words, numbers and signs, in lower case."""
    return TOKEN.findall(text.lower())


def word_hashes(words: Iterable[str]) -> np.ndarray:
    """One hash per word; shape (n_words,), uint64."""
    return np.array([_HASHES[word] for word in words], dtype=np.uint64)


def ngrams(hashes: np.ndarray, n: int) -> np.ndarray:
    """Hashes of the n-grams of a sequence of words; of one shorter than ``n``, of all of it."""
    n_grams = max(len(hashes) - n + 1, 1)
    n = min(n, len(hashes))
    mixed = np.full(n_grams, n, dtype=np.uint64)
    for offset in range(n):
        mixed = mixed * _MULTIPLIER + hashes[offset : offset + n_grams]
        mixed ^= mixed >> np.uint64(29)
    return mixed


def minhash(shingles: np.ndarray) -> np.ndarray:
    """The MinHash signature of a set; shape (N_PERMUTATIONS,), uint32.

    The share of equal places of two signatures estimates the sets' Jaccard similarity.
    """
    permuted = shingles[:MAX_SHINGLES, None] * _A + _B
    signature: np.ndarray = (permuted >> np.uint64(32)).min(axis=0).astype(np.uint32)
    return signature


def sequence_hash(hashes: np.ndarray) -> int:
    """One hash of a whole sequence."""
    return hash64(hashes.tobytes())
