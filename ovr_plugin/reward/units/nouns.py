"""Things counted: which words may be one, and one form for singular and plural."""

from __future__ import annotations

import re

CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"

# Chinese words between a number and the thing counted.
COUNTERS = frozenset(
    "个 個 只 隻 名 位 本 张 支 枝 件 辆 棵 台 次 种 種 条 根 头 匹 朵 颗 粒 枚 份 组 排 层 页 题 "
    "段 句 间 家 座 套 双 对 把 瓶 盒 箱 袋 步 场 局 道 项 倍 人 元 岁".split()
)
# Those that say what is counted.
TELLING_COUNTERS = frozenset("人 次 倍 元 岁 种 種".split())

# Words behind a number that change it, leave it open, or are mathematics or a date.
_NO_NOUNS = frozenset(
    "and or not no nor to if but than then either neither maybe perhaps possibly vs versus except "
    "wrong incorrect unless otherwise yes true false correct right is are was be factorial squared "
    "cubed plus minus times over mod modulo choose root roots half halves quarter quarters third "
    "one two three four five six seven eight nine ten eleven twelve zero twenty thirty "
    "thirds fourths fifths sixths tenths hundredths thousandths hundred thousand million billion "
    "trillion dozen pi infinity infinite remainder with point more less fewer least most about "
    "approximately undefined none sin cos tan cot sec csc log ln exp min max lim gcd lcm det "
    "arcsin arccos arctan sinh cosh tanh alpha beta gamma delta theta lambda mu sigma phi omega "
    "sqrt frac text mathrm ldots dots infty base per the answer answers mode median mean noon "
    "midnight clock negative positive opposite reciprocal inverse below above under zero january "
    "february march april may june july august september october november december".split()
)
_NO_CHINESE_NOUN = re.compile("[或和与及不非无否错对是万亿]")
_PLURALS = {
    "people": "person", "persons": "person", "children": "child", "men": "man", "women": "woman",
    "mice": "mouse", "geese": "goose", "teeth": "tooth", "dice": "die", "vertices": "vertex",
    "vertexes": "vertex", "indices": "index", "axes": "axis", "leaves": "leaf", "loaves": "loaf",
    "knives": "knife", "wolves": "wolf", "shelves": "shelf", "pennies": "penny",
}  # fmt: skip
_MAX_CHINESE_CHARS = 6


def is_noun(word: str, is_last: bool) -> bool:
    """Whether a lower-case English word may be a thing counted; "24 times" are, if they end it."""
    if word in _NO_NOUNS and not (word == "times" and is_last):
        return False
    return len(word) > 2 and re.search("[aeiouy]|[^a-z]", word) is not None


def is_chinese_noun(run: str) -> bool:
    """Whether a run of characters may be a thing counted."""
    return len(run) <= _MAX_CHINESE_CHARS and _NO_CHINESE_NOUN.search(run) is None


def singular(noun: str) -> str:
    """Return one form of a noun for both numbers; not always the singular."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    if len(noun) < 4 or noun.endswith(("ss", "us", "is")):
        return noun
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    if noun.endswith(("ches", "shes", "sses", "xes", "zes", "oes")):
        return noun[:-2]
    return noun.removesuffix("s")


def same_noun(a: str, b: str) -> bool:
    """Compare two in the form of `singular`; "red apple" is an apple, 学生 in Chinese anything."""
    short, long = sorted((a, b), key=len)
    if short.isascii() != long.isascii():
        return True  # in two languages: nobody knows
    return long == short or long.endswith(f" {short}" if short.isascii() else short)
