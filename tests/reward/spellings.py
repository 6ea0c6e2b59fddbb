r"""Ways to write one answer, as Hypothesis strategies: what a model may do to it without harm."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st

# What may be put around any answer.
AROUND: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: f"${text}$",
    lambda text: rf"\({text}\)",
    lambda text: rf"\[{text}\]",
    lambda text: f" {text} ",
    lambda text: f"{text}.",
    lambda text: rf"{text}\,",
    lambda text: rf"\;{text}",
    lambda text: rf"\displaystyle {text}",
    lambda text: f"**{text}**",
    lambda text: f"\u200b{text}",
    lambda text: f"{text}<|im_end|>",
    lambda text: rf"\boxed{{{text}}}",
    lambda text: f"{{{text}}}",
]
# What may be put around a number.
AROUND_NUMBERS: list[Callable[[str], str]] = [
    lambda text: rf"\left({text}\right)",
    lambda text: rf"\mathbf{{{text}}}",
    lambda text: f"x = {text}",
]
AROUND_WORDS: list[Callable[[str], str]] = [
    lambda text: rf"\text{{{text}}}",
    lambda text: rf"\textbf{{{text}}}",
    lambda text: rf"\mathrm{{{text}}}",
    str.upper,
    str.capitalize,
    lambda text: f"the {text}",
]


@st.composite
def wrapped(draw: st.DrawFn, text: str, around: list[Callable[[str], str]] = AROUND) -> str:
    """``text`` within one or none of its own wrappers and up to two of anybody's."""
    text = draw(st.sampled_from([AROUND[0], *around]))(text)
    for wrap in draw(st.lists(st.sampled_from(AROUND), max_size=2, unique=True)):
        text = wrap(text)
    return text


def integers_and_fractions() -> st.SearchStrategy[Fraction]:
    small = st.fractions(min_value=-1000, max_value=1000, max_denominator=60)
    decimals = st.integers(-(10**7), 10**7).map(lambda n: Fraction(n, 1000))
    return st.one_of(st.integers(-(10**12), 10**12).map(Fraction), small, decimals)


@st.composite
def number_spellings(draw: st.DrawFn, value: Fraction) -> str:
    """One way to write ``value``: an integer or decimal where it is one, or a fraction."""
    ways = [_as_fraction]
    if _n_decimals(value) is not None:
        ways += [_as_decimal, _as_decimal]
    return draw(draw(st.sampled_from(ways))(value))


@st.composite
def _as_fraction(draw: st.DrawFn, value: Fraction) -> str:
    factor = draw(st.integers(1, 12))
    n, d = abs(value.numerator) * factor, value.denominator * factor
    sign = "-" if value < 0 else ""
    form = draw(
        st.sampled_from(
            [
                rf"{sign}\frac{{{n}}}{{{d}}}",
                rf"{sign}\dfrac{{{n}}}{{{d}}}",
                rf"{sign}\tfrac{{ {n} }}{{ {d} }}",
                rf"\frac{{{sign}{n}}}{{{d}}}",
                f"{sign}{n}/{d}",
                f"{sign}{n} / {d}",
            ]
        )
    )
    return str(form)


@st.composite
def _as_decimal(draw: st.DrawFn, value: Fraction) -> str:
    n_decimals = _n_decimals(value) or 0
    digits = str(abs(value.numerator) * 10**n_decimals // value.denominator)
    whole = digits[:-n_decimals] or "0" if n_decimals else digits
    decimals = (digits.zfill(n_decimals)[-n_decimals:] if n_decimals else "") + draw(
        st.sampled_from(["", "", "0", "00"])
    )
    separator = draw(st.sampled_from(["", ",", "{,}", r"\,", r",\!"]))
    grouped = f"{int(whole):,}".replace(",", separator)
    if decimals and whole == "0" and draw(st.booleans()):
        grouped = ""
    sign = "-" if value < 0 else draw(st.sampled_from(["", "", "+"]))
    text = sign + grouped + (f".{decimals}" if decimals else "")
    script = draw(st.sampled_from([0, 0, 0, 0xFF10, 0x0660]))  # full-width and Arabic digits
    if script:
        text = "".join(chr(script + int(c)) if c in "0123456789" else c for c in text)
    return text.replace("-", draw(st.sampled_from(["-", "-", "\u2212"])))


def _n_decimals(value: Fraction) -> int | None:
    """How many decimals ``value`` has, or None for more than six."""
    return next((n for n in range(7) if (value * 10**n).denominator == 1), None)
