"""Words: as text, by the policy at the top of `ovr_plugin.reward.words`."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from read_table import read_table

from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.spec import AnswerSpec
from ovr_plugin.reward.words import HEDGES, is_product, is_words

ENGLISH = (
    "on left was ten evil stop tea listen parallelogram triangle north even odd blue red increase "
    "decrease none undefined isosceles monday grass owl cat house water angle circle"
).split()


@pytest.mark.parametrize(("reference", "answer", "spec", "equal"), read_table("words"))
def test_words(reference: str, answer: str, spec: AnswerSpec, equal: bool | None) -> None:
    assert compare(reference, answer, spec).equal is equal


@pytest.mark.parametrize(("reference", "answer", "spec", "equal"), read_table("figures"))
def test_figures(reference: str, answer: str, spec: AnswerSpec, equal: bool | None) -> None:
    assert compare(reference, answer, spec).equal is equal


def test_no_word_equals_an_anagram_of_itself() -> None:
    rng = random.Random(0)
    for word in ENGLISH:
        letters = list(word)
        orders = list(permutations(letters)) if len(word) < 5 else []
        orders += [tuple(rng.sample(letters, len(letters))) for _ in range(20)]
        for order in orders:
            anagram = "".join(order)
            assert compare(word, anagram).equal is (anagram == word), (word, anagram)


def test_a_word_is_itself_in_every_spelling() -> None:
    spellings = [
        "{}", "{}.", " {} ", r"\text{{{}}}", r"\textbf{{{}}}", r"\text{{\emph{{{}}}}}", "**{}**",
        '"{}"', "the {}", "${}$", r"\boxed{{{}}}", "The answer is {}.", r"\text{{Answer: {}}}",
    ]  # fmt: skip
    for word in ENGLISH:
        for spelling in spellings:
            for case in (str.lower, str.upper, str.title):
                answer = spelling.format(case(word))
                assert compare(word, answer).equal is True, answer


@pytest.mark.parametrize("hedge", sorted(HEDGES))
def test_a_value_with_a_hedge_is_wrong(hedge: str) -> None:
    assert compare(r"\sqrt{2}", rf"\sqrt{{2}} \text{{ {hedge} }} 7").equal is False
    assert compare("5", rf"5 \text{{ {hedge} six}}").equal is False


def test_words_and_products() -> None:
    assert [is_product(text) for text in ("ab", "xyz", "mgh", "kx")] == [True] * 4
    assert not any(map(is_product, ["on", "was", "red", "gym", "the", "abcde", "5", "", "é"]))
    assert all(map(is_words, ["on", "New York", r"\text{ab}", "是", "sin of the father"]))
    assert not any(map(is_words, ["ab", r"\sin x", "log x", "x + on", "5 cm", "B", r"\alpha"]))


def test_the_reason_is_told() -> None:
    assert compare("The Nile", "nile").how == "words"
    compared = compare("Yes", "Yes, it is")
    assert (compared.how, compared.reference) == ("yes/no", "yes")
