"""Characters that keyboards and fonts offer in, their ASCII or LaTeX form out.

Signs become commands, digits of any script become ASCII, raised and lowered digits become scripts,
invisible characters go. Letters stay: a Cyrillic or accented letter is not a Latin one.
"""

# ruff: noqa: RUF001 - characters that look alike are what this file is about

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_COMMAND_OF = {
    "°": r"^\circ",
    "º": r"^\circ",
    "×": r"\times",
    "·": r"\cdot",
    "⋅": r"\cdot",
    "÷": r"\div",
    "√": r"\sqrt",
    "∛": r"\sqrt[3]",
    "∞": r"\infty",
    "≤": r"\le",
    "⩽": r"\le",
    "≥": r"\ge",
    "⩾": r"\ge",
    "≠": r"\ne",
    "≈": r"\approx",
    "∅": r"\emptyset",
    "±": r"\pm",
    "∓": r"\mp",
    "∪": r"\cup",
    "∩": r"\cap",
    "∈": r"\in",
    "∉": r"\notin",
    "∠": r"\angle",
    "△": r"\triangle",
    "⊥": r"\perp",
    "∥": r"\parallel",
    "→": r"\to",
    "⇒": r"\Rightarrow",
    "∧": r"\land",
    "∨": r"\lor",
    "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}",
    "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}",
}
_GREEK = (
    "α alpha β beta γ gamma δ delta ε epsilon ζ zeta η eta θ theta κ kappa λ lambda μ mu "
    "ν nu ξ xi π pi ρ rho σ sigma τ tau φ phi ϕ phi χ chi ψ psi ω omega Γ Gamma Δ Delta "
    "Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Φ Phi Ψ Psi Ω Omega"
).split()
_COMMAND_OF |= dict(zip(_GREEK[::2], map("\\".__add__, _GREEK[1::2]), strict=True))
_CHARACTER = {
    **dict.fromkeys("−–—‐‑‒―", "-"),
    **dict.fromkeys("‘’′", "'"),
    **dict.fromkeys("“”«»", '"'),
    **dict.fromkeys("⁄∕", "/"),
    **dict.fromkeys("【〔〖", "["),
    **dict.fromkeys("】〕〗", "]"),
    "、": ",",
    "。": ".",
    "∗": "*",
    "…": "...",
    "″": "''",
    "µ": r"\mu ",
    "Ω": r"\Omega ",
}
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ", "0123456789+-()n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))


class _OneSpelling(dict[int, str]):
    """A table for `str.translate` that works out a character when it first meets it."""

    def __missing__(self, code: int) -> str:
        self[code] = result = self._spell(chr(code), code)
        return result

    @staticmethod
    def _spell(char: str, code: int) -> str:
        if char in _COMMAND_OF:
            return _COMMAND_OF[char] + " "
        if char in _CHARACTER:
            return _CHARACTER[char]
        if char.isspace():
            return " "
        if unicodedata.category(char) == "Cf":  # zero-width space, byte order mark, ...
            return ""
        if char.isdecimal():
            return str(unicodedata.decimal(char))
        if 0xFF01 <= code <= 0xFF5E:  # full-width ASCII
            return chr(code - 0xFEE0)
        if 0x1D400 <= code <= 0x1D7FF:  # letters in the fonts of mathematics
            return _OneSpelling._spell(plain := unicodedata.normalize("NFKC", char), ord(plain))
        if 0x2460 <= code <= 0x24FF:  # circled and bracketed digits and letters
            return unicodedata.normalize("NFKC", char)
        if unicodedata.decomposition(char).startswith("<fraction>"):
            value = Fraction(unicodedata.numeric(char)).limit_denominator(10)
            return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
        return char


_TABLE = _OneSpelling()
_RAISED = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_LOWERED = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_BETWEEN_CIRCLED = re.compile("(?<=[①-⑳])(?=[①-⑳])")  # several statements, no number
_ROOT_OF_NUMBER = re.compile(r"√\s*(\d+(?:\.\d+)?)")


def to_latex(text: str) -> str:
    """Return ``text`` with every character that has an ASCII or LaTeX form in that form."""
    text = _BETWEEN_CIRCLED.sub(",", text)
    text = _ROOT_OF_NUMBER.sub(r"\\sqrt{\1}", text)
    text = _RAISED.sub(lambda run: _script("^", run.group(), _SUPERSCRIPTS), text)
    text = _LOWERED.sub(lambda run: _script("_", run.group(), _SUBSCRIPTS), text)
    return text.translate(_TABLE)


def _script(mark: str, run: str, table: dict[str, str]) -> str:
    inside = "".join(table[char] for char in run)
    return mark + (inside if len(inside) == 1 else f"{{{inside}}}")
