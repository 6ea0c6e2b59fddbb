"""Text never becomes code: what sympy has of `eval` and `exec` is shut.

Nothing of a text reaches these here: tokens are read by regular expressions, the grammar builds a
tree, names and numbers are made without parsing. But sympy turns any text into an expression by
`eval` (``sympify``, ``S``, ``parse_expr``, ``Number``), and its numeric sums write code and run it
(``lambdify``). Should some function come to be handed text, it is refused.
"""

from __future__ import annotations

import builtins
import importlib
import re
from typing import Any

# What sympy's own parser makes of one number, fraction or name; its tables hold some ("3/2").
_NUMBER = r"(?:Integer|Float) ?\( ?'?[0-9.eE+-]{1,40}'? ?\) ?"
_ATOM = re.compile(rf"{_NUMBER}(?:/ ?{_NUMBER})?|Symbol ?\( ?'\w{{1,40}}' ?\) ?")


def shut_text_evaluation() -> None:
    """Leave sympy no way from text to code but that for one number or symbol.

    All its ways end in one `eval`; a name in a module hides the builtin.
    """
    parser: Any = importlib.import_module("sympy.parsing.sympy_parser")
    lambdify: Any = importlib.import_module("sympy.utilities.lambdify")
    parser.eval = _atom_only
    lambdify.eval = lambdify.exec = _refuse


def _refuse(*_args: object) -> None:
    raise PermissionError("the reward evaluates no text as code")


def _atom_only(code: str, *scopes: Any) -> Any:
    return builtins.eval(code, *scopes) if _ATOM.fullmatch(code) else _refuse()  # noqa: S307
