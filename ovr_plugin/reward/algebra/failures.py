"""Why an expression has no value."""

from __future__ import annotations


class Undefined(ArithmeticError):
    """There is no value at this point."""


class TooLarge(ArithmeticError):
    """A number is too large to be computed."""


class Unknown(ArithmeticError):
    """There is a value, and nothing here can compute it."""
