"""Questions that no rule can judge; the questions are of NuminaMath, ORZ and MMK12."""

from __future__ import annotations

import pytest

from ovr_plugin.data.curation.verifiable import not_verifiable


@pytest.mark.parametrize(
    ("question", "reference", "kind"),
    [
        (r"Let $ABCD$ be cyclic. Show that $EQ = FR$.", "EQ = FR", "a proof"),
        (r"If $x\neq 1$, prove that both are equal to $x+y$", "x + y", "a proof"),
        ("Prove the identity $a^2-b^2=(a-b)(a+b)$.", "proof", "no answer"),
        ("Find the area.", "See figure", "no answer"),
        ("Find the area.", "Answers may vary", "no answer"),
        ("求面积", "略", "no answer"),
        ("Is the sum even? Explain why.", "Yes, because both are odd numbers", "an open question"),
        ("What do we see?", " ".join(["word"] * 25), "prose"),
        ("Give an example of a prime number.", "7", "many right answers"),
        ("Provide an example of such a function.", "x", "many right answers"),
        ("(1) Find $a$; (2) Find $b$.", "3", "several sub-answers"),
        ("Let $n>1$.\n(a) Determine $n$.\n(b) Determine $m$.", "3", "several sub-answers"),
        ("Read and fill in.", "(1)$$0.04$$ (2)$$440$$", "several sub-answers"),
        ("i) Solve it. Part a: find x. Part b: find y.", "3", "several sub-answers"),
    ],
)
def test_goes(row, question, reference, kind):
    reason = not_verifiable(row(question, reference))
    assert reason
    assert reason.startswith(f"not verifiable, {kind}: ")


@pytest.mark.parametrize(
    ("question", "reference"),
    [
        ("What is 1 + 1?", "2"),
        ("Show that $n$ is even and find its smallest value.", "2"),
        ("The graph shows that sales rose. How many were sold?", "12"),
        ("Which numbers satisfy both (1) $x>2$ and (2) $x<5$? Find their sum.", "7"),
        ("It is known that (1) $M$ is convex; (2) $N$ is not. Find the area.", "4"),
        ("Which is right? (a) (b)", "A"),
        ("Find $(a, b)$ if $f(1)=2$ and $f(2)=3$.", "(1, 2)"),
        ("Is it possible? Explain why.", "No"),
        ("Who is described as the tallest of the three?", "Ann"),
        ("Find the number of ways to prove the theorem.", "3"),
        (r"Evaluate $\frac{(1)(2)}{3}$.", r"\frac{2}{3}"),
    ],
)
def test_stays(row, question, reference):
    assert not_verifiable(row(question, reference)) is None


def test_a_letter_can_always_be_judged(row):
    question = "Explain why. Give an example of a mammal. Show that it is one."
    assert not_verifiable(row(question, "A", choices=["whale", "shark"])) is None


def test_a_cold_start_pair_was_judged_when_it_was_made(answered):
    assert not_verifiable(answered("...", "Show that $a=b$.")) is None


def test_hostile_texts_are_quick(row):
    for text in ("(a) " * 30_000, "Show " * 30_000, "." * 100_000, "(1)" * 30_000 + "?"):
        not_verifiable(row(text, text[:1000]))
