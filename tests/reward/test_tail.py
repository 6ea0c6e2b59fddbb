"""The decoded tail against whole decoding: whatever the tokens are, the answers are the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel, Metaspace
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from ovr_plugin.models.tiny import make_tokenizer
from ovr_plugin.reward.extract import extract_answers
from ovr_plugin.reward.tail import TailDecoder

OPTIONS = [{"answer_tags": tags, "unboxed": prose} for tags in (False, True) for prose in (0, 1)]
TEXTS = ["Let me look again. There are 2 red squares, so \\boxed{red} it is.", "<think></think>"]
WORDS = "we add the two sides and get what was asked for once more "


def with_think_tokens() -> Any:
    """As Qwen3's: think tags are tokens. One token more holds two of them."""
    tokenizer = make_tokenizer(TEXTS, 400)
    tokenizer.add_tokens(["<think>", "</think>", "<think></"])
    return tokenizer


def large() -> Any:
    """A vocabulary of 131,072, as the tokenizers of real models."""
    mistral_common = pytest.importorskip("mistral_common")
    from transformers.integrations.mistral import convert_tekken_tokenizer

    return convert_tekken_tokenizer(
        str(Path(mistral_common.__file__).parent / "data" / "tekken_240911.json")
    )


MAKERS = {
    "tiny": lambda: make_tokenizer(TEXTS, 400),
    "bytes": lambda: make_tokenizer([""], 1),  # every tag spans as many tokens as it can
    "think tokens": with_think_tokens,
    "large": large,
}


@pytest.fixture(scope="module", params=MAKERS, ids=str)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def tiny() -> Any:
    return MAKERS["tiny"]()


@pytest.fixture(scope="module")
def by_window(tokenizer: Any) -> dict[int, TailDecoder]:
    return {window: TailDecoder(tokenizer, window) for window in (1, 7, 64)}


def check(tokenizer: Any, ids: list[int], decoder: TailDecoder) -> str:
    """Assert that the tail gives what the whole text gives, and return the tail."""
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    tail = decoder(np.array(ids, dtype=np.int64))
    for options in OPTIONS:
        assert extract_answers(tail, **options) == extract_answers(whole, **options), (whole, tail)
    return tail


@pytest.mark.parametrize(
    "text",
    [
        "",
        r"\boxed{1}",
        WORDS * 9 + r"\boxed{1}. " + WORDS,
        WORDS * 9 + r"<think>\boxed{1}</think> \boxed{2} " + WORDS,
        r"<think>" + WORDS * 9 + r"\boxed{2} " + WORDS,  # never closed
        r"</think>" + WORDS * 9 + r"<think>" + WORDS * 9 + r"\boxed{2} " + WORDS,
        r"<think>" + WORDS * 9 + r"</think>" + WORDS * 9 + r"\boxed{2} " + WORDS,
        r"\boxed{1}" + WORDS * 9 + "</think>" + WORDS * 9,
        r"\boxed{1}</think> and \boxed{2} " + WORDS,  # not joined
        r"\boxed{1} and \boxed{2} " + WORDS,
        r"\boxed{" + WORDS * 9 + r"} and \boxed{2} " + WORDS,  # joined to one that began long ago
        r"\boxed{" + WORDS * 9 + r"{x} y} and \boxed{2} " + WORDS,
        r"\boxed{" + WORDS * 9 + r"} so \boxed{2} " + WORDS,
        r"\boxed{" + WORDS * 9 + r"}" + WORDS * 2 + r"} and \boxed{2} " + WORDS,
        r"\boxed{" + WORDS * 9 + r"} a}nd \boxed{2} " + WORDS,
        r"<think>" + WORDS * 9 + r"<think></think>" + WORDS + r"\boxed{1}",
        WORDS * 9 + r"\frac{1}{2} and \boxed{2} " + WORDS,
        WORDS * 9 + r"\boxed{\boxed{1} + \boxed{2" + WORDS,
        r"\boxed{1}" + WORDS * 9 + r"\boxed{2",
        "<answer>7</answer>" + WORDS * 9,
        r"\boxed{3}" + WORDS * 9 + "<answer>7</answer>",
        WORDS * 9 + "The answer is 5.",
        "a < b </ c <t <th </thinker <thin" * 30 + r"\boxed{5}",
        "日本語の答えは" * 30 + r"\boxed{日本}🙂",
        "<think>" * 100 + r"\boxed{1}",  # so many that all is decoded
        "</think>" * 100 + r"\boxed{1}",
    ],
)
def test_texts(tokenizer: Any, by_window: dict[int, TailDecoder], text: str) -> None:
    for decoder in by_window.values():
        check(tokenizer, tokenizer.encode(text), decoder)
        check(tokenizer, [id_ for char in text for id_ in tokenizer.encode(char)], decoder)


PIECES = [
    *("<think>", "</think>", "<think", "think>", "</", "<", "/think>", "</thi", "nk>", "<think></"),
    *("\\boxed{", "\\fbox{", "\\boxed {", "boxed{", "ox", "}", "{", "\\}", "\\{", "\\", "\\\\"),
    *(" and ", ",", " or ", "、", "和", " ", "\n", "$", "1", "x", "\\frac{1}{2}", "\\text{", "="),
    *("日本語", "é", "🙂", "the answer is ", "Answer: 7.", "<answer>", "</answer>", "\\boxed{3}"),
    *(WORDS, "\\boxed{" + WORDS, " so", "\\boxed{a} and \\boxed{b}", "<answer>5</answer>"),
]


def hostile_ids(tokenizer: Any, known: int, rng: random.Random) -> Iterator[list[int]]:
    """Texts of pieces that matter; cut into other tokens; with tokens of any kind, or of none."""
    weights = [rng.random() ** 3 for _ in PIECES]
    text = "".join(rng.choices(PIECES, weights, k=rng.choice([3, 8, 20, 60])))
    ids = tokenizer.encode(text)
    yield ids
    cuts = [text[i : i + rng.randint(1, 3)] for i in range(0, len(text), 2)]
    yield [id_ for cut in cuts for id_ in tokenizer.encode(cut)]
    for upper in (known, known + 20):  # the last twenty are no tokens and decode to nothing
        mixed = list(ids)
        for _ in range(rng.randint(1, 6)):
            mixed.insert(rng.randint(0, len(mixed)), rng.randrange(known - 5, upper))
            mixed.insert(rng.randint(0, len(mixed)), rng.randrange(known))
        yield mixed


@pytest.mark.parametrize("seed", range(2))
def test_random_tokens(tokenizer: Any, by_window: dict[int, TailDecoder], seed: int) -> None:
    rng, known = random.Random(seed), len(tokenizer)
    n_shorter = 0
    for _ in range(40):
        for ids in hostile_ids(tokenizer, known, rng):
            for decoder in by_window.values():
                n_shorter += len(check(tokenizer, ids, decoder)) < len(tokenizer.decode(ids))
    assert n_shorter > 30  # or whole decoding would pass


def test_a_gap_in_the_vocabulary_hides_no_tag() -> None:
    """Ids of no token decode to nothing, so that a tag may stand on both sides of one."""
    vocab = {char: 2 * i for i, char in enumerate(ByteLevel.alphabet())}
    tokenizer = Qwen2Tokenizer(vocab={**vocab, "<|endoftext|>": 2 * len(vocab)}, merges=[])
    first, second = tokenizer.encode("<thi"), tokenizer.encode("nk>" + WORDS * 9 + r"\boxed{1}")
    for unknown in (1, 10**6):
        ids = [*first, unknown, unknown, *second]
        assert tokenizer.decode(ids).startswith("<think>")
        check(tokenizer, ids, TailDecoder(tokenizer, 16))


def test_of_a_long_response_little_is_decoded(tiny: Any) -> None:
    decoder = TailDecoder(tiny)
    for head in ("<think>" + WORDS * 400 + "</think>", WORDS * 400):
        ids = np.array(tiny.encode(head + WORDS * 2 + r"\boxed{1}."))
        assert len(ids) > 5000
        assert len(decoder(ids)) < 1000
    unfinished = np.array(tiny.encode("<think>" + WORDS * 400 + r"\boxed{1}"))
    assert len(decoder(unfinished)) < 100


def test_a_tokenizer_of_another_kind_decodes_everything() -> None:
    """Where words are joined by a space that the first one lacks, an end is no end of the text."""
    backend = Tokenizer(models.WordLevel({"▁a": 0, "▁\\boxed{1}": 1}))
    backend.pre_tokenizer = Metaspace()
    backend.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    ids = [0] * 500 + [1] + [0] * 100
    assert TailDecoder(tokenizer)(np.array(ids)) == tokenizer.decode(ids)
