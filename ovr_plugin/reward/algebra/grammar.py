r"""math-verify's parser: the ANTLR grammar of latex2sympy2_extended, its errors set right.

- Its full prediction takes up to 100 ms for one function. ANTLR's SLL mode takes one for most
  formulas and builds the same tree, if products are spelled out and names are tokens of their own.
- ``2(3)`` is 5 to it, as is any integer beside a rational: here juxtaposition is a product.
- Its numbers pass through `eval`, and decimals are rounded; here they are exact, and neither
  binomials nor fractions are evaluated.
"""

from __future__ import annotations

from typing import Any

import sympy
from antlr4 import PredictionMode, Token
from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy

from ovr_plugin.reward.algebra.items import Unreadable


def parse(text: str, lifted: dict[str, Any]) -> Any:
    r"""Return the expression that ``text`` writes.

    Args:
        text: sums, products, powers, roots, fractions and brackets of ``\variable{name}``.
        lifted: name -> what it stands for.

    Raises:
        Unreadable: if the grammar does not know it.
    """
    try:
        return _Converter(lifted).parse(text)
    except (MemoryError, RecursionError, Unreadable):
        raise
    except Exception as error:  # the grammar's own errors are plain exceptions
        raise Unreadable(str(error).partition("\n")[0][:100]) from None


def quotient(above: Any, below: Any) -> Any:
    """A fraction that is not evaluated."""
    return sympy.Mul(above, sympy.Pow(below, -1, evaluate=False), evaluate=False)


class _Converter(_Latex2Sympy):
    def __init__(self, lifted: dict[str, Any]) -> None:
        super().__init__(is_real=True)
        self._lifted = lifted

    def parse(self, latex_str: str) -> Any:
        parser = self.create_parser(latex_str)
        parser._interp.predictionMode = PredictionMode.SLL
        tree = parser.expr()
        if parser.getCurrentToken().type != Token.EOF:
            raise Unreadable("something is left over")
        return self.convert_expr(tree)

    def create_symbol(self, text: str, enforce_case: bool = False) -> Any:
        return self._lifted[text]

    def parse_number(self, text: str) -> Any:
        raise Unreadable("a number that was not lifted")

    def convert_postfix_list(self, arr: Any, i: int = 0) -> Any:
        factors = [self.convert_postfix(factor) for factor in arr]
        return factors[0] if len(factors) == 1 else sympy.Mul(*factors, evaluate=False)

    def convert_binom(self, binom: Any) -> Any:
        above, below = self.convert_expr(binom.upper), self.convert_expr(binom.lower)
        return sympy.binomial(above, below, evaluate=False)

    def convert_frac(self, frac: Any) -> Any:
        return quotient(self.convert_expr(frac.upper), self.convert_expr(frac.lower))
