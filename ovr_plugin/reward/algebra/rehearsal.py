r"""What is read before the first question.

ANTLR works out its decisions while it parses, at about a millisecond for each that is new, and
sympy imports some modules when it first needs them. Workers inherit what was done before they were
forked, and can import nothing themselves. The expressions here hold the constructs that answers
hold, beside each other; the pairs take each way that a comparison can go.
"""

from __future__ import annotations

EXPRESSIONS = (
    r"y=e^{-2 t}(\frac{1}{10} \cos 4 t-\frac{1}{5} \sin 4 t)+C e^{t}",
    r"\frac{2 \times (-\frac{7 \sqrt{2}}{10}) \times (-\frac{\sqrt{2}}{10})+2^{3}}{1-7}",
    r"x^{2}(1-x)^{3}+x^{3}(4-7x+\frac{11}{3}x^{2})-6",
    r"2\sqrt{(\frac{24}{7})^{7}}-3\cdot 5\sqrt[3]{4x}",
    r"\frac{2 \pi A R_1^{2}}{d^{2}}(\frac{v^2}{c^2})e^{\frac{-h v}{k T}}",
    r"\frac{1}{2}\sqrt{\frac{14Rr-R^2-r^2}{3}}",
    r"x\sqrt{9+4x^{2}}/2+(9/4)\ln|2x+\sqrt{9+4x^{2}}|+C",
    r"\frac{a^2+2ab}{b^2+2ab}-\frac{4\sqrt{3}}{3}(1-\frac{1}{4^{10}})",
    r"\frac{(n-1)!}{k!}\frac{n}{(n-k)!}+\binom{n+1}{2}^{2}",
    r"\lfloor\frac{n^2}{2}\rfloor+\lceil\frac{k}{2}\rceil-2|-3n^{2}-1|",
    r"1-2(\frac{1}{x+2}-\frac{1}{x}+\frac{1}{x-2})",
    r"2^{x^{2}-1}\cdot(-3)^{n}\cdot 7!/5-\frac{x}{y}/z",
    r"(\sqrt{6}+2)(\sqrt{6}-2)/(3-x)^{2}",
    r"-12mpq\sqrt[4]{5p^{3}}-(x+1)!",
)
MODULES = (
    "antlr4.LL1Analyzer",
    "sympy.assumptions.wrapper",
    "sympy.integrals.heurisch",
    "sympy.integrals.manualintegrate",
    "sympy.integrals.risch",
    "sympy.matrices.expressions.applyfunc",
    "sympy.physics.units",  # reads text when it is imported
    "sympy.polys.domains.old_fractionfield",
    "sympy.polys.domains.old_polynomialring",
    "sympy.sets.handlers.functions",
    "sympy.sets.handlers.issubset",
    "sympy.sets.setexpr",
    "sympy.tensor.array.array_derivatives",
    "sympy.tensor.array.expressions",
)
PAIRS = (
    (r"x^2+2x+1", r"(x+1)^2"),
    (r"2x+4y=3", r"y=\frac{3}{4}-0.5x"),
    (r"xy=1", r"y=\frac{1}{x}"),
    (r"-7<a<1", r"(-7,1)"),
    (r"|x-1|<2", r"(-1,3)"),
    (r"x^2-3x+2\ge 0", r"(-\infty,1]\cup[2,\infty)"),
    (r"x^2\ne 4", r"\mathbb{R}\setminus\{2,-2\}"),
    (r"\frac{n(n+1)}{2}", r"\sum_{k=1}^{n} k"),
    (r"1", r"\lim_{x\to 0}\frac{\sin x}{x}"),
    (r"\frac13", r"\int_0^1 x^2 dx"),
    (r"e", r"\lim_{n\to\infty}(1+\frac{1}{n})^n"),
    (r"9^{9^{9^9}}", r"9^{9^{9^8}}"),
    (
        r"\begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}^{-1}",
        r"\begin{bmatrix}-2 & 1 \\ 1.5 & -0.5\end{bmatrix}",
    ),
    (r"x=\frac{\pi}{4}+k\pi, k\in\mathbb{Z}", r"x=n\pi-\frac{3\pi}{4}, n\in\mathbb{Z}"),
)
