r"""What stands behind a number in, a unit out: of measurement, of money, or things counted.

Read are symbols, names and plurals in English and Chinese (`table`), powers (``cm^2``, ``cm2``,
"square cm", "sq. ft", "metres squared", 平方米), products and quotients (``m/s``, "km per hour",
``kg m s^{-1}``, ``\frac{m}{s}``, 米/秒, 元每千克). All that follows a slash is below it:
``kJ/kg K`` is kJ/(kg K).

A word that is no unit is a thing counted ("red apples", 人), compared without its plural (`nouns`);
"units", "square units" and 个 are any unit. What follows "of", and words such as "tall" or "in
total", are ignored. Words that compute or hedge ("5 factorial", "5 or") make it no unit.
"""

from ovr_plugin.reward.units.conversion import conversions, convert, is_product
from ovr_plugin.reward.units.nouns import CJK, COUNTERS
from ovr_plugin.reward.units.reader import MAX_CHARS, Unit, read_unit
from ovr_plugin.reward.units.spelling import WRAPPER, spell
from ovr_plugin.reward.units.table import Size

__all__ = [
    "CJK",
    "COUNTERS",
    "MAX_CHARS",
    "WRAPPER",
    "Size",
    "Unit",
    "conversions",
    "convert",
    "is_product",
    "read_unit",
    "spell",
]
