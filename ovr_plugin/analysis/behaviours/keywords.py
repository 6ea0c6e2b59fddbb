"""The cheap detector: how many sentences of a response speak like a behaviour.

A sentence counts once for a behaviour, however many cues it holds. Words are not deeds: "let me
check" may check nothing, and a check may go without the word, which is why `ovr behaviours` reports
how far this agrees with a judge. A cue is looked for only where a sentence has one of its
behaviour's words, so that long responses cost little, and time is linear in their length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ovr_plugin.analysis.behaviours.definitions import BEHAVIOURS, Behaviour

# A full stop inside a number ends no sentence.
SENTENCE_END = re.compile(r"\n|[.!?]\s")
WORD = re.compile(r"[a-z]+")
MAX_SENTENCE_CHARS = 1000  # what goes on without an end is cut into pieces
IMAGE = (
    r"(?:image|picture|figure|diagram|graph|chart|plot|photo|drawing|illustration|grid|table|"
    r"map|scene|axis|axes)s?"
)
GAP = r"[^.!?\n]{0,60}?"
LOOK = r"(?:look|looking|inspect|inspecting|examin\w+|zoom\w*|go(?:ing)? back|return\w*|glanc\w+)"
AGAIN = r"(?:again|once more|more (?:carefully|closely)|closer|back)"
CHECK = r"(?:check\w*|verif\w+|confirm\w*|compar\w+|consistent|match(?:es)?|agree(?:s)?)"
PART = (
    r"(?:left|right|top|bottom|upper|lower|middle|first|second|third|last|each|every|one)[ -]"
    r"(?:most )?(?:half|side|part|region|section|row|column|corner|quadrant|panel|shape|object|"
    r"segment|block|cell|piece)s?"
)

CUES: dict[str, tuple[str, ...]] = {
    "backtracking": (
        r"\b(?:wait|hold on|hmm)\b" + GAP + r"\b(?:no|not|wrong|mistake|error|incorrect|instead|"
        r"misread|doesn'?t|can'?t|isn'?t|contradict\w*)\b",
        r"\b(?:let me|let's|i(?:'ll| will| should| need to)?) (?:go back|backtrack|start over|"
        r"try (?:again|another|a different|something else)|reconsider|rethink|redo)",
        r"\b(?:that|this|it) (?:does(?:n'?t| not) (?:work|lead|help|seem right|make sense)|"
        r"is (?:wrong|incorrect|a mistake|a dead end)|was (?:wrong|a mistake)|"
        r"can(?:no|')?t be (?:right|correct))",
        r"\b(?:i|we) (?:made (?:a|an) (?:mistake|error)|was wrong|were wrong|misread|overlooked)",
        r"\bactually,? (?:no|that'?s (?:wrong|not))",
    ),
    "subgoal_setting": (
        r"\b(?:break|split|divide|decompose)\b" + GAP + r"\b(?:into|down)\b",
        r"\b(?:first|next|then|now),? (?:(?:i|we)(?:'ll| will)? (?:need|have|want|must|should)|"
        r"let(?:'s| me| us)) (?:to )?(?:find|calculate|compute|determine|get|figure|solve|count)",
        r"\bfirst,? the \w+:",
        r"\b(?:step|part|stage|case) (?:1|one|2|two|3|three)\s*[:)]",
        r"\bonce (?:i|we) (?:have|know|find|get)\b",
        r"\b(?:my|our|the) (?:plan|subgoal|sub-goal|first goal|strategy) (?:is|will be)\b",
    ),
    "verification": (
        r"\b(?:let me|let's|let us|i(?:'ll| will| should| need to)?|we (?:can|should)|to) "
        r"(?:double[- ]?check|check|verify|confirm|re-?check|make sure|sanity[- ]check|test)\b",
        r"\b(?:checking|verifying|double-checking|substituting back|plugging (?:it |this )?back)\b",
        r"\b(?:this|that|which) (?:matches|agrees with|is consistent with|satisfies|checks out)\b",
        r"\b(?:verification|sanity check)\s*:",
    ),
    "backward_chaining": (
        r"\b(?:work|working|reason|reasoning) backwards?\b",
        r"\b(?:to|in order to) (?:find|get|determine|compute|calculate|know|reach|show|prove)\b"
        + GAP + r"\b(?:i|we)(?:'d| would)? (?:first )?(?:need|must|have to|require)\b",
        r"\b(?:start|starting|begin|beginning) (?:from|with) (?:the )?(?:answer|goal|result|"
        r"conclusion|end|target|what (?:is|we) want)",
        r"\bfor (?:this|that|it|the \w+) to (?:be|hold|work|equal)\b" + GAP + r"\b(?:must|need)",
        r"\bwhat (?:would|do) (?:we|i) need (?:to|for|in order)",
    ),
    "visual_reflection": (
        LOOK + GAP + r"\b" + IMAGE + r"\b" + GAP + r"\b" + AGAIN + r"\b",
        LOOK + r" " + AGAIN + GAP + r"\b" + IMAGE + r"\b",
        r"\b(?:let me|let's|i(?:'ll| will| should| need to)?) (?:look again|re-?examine|"
        r"re-?inspect|look (?:more )?(?:closely|carefully)|take another look)",
        r"\b(?:misread|misjudged|miscounted|overlooked|misinterpreted|mis-saw)\b"
        + GAP + r"\b(?:" + IMAGE + r"|label|mark|colou?r|shape)s?\b",
        r"\b(?:back|return(?:ing)?) to the " + IMAGE + r"\b",
    ),
    "visual_divide_and_conquer": (
        r"\b(?:row by row|column by column|one by one|region by region|part by part)\b",
        r"\b(?:break|split|divide|decompose)\b" + GAP + r"\b" + IMAGE + r"\b",
        r"\b(?:in|on|at) the " + PART + r"\b",
        r"\b" + IMAGE + r"\b" + GAP
        + r"\b(?:consists of|is (?:made up|composed) of|can be (?:split|divided))",
    ),
    "visual_verification": (
        r"\b" + CHECK + r"\b" + GAP + r"\b" + IMAGE + r"\b",
        r"\b" + IMAGE + r"\b" + GAP
        + r"\b(?:confirms?|verif(?:y|ies)|agrees?|matches|is consistent)\b",
        r"\b(?:as|which is what) (?:the )?" + IMAGE + r" shows?\b",
        r"\bcount(?:ing)? (?:them |these )?again\b",
    ),
    "goal_driven_visual_tracing": (
        r"\bto (?:find|see|show|determine|identify|decide|answer|tell)\b(?=.*\b" + IMAGE + r"\b)"
        + GAP + r"\b(?:look|search|trace|follow|locate|need to (?:see|find|look))\b",
        r"\b(?:look(?:ing)?|search(?:ing)?) (?:for|through)\b" + GAP
        + r"\b(?:in|on) the " + IMAGE + r"\b",
        r"\b(?:trace|tracing|follow(?:ing)?) the (?:line|path|outline|arrow|curve|edge)s?\b",
    ),
}  # fmt: skip
PATTERNS = {
    name: re.compile("|".join(f"(?:{cue})" for cue in cues), re.IGNORECASE | re.ASCII)
    for name, cues in CUES.items()
}
# No cue of a behaviour matches where none of these words is.
_VISUAL = frozenset(
    "image picture figure diagram graph chart plot photo drawing illustration grid table map scene "
    "axis axes images pictures figures diagrams graphs charts plots photos drawings illustrations "
    "grids tables maps scenes axiss axess".split()
)
ANCHORS: dict[str, frozenset[str]] = {
    "backtracking": frozenset(
        "wait hold hmm back backtrack over again another different else reconsider rethink redo "
        "work lead help right correct sense wrong incorrect mistake error end misread overlooked "
        "actually".split()
    ),
    "subgoal_setting": frozenset(
        "break split divide decompose first next then now step part stage case once plan subgoal "
        "sub goal strategy".split()
    ),
    "verification": frozenset(
        "check double verify confirm re recheck make sure sanity test checking verifying "
        "substituting plugging matches agrees consistent satisfies checks verification".split()
    ),
    "backward_chaining": frozenset(
        "backward backwards need must have require start starting begin beginning".split()
    ),
    "visual_reflection": _VISUAL
    | frozenset(
        "look reexamine examine re reinspect inspect misread misjudged miscounted overlooked "
        "misinterpreted mis".split()
    ),
    "visual_divide_and_conquer": _VISUAL
    | frozenset(
        "half side part region section row column corner quadrant panel shape object segment block "
        "cell piece one halfs sides parts regions sections rows columns corners quadrants panels "
        "shapes objects segments blocks cells pieces".split()
    ),
    "visual_verification": _VISUAL | frozenset(["again"]),
    "goal_driven_visual_tracing": _VISUAL | frozenset("trace tracing follow following".split()),
}


def keyword_counts(response: str, behaviours: Iterable[Behaviour] = BEHAVIOURS) -> dict[str, int]:
    """Return, per behaviour, how many sentences of ``response`` hold one of its cues."""
    counts = {behaviour.name: 0 for behaviour in behaviours}
    for sentence in _sentences(response):
        words = set(WORD.findall(sentence.lower()))
        for name in counts:
            if not words.isdisjoint(ANCHORS[name]) and PATTERNS[name].search(sentence):
                counts[name] += 1
    return counts


def _sentences(text: str) -> Iterator[str]:
    for sentence in SENTENCE_END.split(text):
        for start in range(0, len(sentence), MAX_SENTENCE_CHARS):
            piece = sentence[start : start + MAX_SENTENCE_CHARS]
            if piece.strip():
                yield piece
