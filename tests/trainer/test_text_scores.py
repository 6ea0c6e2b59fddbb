"""ORZ's two scores of a response, against their definitions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovr_plugin.trainer.text_scores import repetition, text_scores


def share_of_copies(text: str) -> float:
    """The substrings that another one equals, of all: counted one by one."""
    n = len(text)
    different = {text[i:j] for i in range(n) for j in range(i + 1, n + 1)}
    return 1 - len(different) / (n * (n + 1) / 2)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(alphabet="ab", min_size=2, max_size=40),
        st.text(alphabet="abcdefgh é😀\n", min_size=2, max_size=40),
        st.text(min_size=2, max_size=20),
        st.builds(lambda text, n: text * n, st.text("abc ", min_size=1, max_size=7), st.just(6)),
    )
)
def test_repetition_counts_copies_of_substrings(text):
    if len(text) >= 2:
        assert repetition(text) == pytest.approx(share_of_copies(text), abs=1e-12)


def test_known_values():
    # n equal symbols have n different substrings of n (n + 1) / 2.
    assert repetition("a" * 999) == pytest.approx(1 - 2 / 1000)
    assert repetition("abcdefghijklmnop") == 0
    assert [repetition(text) for text in ("", "a", "ab")] == [0, 0, 0]
    text = "The box is red, so the answer is red. "
    assert repetition(text) < 0.1 < 0.9 < repetition(text * 50)


def test_a_long_period_is_found_by_doubling():
    period = "".join(chr(200 + i) for i in range(997))  # no symbol twice
    n, p = 2 * 997, 997
    # Of length l > p all n - l + 1 differ; of length l <= p exactly p do.
    different = p * p + sum(n - length + 1 for length in range(p + 1, n + 1))
    assert repetition(period * 2) == pytest.approx(1 - different / (n * (n + 1) / 2))


def test_reflection_words_are_orzs():
    text = "wait, is it? Wait, recheck, recheck\nrecheck. retrying; alternatively, however, how"
    assert text_scores(text)["reflection_words"] == 1 + 2 + 1 + 1 + 1
