r"""LaTeX in, a tree of its tokens out: numbers, names, commands and groups in brackets.

Commands come in one spelling each, and those that nobody separated are cut (``\cosx``). Nothing
here recurses: a text may be as deep as it is long, and what is too deep is `Unreadable`. Redundant
brackets go before they are counted.
"""

from __future__ import annotations

import re

from ovr_plugin.reward.algebra import vocabulary as v
from ovr_plugin.reward.algebra.items import Group, Item, Items, Name, Unreadable, Words
from ovr_plugin.reward.algebra.names import joined

MAX_NUMBER_CHARS = 1000
MAX_GLUED_LETTERS = 2  # behind a command that nobody separated
MAX_FACTORS = 4  # letters in a row that are a product; more are one name

_WRAPPER = (
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|up|md|normal)?|math(?:rm|tt)|operatorname\*?|mbox|hbox|rm)"
)
_COLUMNS = r"(?:\s*\{[lcr|@{} ]{0,40}\})?"  # of an array
_TOKEN = re.compile(
    rf"(?P<words>{_WRAPPER}\s*\{{(?P<inside>[^{{}}]*)\}})"
    r"|(?P<row>\\\\(?:\[[^\]]{0,9}\])?)"
    rf"|\\(?P<edge>begin|end)\s*\{{(?P<environment>[a-zA-Z]{{1,16}}\*?)\}}{_COLUMNS}"
    r"|(?P<command>\\[a-zA-Z]+)"
    r"|(?P<space>[\s~$]+|\\[,;:!>\s$]|\\$|\\[()\[\]])"
    r"|(?P<escaped>\\[{}|%&_#])"
    r"|(?P<scientific>[0-9]+(?:\.[0-9]+)?(?:e[0-9]+|E[+-]?[0-9]+)(?![\w^]))"
    r"|(?P<number>[0-9]{1,3}(?:(?:,\\!|\\[,;!\s]|[\s~])+[0-9]{3})+(?!\d)(?:\.[0-9]+)?"
    r"|[0-9]+(?:\.[0-9]+|\.(?![\d.]))?|\.[0-9]+)"
    r"|(?P<letters>[a-zA-Z]+|[^\W\d_]+)"
    r"|(?P<sign><=|=<|>=|!=|<>|:=|==|\*\*|&[lg]t;|''|[-+*/^_=<>!:;,.|&%'()\[\]{}])",
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d*,)")
_BRACKET = re.compile(r"[(\[]|\\\{|\\begin")
_RECURRING = re.compile(
    r"(?P<whole>\d+)\.(?P<fixed>\d*)"
    r"(?:\\(?:overline|bar|dot)\s*\{(?P<period>\d+)\}(?:(?P<middle>\d*)\\dot\s*\{(?P<last>\d)\})?"
    r"|\((?P<bracketed>\d+)\))"
)
_OPEN_SYSTEM = re.compile(
    rf"\\\{{\s*\\begin\{{(array|matrix|aligned|gathered)\}}{_COLUMNS}"
    r"((?:(?!\\begin).)*?)\\end\{\1\}",
    re.DOTALL,
)
_UNITS = frozenset(("in", "min", "sec", "th", "to"))  # and other words that are commands too
_FUNCTION = "|".join(sorted(v.PLAIN_FUNCTIONS, key=len, reverse=True))
_AROUND_FUNCTION = re.compile(rf"([a-zA-Z]{{0,2}}?)({_FUNCTION})([a-zA-Z]{{0,2}})")

_CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
_CLOSING |= {"\\lfloor": "\\rfloor", "\\lceil": "\\rceil", "\\langle": "\\rangle"}
_CLOSERS = frozenset(_CLOSING.values())
_INTERVAL = frozenset("()[]")
_ENVIRONMENT = re.compile(r"[pbBvV]?(?:small)?matrix\*?|array|cases|aligned|align\*?|gathered")


def read_tokens(text: str) -> Items:
    """Return the tokens of ``text``, nested.

    Raises:
        Unreadable: if brackets do not match, are too deep, or something is not known.
    """
    if text.count("\\{") > text.count("\\}"):  # \left\{ ... \right.
        text = _OPEN_SYSTEM.sub(r"\\begin{cases}\2\\end{cases}", text)
    text = _RECURRING.sub(_as_fraction, text.replace("{,}", ","))
    if "," in text and not _BRACKET.search(text):  # in brackets a comma is between values
        text = _THOUSANDS.sub(lambda number: number.group().replace(",", ""), text)
    return _nest(_split(text))


def _as_fraction(recurring: re.Match[str]) -> str:
    fixed, period = recurring["fixed"], recurring["period"] or recurring["bracketed"]
    if recurring["last"]:
        period += (recurring["middle"] or "") + recurring["last"]
    nines = 10 ** len(period) - 1
    numerator = int(recurring["whole"] + fixed) * nines + int(period)
    return rf"(\frac{{{numerator}}}{{{nines * 10 ** len(fixed)}}})"


def _split(text: str) -> list[Item]:
    tokens: list[Item] = []
    end = 0
    for token in _TOKEN.finditer(text):
        if token.start() != end:
            break
        end = token.end()
        tokens += _read(token)
    if end != len(text):
        raise Unreadable(f"what is {text[end : end + 10]!r}?")
    return tokens


def _read(token: re.Match[str]) -> list[Item]:
    text, kind = token.group(), token.lastgroup
    if token["edge"]:
        return [f"\\{token['edge']}{{{token['environment']}}}"]
    if token["words"] is not None:
        return _words(token["inside"], text.startswith("\\operatorname"))
    if kind == "number":
        if len(text) > MAX_NUMBER_CHARS:
            raise Unreadable("a number is too long")
        return ["".join(char for char in text if char in "0123456789.").rstrip(".")]
    if kind == "scientific":
        mantissa, _, exponent = text.lower().partition("e")
        return _split(rf"{mantissa}\cdot 10^{{{exponent}}}")
    if kind == "letters":
        return _letters(text)
    if kind == "command":
        return _command(text)
    if kind == "row":
        return ["\\\\"]
    return [] if kind == "space" else [v.ALIASES.get(text, text)]


def _letters(run: str) -> list[Item]:
    if run in v.PLAIN_WORDS:
        return _command(v.PLAIN_WORDS[run])
    if run in v.JOINTS:
        return [Words(run)]
    if not run.isascii():
        return [Name(run)]
    if len(run) > 1 and (around := _AROUND_FUNCTION.fullmatch(run)):
        before, function, after = around.groups()
        return [*map(Name, before), *_command("\\" + function), *map(Name, after)]
    if run == "mod":
        return ["\\mod"]
    return [*map(Name, run)] if len(run) <= MAX_FACTORS else [Name(run.lower())]


def _words(text: str, is_operator: bool) -> list[Item]:
    """What a text wrapper holds: words, or mathematics that is only upright."""
    text = " ".join(text.replace("~", " ").split())
    if "\\" + text in v.COMMANDS and len(text) > 1 and (is_operator or text not in _UNITS):
        return _command("\\" + text)
    if len(text) == 1 and text.isalpha():
        return [Name(text)]
    return [Words(text)] if any(char.isalpha() for char in text) else _split(text)


def _command(command: str) -> list[Item]:
    """One command, or what nobody separated from it."""
    known = command
    while known not in v.COMMANDS and len(command) - len(known) < MAX_GLUED_LETTERS:
        known = known[:-1]
    if known not in v.COMMANDS:
        raise Unreadable(f"what is {command}?")
    rest = _letters(command[len(known) :]) if known != command else []
    known = v.ALIASES.get(known, known)
    if known in v.NOTHING:
        return rest
    if known in v.NAMES:
        return [Name(v.NAMES[known]), *rest]
    return [Name(known) if known.isalpha() else known, *rest]


def _nest(tokens: list[Item]) -> Items:
    stack: list[tuple[str, list[Item]]] = [("", [])]
    for token in tokens:
        if isinstance(token, str):
            environment = token[6:].strip("{}") if token.startswith("\\begin{") else ""
            if environment and not _ENVIRONMENT.fullmatch(environment):
                raise Unreadable(f"what is the environment {environment}?")
            if token in _CLOSING or environment:
                stack.append((environment or token, []))
                continue
            if token in _CLOSERS or token.startswith("\\end{"):
                opening, items = stack.pop()
                if not stack or not _closes(token, opening):
                    raise Unreadable("brackets that do not match")
                stack[-1][1].append(_group(opening, token, items))
                continue
        stack[-1][1].append(token)
    if len(stack) > 1:
        raise Unreadable("brackets that do not match")
    return joined(stack[0][1])


def _closes(token: str, opening: str) -> bool:
    if token.startswith("\\end{"):
        return token == f"\\end{{{opening}}}"
    return _CLOSING.get(opening) == token or {opening, token} <= _INTERVAL


def _group(opening: str, closing: str, tokens: list[Item]) -> Group:
    items = joined(tokens)
    inner = items[0] if len(items) == 1 else None
    if isinstance(inner, Group) and (inner.opening, inner.closing) == (opening, closing):
        if opening in ("(", "{"):  # around nothing but itself
            return inner
    return Group(opening, closing, items)
