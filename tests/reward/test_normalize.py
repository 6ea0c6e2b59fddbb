"""One spelling of an answer: what goes and what stays."""

from __future__ import annotations

import random
import sys

import pytest

from ovr_plugin.reward.normalize import clean, plain_text, squeeze

CLEANED = [
    # characters
    ("42\u200b", "42"),
    ("\ufeff42", "42"),
    ("\xa042\u3000", "42"),
    ("１２．５％", r"12.5\%"),  # noqa: RUF001
    ("١٢", "12"),
    ("（1，2）", "(1,2)"),  # noqa: RUF001
    ("1、2。", "1,2"),
    ("5 − 3", "5 - 3"),  # noqa: RUF001
    ("2×3", r"2\times 3"),  # noqa: RUF001
    ("½", r"\frac{1}{2}"),
    ("x²³", "x^{23}"),
    ("10⁻³", "10^{-3}"),
    ("x₁ + α", r"x_1 + \alpha"),  # noqa: RUF001
    ("√13 + √{2}", r"\sqrt{13} + \sqrt {2}"),
    ("①", "1"),
    ("“Paris”", "Paris"),
    # markup
    ("**42**", "42"),
    ("__42__", "42"),
    ("`42`", "42"),
    ("``Paris''", "Paris"),
    ("42<|im_end|>", "42"),
    ("</s>42", "42"),
    ("m<sup>2</sup>", "m^{2}"),
    ("<b>5</b>", "5"),
    ("a<b>c", "a<b>c"),
    # LaTeX
    (r"\(42\)", "42"),
    ("$$42$$", "42"),
    (r"\$5", r"\$5"),
    ("$5", r"\$5"),
    ("$5$", "5"),
    ("5$", "5"),
    (r"\left( 1, 2 \right]", "( 1, 2 ]"),
    (r"\left\{1\right.", r"\{1"),
    (r"\leftarrow", r"\leftarrow"),
    (r"\dfrac12 + \tfrac{1}{3}", r"\frac12 + \frac{1}{3}"),
    (r"1{,}000", "1,000"),
    (r"11,\! 111", "11,111"),
    (r"1\,000\;", "1 000"),
    (r"5~\mathrm{~cm}", r"5 \mathrm{ cm}"),
    ("~P(x)", "~P(x)"),
    ("~ 33", "33"),
    (r"x \leq 2, y \geqslant 3, z \neq 1", r"x \le 2, y \ge 3, z \ne 1"),
    (r"90^{\circ}", r"90^\circ"),
    (r"\varnothing", r"\emptyset"),
    (r"\{ \}", r"\emptyset"),
    ("50 percent", r"50 \%"),
    (r"\textcolor{red}{5}", "5"),
    (r"{\color{blue} 5}", "5"),
    (r"\mathbf{5}", "5"),
    (r"\mathbf{88.5}\%", r"88.5\%"),
    (r"x^\mathbf{23}", "x^{23}"),
    ("60º", r"60^\circ"),
    (r"1{\,}000", "1 000"),
    (r"\boldsymbol{\underline{x}}", "x"),
    (r"\boxed{\text{Paris}}", "Paris"),
    (r"5\\", "5"),
    (r"a\\b", r"a\\b"),
    (r"\hspace{1em} 5 \quad", "5"),
    (r"0.333...", r"0.333\ldots"),
    # groups
    ("{42}", "42"),
    ("{{1,2}}", "1,2"),
    ("{1}{2}", "{1}{2}"),
    ("{1}+{2}", "{1}+{2}"),
    ("{{1}+{2}}", "{1}+{2}"),
    ("{1", "{1"),
    (r"\{1\}", r"\{1\}"),
    # text wrappers: those around letters may tell words from mathematics
    (r"\text{13}", "13"),
    (r"5\text{}", "5"),
    (r"x^\text{23}", "x^{23}"),
    (r"\text{ab}", r"\text{ab}"),
    (r"\text{n-1}", "n-1"),
    (r"\text{\textbf{\emph{red}}}", r"\text{red}"),
    (r"\text{5 cm}^2", r"5 \text{cm}^2"),
    (r"1 \text{ and } 2", r"1 \text{ and } 2"),
    # what announces an answer
    ("The answer is 42.", "42"),
    ("So the final answer is: 42", "42"),
    (r"\text{The answer is } 42", "42"),
    (r"\text{The answer is red}", "red"),
    ("Answer: **B**", "B"),
    ("#### 42", "42"),
    ("= 42", "42"),
    ("答案：42。", "42"),  # noqa: RUF001
    ("故答案为：B", "B"),  # noqa: RUF001
    ("['42']", "42"),
    ('["a", "b"]', "a, b"),
    ("[42]", "[42]"),
    ("The answer", "The answer"),
    ("The answer is", "The answer is"),
    ("5?", "5"),
    ("n!", "n!"),
    ("-5", "-5"),
    ("$$", ""),
    ("", ""),
]

PARTS = [
    *r"\text{ \mathbf{ \left( \right] \frac \sqrt \% \\ \, \! \{ \} { } ( ) [ ] $ \$".split(),
    *"^ _ = : ; , . ? ! ~ * ** ` \" ' # #### < > </b> <|x|> | & % + - / A b x 12 3.5".split(),
    *"the answer is: 答案 是 B ， 。 ½ ² √ ① \u200b \x00 \ud800 e\u0301 🙂".split(),  # noqa: RUF001
    " ",
    "\n",
]


@pytest.mark.parametrize(("text", "cleaned"), CLEANED)
def test_one_spelling(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_cleaning_again_changes_nothing() -> None:
    for _, cleaned in CLEANED:
        assert clean(cleaned) == cleaned


def test_plain_text_has_no_wrappers() -> None:
    assert plain_text(r"\text{(B) }\mathrm{cm}^2 \textbf{a {b}}") == "(B) cm^2 a {b}"
    assert plain_text(r"  \text{\text{New} York}. ") == "New York"


def test_squeezing_keeps_words_and_numbers_apart() -> None:
    assert squeeze("x + 1 = ( 2 , 3 )") == "x+1=(2,3)"
    assert squeeze("New York 1 2 x") == "New York 1 2 x"
    assert squeeze("x_{1} + y^{ 2 } + z^{12}") == "x_1+y^2+z^{12}"


@pytest.mark.parametrize("n_levels", [1, 10, 1000, 3000])
@pytest.mark.parametrize("wrapper", [r"\text{", r"\mathrm{", r"\mathbf{", "{", r"\boxed{"])
def test_depth_costs_no_recursion(n_levels: int, wrapper: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        assert plain_text(clean(wrapper * n_levels + "12" + "}" * n_levels)) == "12"
        for text in (wrapper * n_levels, wrapper * n_levels + "12", "}" * n_levels):
            assert isinstance(plain_text(clean(text)), str)
    finally:
        sys.setrecursionlimit(limit)


def test_no_text_raises() -> None:
    rng = random.Random(0)
    for _ in range(5000):
        text = "".join(rng.choices(PARTS, k=rng.randint(1, 12)))
        assert isinstance(squeeze(plain_text(clean(text))), str)
