"""Duplicates: found whatever stands between them, and only where a person would agree."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ovr_plugin.data.curation.duplicates import (
    FINGERPRINT,
    Duplicates,
    find_duplicates,
    fingerprint,
)
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.curation.text import minhash, ngrams, tokens, word_hashes

WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "ru", "te") for b in "abcdefghijklmnop"]


def text(seed, n_words=60):
    return " ".join(random.Random(seed).choices(WORDS, k=n_words))


def find(samples, **settings):
    """(later, earlier, kind) of each duplicate."""
    rows, thumbnails = np.zeros(len(samples), dtype=FINGERPRINT), []
    for place, sample in enumerate(samples):
        made, thumbnail = fingerprint(Row(sample))
        if thumbnail is not None:
            made["thumbnail"] = len(thumbnails)
            thumbnails.append(thumbnail)
        rows[place] = made
    found = find_duplicates(rows, np.array(thumbnails).reshape(-1, 1728), **settings)
    kinds = [Duplicates.KINDS[kind] for kind in found.kind]
    return list(zip(found.later.tolist(), found.earlier.tolist(), kinds, strict=True))


def test_the_signature_estimates_the_jaccard_similarity():
    for share in (0.2, 0.5, 0.8, 0.95):
        errors = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            union = rng.integers(0, 2**63, 400, dtype=np.uint64)
            n_shared, n_own = int(400 * share), (400 - int(400 * share)) // 2
            a, b = union[: n_shared + n_own], np.r_[union[:n_shared], union[n_shared + n_own :]]
            errors.append((minhash(a) == minhash(b)).mean() - share)
        assert abs(np.mean(errors)) < 0.03
        assert np.std(errors) < 0.09


def test_ngrams_are_equal_exactly_where_the_words_are():
    words = "a b c a b c d a b".split()
    hashes = ngrams(word_hashes(words), 3)
    trigrams = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    assert len(hashes) == len(trigrams)
    for i, one in enumerate(trigrams):
        for j, two in enumerate(trigrams):
            assert (hashes[i] == hashes[j]) == (one == two)
    assert len(ngrams(word_hashes(["a"]), 3)) == 1
    assert ngrams(word_hashes(["a", "b"]), 3) != ngrams(word_hashes(["b", "a"]), 3)


def test_layout_is_no_difference_but_signs_and_numbers_are():
    assert tokens("Find $\\frac{a}{b}$, if a>0.") == tokens("find \\frac {a} {b} if a > 0")
    assert tokens("x+1") != tokens("x-1")
    assert tokens("求面积abc") == ["求", "面", "积", "abc"]


def test_exact_duplicates_name_the_first(ask):
    samples = [ask(text(1)), ask(text(2)), ask(text(1)), ask(text(1).upper() + ".")]
    assert find(samples) == [(2, 0, "exact duplicate"), (3, 0, "exact duplicate")]


def test_the_same_question_with_another_reference_is_told_apart(ask):
    samples = [ask(text(1), "2"), ask(text(1), "3"), ask(text(1), "002")]
    assert find(samples) == [
        (1, 0, "same question, another reference"),
        (2, 0, "exact duplicate"),
    ]


def test_near_duplicates_need_the_same_numbers_and_reference(ask):
    base = text(1) + " 12 apples and 7 pears"
    near = "Hello. " + base + " Please."
    other = ask(base.replace("12", "13"), "5")
    assert find([ask(base, "5"), ask(near, "5")]) == [(1, 0, "near duplicate")]
    assert find([ask(base, "5"), other, ask(near, "6"), ask(text(2), "5")]) == []
    assert find([ask(base, "5"), ask(near, "5")], near=False) == []
    assert find([ask(base, "5"), ask(near, "5")], similarity=0.999) == []


@pytest.mark.parametrize("n_between", [0, 3000])
def test_near_duplicates_are_found_among_many(ask, n_between):
    originals = [ask(text(seed), "5") for seed in range(40)]
    between = [ask(text(10_000 + n), "5") for n in range(n_between)]
    copies = [ask(text(seed) + " now", "5") for seed in range(40)]
    found = find(originals + between + copies)
    assert found == [(40 + n_between + n, n, "near duplicate") for n in range(40)]


def test_a_chain_of_near_duplicates_has_one_survivor(ask):
    words = text(3, 100).split()
    chain = [ask(" ".join(words[n : n + 80]), "5") for n in range(0, 20, 2)]
    found = find(chain)
    assert [later for later, _, _ in found] == list(range(1, 10))
    assert {earlier for _, earlier, _ in found} == {0}


def test_what_is_found_does_not_depend_on_the_order_of_others(ask):
    samples = [ask(text(seed // 3) + (" now" if seed % 3 == 1 else ""), "5") for seed in range(60)]
    first = {samples[later].prompt[0]["content"] for later, _, _ in find(samples)}
    assert len(find(samples)) == len(find(samples[::-1])) == 40
    assert len(first) == 40 - 20 + 20


def test_one_question_about_many_pictures_is_many_questions(ask, diagram, encoded):
    pictures = [diagram(seed) for seed in range(12)]
    samples = [ask("What is missing?", "A", encoded(p), choices=["x", "y"]) for p in pictures]
    assert find(samples) == []
    copies = [
        ask("What is missing?", "A", encoded(p, "JPEG", quality=80), choices=["x", "y"])
        for p in pictures
    ]
    found = find(samples + copies)
    assert {(later - 12 == earlier, kind) for later, earlier, kind in found} == {
        (True, "near duplicate")
    }
    assert len(found) >= 11  # of 12; the bands may miss one


def test_many_questions_about_one_picture_are_many_questions(ask, diagram, encoded):
    picture = encoded(diagram(1))
    samples = [ask(f"How long is side {text(n, 6)}?", "5", picture) for n in range(20)]
    assert find(samples) == []


def test_other_pictures_must_be_the_same_too(ask, diagram, encoded):
    a, b, c = (encoded(diagram(seed)) for seed in range(3))
    again = encoded(diagram(0), "JPEG", quality=85)
    samples = [ask("Which?", "A", a, b), ask("Which?", "A", again, c), ask("Which?", "A", again, b)]
    assert find(samples) == [(2, 0, "near duplicate")]


def test_text_and_picture_are_never_the_same(ask, diagram, encoded):
    assert find([ask("What is x?", "2"), ask("What is x?", "2", encoded(diagram(1)))]) == []


def test_cold_start_pairs_are_compared_with_their_responses(answered):
    pairs = [answered(f"{text(n % 3)} \\boxed{{2}}").sample for n in range(4)]
    assert find(pairs) == [(3, 0, "exact duplicate")]


def test_no_rows_and_empty_questions(ask):
    assert find([]) == []
    assert find([ask("?", "1"), ask("??", "2")])  # both say nothing: one is enough
