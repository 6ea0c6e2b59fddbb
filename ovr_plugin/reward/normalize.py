r"""An answer as written in, the same answer in one spelling out.

Only what never changes the meaning goes: invisible characters, dollar signs around formulas,
spacing, size, colour and font commands, full-width and foreign digits, markdown, end punctuation,
braces around everything, and the words that announce an answer ("The answer is", ``####``).
`plain_text` goes further and drops LaTeX's text wrappers; it is for comparing words. All of it is
linear in the length.
"""

from __future__ import annotations

import re

from ovr_plugin.reward.characters import to_latex

_PLAIN = re.compile(r"[A-Za-z]|-?[0-9]+(?:\.[0-9]+)?")
_SPECIAL_TOKEN = re.compile(r"<\|\w{1,40}\|>|</?s>|<(?:eos|pad)>")
_HTML = {"<sup>": "^{", "</sup>": "}", "<sub>": "_{", "</sub>": "}"}
_TAG = re.compile(r"</?(?:sup|sub|b|i|u|strong|em|span|p|code)\s?/?>", re.IGNORECASE)
# `\\` (a line break) comes first, so that the backslash of `\,` is never its second half.
_COMMANDS = re.compile(
    r"(?P<line_break>\\\\|\\cr(?![a-zA-Z]))"
    r"|(?P<between>(?<=[\w})])\s?\\q?quad(?=\s?[a-zA-Z](?:_\w)?\s?=))"  # x = 1 \quad y = 2
    r"|(?P<space>\{\\[,;: ]\}|\\[,;:> ]|\\q?quad(?![a-zA-Z])|\\[hv]s(?:pace|kip)\*?\s?\{[^{}]*\}"
    r"|(?<=[\w}\])$.,:;{%])~|^~(?=\s?\d))"  # elsewhere a tilde is a sign: not, about
    r"|(?P<nothing>\\!\s?|\\[()\[\]]|\\(?:text)?color(?:box)?\s?\{[\w#!]{1,20}\}"
    r"|\\(?:tag|label|[hv]?phantom)\s?\{[^{}]{0,20}\}"
    r"|\\(?:therefore|mathstrut|strut|ldotp)(?![a-zA-Z])"
    r"|(?<=\S)\s?\\(?:checkmark|blacksquare|qed)(?![a-zA-Z])"
    r"|\\(?:displaystyle|textstyle|limits|boldsymbol|bold|bm|bf|pmb|mathbf|mathit|mathsf|underline"
    r"|boxed|fbox|large|Large|huge|Huge|small|tiny|normalsize|[bB]igg?[lr]?)(?![a-zA-Z])"
    r"|\\(?:left|right)(?:\s?\.|(?=[\s()\[\]|<>/]|\\[a-zA-Z{}|])))"
    r"|(?P<dollar>\\\$|\$)"
    r"|(?P<frac>\\(?:[dtcs]|nice)frac(?![a-zA-Z]))"
    r"|(?P<brace>\\lbrace(?![a-zA-Z]))|(?P<closing>\\rbrace(?![a-zA-Z]))"
    r"|(?P<le>\\leq?(?:slant)?(?![a-zA-Z]))|(?P<ge>\\geq?(?:slant)?(?![a-zA-Z]))"
    r"|(?P<ne>\\neq?(?![a-zA-Z]))|(?P<to>\\(?:long)?rightarrow(?![a-zA-Z]))"
    r"|(?P<degree>\^\s?(?:\{\s?\\circ\s?\}|\\circ(?![a-zA-Z])))"
    r"|(?P<empty>\\varnothing(?![a-zA-Z])|\\\{\s?\\\})"
    r"|(?P<dots>(?<=\d)\.{3,}|\\(?:dots|cdots)(?![a-zA-Z]))"
    r"|(?P<percent>(?<![\\a-zA-Z])(?:%|(?:pct|percent(?:age)?)(?![a-zA-Z])))"
)
_BOLD_NUMBER = re.compile(
    r"(?<![\^_])\\(?:mathbf|boldsymbol|bm|pmb|mathit|mathsf|underline|boxed)\s?\{(\d[\d.,]*)\}"
)
_SIUNITX = (
    (re.compile(r"\\(?:SI|qty)\s?(\{[^{}]*\})\s?\{([^{}]*)\}"), r"\1 \\text{ \2}"),
    (re.compile(r"\\(?:si|unit)\s?\{([^{}]*)\}"), r"\\text{ \1}"),
    (re.compile(r"\\num\s?\{([^{}]*)\}"), r"\1"),
)
_REPLACEMENTS = {
    "line_break": "\\\\",
    "between": ", ",
    "space": " ",
    "nothing": "",
    "frac": r"\frac",
    "brace": r"\{",
    "closing": r"\}",
    "empty": r"\emptyset ",
    "dots": r"\ldots ",
    "le": r"\le ",
    "ge": r"\ge ",
    "ne": r"\ne ",
    "to": r"\to ",
    "degree": r"^\circ ",
    "percent": r"\%",
}
_WRAPPER = (
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|up|md|normal)?|math(?:rm|tt)|operatorname\*?|mbox|hbox|emph)"
)
_WRAPPERS = re.compile(_WRAPPER + r"\s?\{")
_BRACES = re.compile(_WRAPPER + r"\s?\{|\\.|[{}]", re.DOTALL)
_NUMBER_IN_TEXT = re.compile(
    _WRAPPER + r"\s?\{\s?([+-]?(?:\d[\d,]*(?:\.\d+)?|\.\d+))\s(?=[^\W\d_])"
)
_LETTER = re.compile(r"[^\W\d_]")
_IN_TEXT = re.compile(_WRAPPER + r"\s?\{([^{}]*)\}")
_FEW_LETTERS = re.compile("[A-Za-z]{1,4}[.!]?")  # the wrapper tells that they are no product
_LEAD_IN = re.compile(
    rf"(?P<wrapper>{_WRAPPER}\s?\{{\s?)?(?:"
    r"(?:(?:so|thus|hence|therefore|then)\b,?\s?)?(?:the\s|my\s|our\s)?(?:(?:final|correct|right)\s)*"
    r"(?:answer|result|solution)s?\s?(?:(?:is|are)\b\s?:?|would be\b|must be\b|:|=)"
    r"|(?:所以|因此|故|综上)?,?\s?(?:最终|正确|标准|参考)?的?(?:答案|结果)(?:应该?)?[是为:=\s]+"
    r"|[答解]\s?:|(?:总|一)?共(?=\s?\d)|(?:in\s)?(?:the\s)?year\s(?=\d)"
    r"|#{4}(?=\s?[^\s#])|[:=](?=[^=]))\s?",
    re.IGNORECASE,
)
_SCRIPT_BRACES = re.compile(r"([_^])\s?\{\s?(\w)\s?\}")
_IDLE_SPACE = re.compile(r"(?<![^\W_]) | (?![^\W_])")
# The end of a formula, and the start of another in the next line, or of an equation.
_BETWEEN_FORMULAS = re.compile(
    r"(?<=[^\s$\\])\$(?:[ \t]{0,9}\n\s{0,9}\$|\s{1,9}\$(?=[a-zA-Z][^\s$=]{0,8}\s?=))"
)
_TURNED = re.compile(
    r"(?:(?<=[\s=(,])|^)(?P<opening>[\[\]])(?P<ends>[^\[\](),;]+[,;][^\[\](),;]+)"
    r"(?P<closing>[\[\]])(?=[\s\\),.;]|$)"
)
_AROUND = ' .,;:?*`"'
_QUOTED_LIST = re.compile(r"\[\s?(?P<quote>['\"])(?P<items>.*)(?P=quote)\s?\]", re.DOTALL)


def clean(text: str) -> str:
    r"""Return ``text`` in one spelling; its meaning as LaTeX is untouched.

    A dollar sign that is money stays, as ``\$``. A Python list's text is its items: ``['42']`` is
    42.
    """
    if _PLAIN.fullmatch(text):
        return text
    if not text.isascii():
        text = to_latex(text)
    if "<" in text:
        text = _SPECIAL_TOKEN.sub("", text)
        if "</" in text:
            text = _TAG.sub(lambda tag: _HTML.get(tag.group().lower(), ""), text)
    if "$" in text:
        text = _BETWEEN_FORMULAS.sub(", ", text)
    text = _replace_commands(text.replace("{,}", ","))
    text = _without_ends(_unwrap(" ".join(text.split()), keep_words=True))
    if "[" in text or text.startswith("]"):
        text = _TURNED.sub(_turned_round, text)
    text = _NUMBER_IN_TEXT.sub(r"\1 \\text{", text) if "{" in text else text
    if listed := _QUOTED_LIST.fullmatch(text):
        quote = listed["quote"]
        items = re.split(rf"{quote}\s?,\s?{quote}", listed["items"])
        text = _without_ends(", ".join(items))
    return text


def _turned_round(interval: re.Match[str]) -> str:
    """``]a, b[`` is how the French write ``(a, b)``."""
    opening = "(" if interval["opening"] == "]" else "["
    closing = ")" if interval["closing"] == "[" else "]"
    return f"{opening}{interval['ends']}{closing}"


def plain_text(text: str) -> str:
    r"""Return cleaned ``text`` without ``\text{}`` and the like, spaces collapsed."""
    text = _unwrap(text, keep_words=False)
    text = " ".join(text.split()).strip(_AROUND)
    if text.startswith("'") and text.endswith("'"):  # at the end alone it is a prime
        text = text.strip(_AROUND + "'")
    return text


def squeeze(text: str) -> str:
    """Return ``text`` without what LaTeX does not need, for comparing texts.

    That is the braces around one character of a script, and spaces but for those inside words and
    numbers.
    """
    text = _SCRIPT_BRACES.sub(r"\1\2", text) if "{" in text else text
    return _IDLE_SPACE.sub("", text) if " " in text else text


def _replace_commands(text: str) -> str:
    # A single dollar sign in front of a number is money that nobody escaped.
    n_dollars = text.count("$") - text.count(r"\$")
    is_money = n_dollars == 1 and re.search(r"(?<!\\)\$\s?\.?\d", text) is not None

    def replacement(command: re.Match[str]) -> str:
        kind = command.lastgroup or ""
        if kind == "dollar":
            return r"\$" if is_money or command.group() == r"\$" else ""
        if kind == "between" and "=" not in text[: command.start()]:
            return " "
        return _REPLACEMENTS[kind]

    if "\\" in text:
        text = _BOLD_NUMBER.sub(r"\1", text)
        for written, plain in _SIUNITX:
            text = written.sub(plain, text)
    return _COMMANDS.sub(replacement, text)


def _unwrap(text: str, keep_words: bool) -> str:
    r"""Drop text wrappers in one pass over the braces; nested ones become one.

    With ``keep_words`` those around letters stay: whether a text is words or mathematics matters.
    """
    if "{" not in text or not _WRAPPERS.search(text):
        return text
    pieces: list[str] = []
    frames: list[tuple[int, bool]] = []  # per open brace: its piece, and whether it is a wrapper
    lettered = [False]  # per open brace, and for the whole
    n_wrappers = end = 0

    def add(piece: str) -> None:
        pieces.append(piece)
        lettered[-1] = lettered[-1] or _LETTER.search(piece) is not None

    for token in _BRACES.finditer(text):
        add(text[end : token.start()])
        end = token.end()
        kind = token.group()
        if kind.endswith("{") and kind != r"\{":
            is_wrapper = len(kind) > 1
            frames.append((len(pieces), is_wrapper))
            lettered.append(False)
            n_wrappers += is_wrapper
            pieces.append(kind)
        elif kind == "}" and frames:
            start, is_wrapper = frames.pop()
            has_letters = lettered.pop()
            lettered[-1] = lettered[-1] or has_letters
            n_wrappers -= is_wrapper
            if is_wrapper and (n_wrappers or not keep_words or not has_letters):
                is_script = start > 0 and pieces[start - 1].endswith(("^", "_"))
                pieces[start], kind = ("{", "}") if is_script else ("", "")
            pieces.append(kind)
        else:
            add(kind)
    return "".join(pieces) + text[end:]


def _without_ends(text: str) -> str:
    """Drop what stands around an answer; a few rounds, as each may bare the next."""
    for _ in range(4):
        before = text
        text = _without_outer_braces(_without_markup(text.strip()))
        if (whole := _IN_TEXT.fullmatch(text)) and not _FEW_LETTERS.fullmatch(whole.group(1)):
            text = whole.group(1)
        if lead_in := _LEAD_IN.match(text):
            rest = text[lead_in.end() :]
            wrapper = lead_in["wrapper"]
            if wrapper and rest.startswith("}"):
                text = rest[1:]
            elif rest.strip(" .}"):
                text = _unwrap((wrapper or "") + rest, keep_words=True)
        if text == before:
            break
    return text


def _without_markup(text: str) -> str:
    if text.startswith("``") and text.endswith("''"):
        text = text[2:-2]
    text = text.strip(" `").rstrip(" .,;?")
    while text.endswith("\\\\"):
        text = text[:-2].rstrip(" .,;?")
    for mark in ("**", "__", '"', "*"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    if text.startswith("'") and text.find("'", 1) == len(text) - 1:
        text = text.strip("' ")
    return text


def _without_outer_braces(text: str) -> str:
    """Drop the braces that are around everything, however many there are."""
    if not (text.startswith("{") and text.endswith("}")):
        return text
    n_around = len(text) - len(text.lstrip("{"))
    opened: list[int] = []
    for token in _BRACES.finditer(text):
        if token.group() == "}":
            if not opened:
                return text
            start = opened.pop()
            if start != len(text) - token.end():  # then it does not go around everything
                n_around = min(n_around, start)
        elif token.group().endswith("{") and token.group() != r"\{":
            opened.append(token.end() - 1)
    return text if opened else text[n_around : len(text) - n_around].strip()
