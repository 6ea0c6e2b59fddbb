"""A text of words in, the form in which words are compared out: `fold`; `same_text` compares.

Case, accents, articles and what is around words go; mathematics in the text stays as it is. A
minus and a prime become characters that cleaned texts do not have, so that neither is taken for a
hyphen or an apostrophe. `ovr_plugin.reward.words` has the policy.
"""

from __future__ import annotations

import re
import unicodedata

from ovr_plugin.reward.normalize import plain_text

CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"

_ARTICLE = re.compile(r"\b(?:an?|the) (?=\S)")
HAS_CJK = re.compile(f"[{CJK}]")
_CJK_SPACE = re.compile(f"(?<=[{CJK}]) | (?=[{CJK}])")
_WEEKDAY = re.compile("^(?:周|礼拜)(?=[一二三四五六日天]$)")
MINUS, PRIME = "\u2212", "\u2032"
_LIST_COMMA = re.compile(r"(?<=\d)\s?,\s?(?=\d)")
_DROPPED = re.compile(r"['`]|\.(?!\d)|(?<=[^\W\d_]{3})!+")
_SPACED = re.compile(r"(?<!\d)[,;:]|[,;:](?!\d)|[\"?]")
# A hyphen stands between two characters of words, a minus does not.
_MINUS = re.compile(r"(?<![^\W_])-|-(?![^\W_])")
_PRIMES = re.compile(r"(?<![^\W\d_])([^\W\d_])('{1,3})(?!\w)")
_LOOSE_SPACE = re.compile(r" (?=[^\w\s])|(?<=[^\w\s]) ")
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=\w)|(?<=\w)-(?=[^\W\d_]{2})|_(?!\d)")
# One thing with a command and a name of its own.
_ALIASES = {
    r"\infty": "infinity",
    r"+\infty": "infinity",
    "inf": "infinity",
    "+inf": "infinity",
    r"-\infty": "-infinity",
    "-infinity": "-infinity",
    "-inf": "-infinity",
    "negative infinity": "-infinity",
    "positive infinity": "infinity",
    "minus infinity": "-infinity",
    r"\emptyset": "empty set",
    "null set": "empty set",
    "空集": "empty set",
    **dict.fromkeys(("no solution", "no solutions", "无解"), "empty set"),
    **dict.fromkeys(("there is no solution", "there are no solutions"), "empty set"),
    **dict.fromkeys(("no real solution", "no real solutions", "无实数解"), "empty set"),
    **dict.fromkeys(("dne", "doesnt exist", "it does not exist"), "does not exist"),
    **dict.fromkeys(("limit does not exist", "limit doesnt exist"), "does not exist"),
    **dict.fromkeys(("infinitely many solutions", "infinite solutions"), "infinitely many"),
}
NAMES = frozenset(_ALIASES.values())


def fold(text: str) -> str:
    """Return cleaned ``text`` as compared by `same_folded`; mathematics in it stays as it is."""
    text = plain_text(text)
    if text.isascii() and text.isalpha():
        return _ALIASES.get(text.lower(), text.lower())
    text = text.replace(r"\&", "&").replace("&", " and ").replace(r"\_", "_")
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = unicodedata.normalize("NFC", text)  # puts Korean syllables together again
    if "-" in text:
        text = _MINUS.sub(MINUS, text)
    if "'" in text:
        text = _PRIMES.sub(lambda primed: primed[1] + PRIME * len(primed[2]), text)
    text = _SPACED.sub(" ", _DROPPED.sub("", _LIST_COMMA.sub(",", text)))
    text = _LOOSE_SPACE.sub("", _ARTICLE.sub("", " ".join(text.casefold().split())))
    if HAS_CJK.search(text):
        text = _WEEKDAY.sub("星期", _CJK_SPACE.sub("", text))
    return _ALIASES.get(text.replace(MINUS, "-"), text)


def same_folded(a: str, b: str) -> bool:
    """Compare two folded texts apart from hyphens and a plural of the last word."""
    if a == b:
        return bool(a)
    if "-" in a or "-" in b or "_" in a or "_" in b:
        spaced, joined = [_HYPHEN.sub(" ", t) for t in (a, b)], [_HYPHEN.sub("", t) for t in (a, b)]
        if _same_but_plural(*spaced) or _same_but_plural(*joined):
            return True
    return _same_but_plural(a, b)


def same_text(a: str, b: str) -> bool:
    """Compare two cleaned texts as words."""
    return same_folded(fold(a), fold(b))


def _same_but_plural(a: str, b: str) -> bool:
    if a == b:
        return bool(a)
    short, long = sorted((a, b), key=len)
    ending = long[len(short) :]
    if not (long.startswith(short) and ending in ("s", "es")):
        return False
    last = short.rpartition(" ")[2]
    if not (last.isalpha() and len(last) > 2):
        return False
    if ending == "s" and last.endswith(("i", "u")):  # Paris, rhombus
        return False
    needs_es = last.endswith(("s", "x", "z", "ch", "sh"))
    return needs_es == (ending == "es") or last.endswith("o")
