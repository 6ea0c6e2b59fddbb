"""LaTeX commands and signs by what they mean to algebra; data alone."""

from __future__ import annotations

# The one spelling of each meaning, and the others.
_SPELLINGS = {
    "\\frac": "\\dfrac \\tfrac \\cfrac",
    "\\binom": "\\dbinom \\tbinom",
    "\\le": "\\leq \\leqslant \\leqq <= =<",
    "\\ge": "\\geq \\geqslant \\geqq >=",
    "\\ne": "\\neq != <>",
    "<": "\\lt &lt;",
    ">": "\\gt &gt;",
    "=": ":= ==",
    "*": "\\cdot \\times \\ast",
    "/": "\\div",
    "^": "**",
    ":": "\\colon \\ratio",
    "%": "\\%",
    "|": "\\vert \\lvert \\rvert \\mid \\Vert \\lVert \\rVert \\|",
    "\\{": "\\lbrace",
    "\\}": "\\rbrace",
    "[": "\\lbrack",
    "]": "\\rbrack",
    "(": "\\lparen \\lgroup",
    ")": "\\rparen \\rgroup",
    "i": "\\imath",
    "T": "\\top \\intercal",
    "j": "\\jmath",
    "\\emptyset": "\\varnothing \\empty",
    "\\land": "\\wedge",
    "\\lor": "\\vee",
    "\\cup": "\\bigcup",
    "\\cap": "\\bigcap",
    "\\setminus": "\\smallsetminus \\backslash",
    "\\dots": "\\ldots \\cdots \\dotsc \\dotsb \\vdots",
    "\\to": "\\rightarrow \\longrightarrow",
    "\\Rightarrow": "\\Longrightarrow \\implies",
    "\\Leftrightarrow": "\\Longleftrightarrow \\iff",
    "\\mod": "\\bmod \\pmod",
    "\\approx": "\\simeq \\doteq \\fallingdotseq \\thickapprox",
    "\\sim": "\\backsim",
    "\\epsilon": "\\varepsilon",
    "\\phi": "\\varphi",
    "\\theta": "\\vartheta",
    "\\rho": "\\varrho",
    "\\sigma": "\\varsigma",
    "\\infty": "\\infin",
    "\\circ": "\\degree \\circle",
    "\\triangle": "\\vartriangle \\bigtriangleup",
    "\\mathbb{R}": "\\R",
    "\\tan": "\\tg",
    "\\cot": "\\ctg \\cotg \\cotan",
    "\\csc": "\\cosec",
    "\\arctan": "\\arctg \\atan",
    "\\arccot": "\\arcctg",
    "\\arcsin": "\\asin",
    "\\arccos": "\\acos",
    "\\arsinh": "\\arcsinh",
    "\\arcosh": "\\arccosh",
    "\\artanh": "\\arctanh",
    "\\sinh": "\\sh",
    "\\cosh": "\\ch",
    "\\tanh": "\\th",
}
ALIASES = {other: one for one, others in _SPELLINGS.items() for other in others.split()}

# Functions of one argument.
FUNCTIONS = frozenset(
    "\\sin \\cos \\tan \\cot \\sec \\csc \\arcsin \\arccos \\arctan \\arccot \\arcsec \\arccsc "
    "\\sinh \\cosh \\tanh \\coth \\sech \\csch \\arsinh \\arcosh \\artanh \\arcoth \\arsech "
    "\\arcsch \\ln \\log \\lg \\exp".split()
)
# ... of several, in parentheses.
LIST_FUNCTIONS = frozenset(("\\max", "\\min", "\\gcd", "\\lcm"))
# Operators that own their subscripts and superscripts.
BIG_OPERATORS = frozenset(("\\sum", "\\prod", "\\int", "\\lim", "\\bigcup", "\\bigcap"))
# Functions that are written without a backslash too.
PLAIN_FUNCTIONS = frozenset(name[1:] for name in FUNCTIONS | LIST_FUNCTIONS) | frozenset(
    "sqrt tg ctg arctg asin acos atan".split()
)

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron rho sigma "
    "tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
).split()
_SYMBOLS = "ell hbar nabla partial aleph mho odot oplus star bullet square Box dots wp".split()
# Commands that stand for a name.
NAMES = {f"\\{name}": name for name in (*_GREEK, *_SYMBOLS)}
# Words that stand for a command where nobody wrote the backslash.
PLAIN_WORDS = {name: f"\\{name}" for name in _GREEK if len(name) > 2}
PLAIN_WORDS |= {"pi": "\\pi", **dict.fromkeys(("infty", "infinity", "inf", "oo"), "\\infty")}
JOINTS = frozenset(("and", "or"))  # words that stand between values

# Commands that change the look of what follows and not its meaning.
FONTS = frozenset(
    "\\mathbf \\mathit \\mathsf \\mathcal \\mathscr \\mathfrak \\mathtt \\boldsymbol \\bm \\pmb "
    "\\underline \\boxed \\fbox \\mathop \\mathrm \\rm".split()
)
ARROWS = frozenset(("\\vec", "\\overrightarrow"))  # over one letter no more than a font
ACCENTS = frozenset(
    "\\bar \\overline \\hat \\widehat \\tilde \\widetilde \\dot \\ddot \\check".split()
)
NOTHING = frozenset(
    "\\left \\right \\middle \\big \\Big \\bigg \\Bigg \\bigl \\bigr \\Bigl \\Bigr \\biggl \\biggr "
    "\\displaystyle \\textstyle \\scriptstyle \\limits \\nolimits \\quad \\qquad \\it \\bf \\large "
    "\\Large \\small \\normalsize \\hfill \\hline \\nonumber \\notag \\thinspace".split()
)
FIGURES = frozenset(("\\angle", "\\measuredangle", "\\triangle"))
NUMBER_SETS = frozenset("RZNQC")

# Relations: what each is when its sides change places, '' for those that cannot.
TURNED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
ORDERINGS = frozenset(TURNED)
_SYMMETRIC = "= \\ne \\approx \\equiv \\cong \\sim \\parallel \\perp".split()
_DIRECTED = "\\in \\notin \\subset \\subseteq \\supset \\supseteq \\to".split()
TURNED |= {sign: sign for sign in _SYMMETRIC} | dict.fromkeys(_DIRECTED, "")
RELATIONS = frozenset(TURNED)
SET_OPERATIONS = frozenset(("\\cup", "\\cap", "\\setminus"))
INFERENCES = frozenset(("\\Rightarrow", "\\Leftrightarrow"))

_OTHERS = frozenset(
    "\\frac \\sqrt \\binom \\over \\choose \\pi \\infty \\emptyset \\mathbb \\Bbb \\pm \\mp \\circ "
    "\\land \\lor \\mod \\lfloor \\rfloor \\lceil \\rceil \\langle \\rangle \\det \\prime".split()
)
COMMANDS = frozenset().union(
    (name for name in (*ALIASES, *RELATIONS) if name[1:].isalpha()),
    *(FUNCTIONS, LIST_FUNCTIONS, BIG_OPERATORS, NAMES, FONTS, ARROWS, ACCENTS, NOTHING, FIGURES),
    *(SET_OPERATIONS, INFERENCES, _OTHERS),
)
