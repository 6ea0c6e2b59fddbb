"""Can a rule tell a right answer to this question from a wrong one?

Problems that the reward cannot judge, "proofs and the like", go (OVR 3.3, A). The words of question
and reference decide. In doubt a row stays: the pass-rate filter removes what no model ever gets
right.
"""

from __future__ import annotations

import re

from ovr_plugin.data.curation.row import Row

MAX_PROSE_WORDS = 20

PROOF = re.compile(
    r"(?:^|[.!?;:,\n]\s*|\$\s+|\bthen\s+|\band\s+)\W{0,3}"
    r"(?:please\s+)?(?:prove|show|demonstrate|verify|deduce|disprove)\b"
    r"(?:\s+(?:or disprove|using [^.]{1,40}))?,?"
    r"\s+(?:that|the\s+(?:following|identity|inequality)|:|\$)",
    re.IGNORECASE,
)
ASKS = re.compile(
    r"\?|\b(?:find|determine|compute|calculate|evaluate|what|how (?:many|much|long|far)|which|solve"
    r"|simplify|express|value of|estimate|give)\b",
    re.IGNORECASE,
)
# "Which" and the like also join a condition to the one before it.
ASKS_BY_ITSELF = re.compile(
    r"\?|\b(?:find|determine|compute|calculate|evaluate|solve|simplify|prove|show that)\b",
    re.IGNORECASE,
)
NO_ANSWER = re.compile(
    r"\W*(?:(?:the )?(?:proof|solution)(?: is)?(?: omitted| (?:above|below))?|proved|proven"
    r"|q\.?\s?e\.?\s?d|omitted|see (?:the )?(?:solution|proof|figure|diagram|picture|explanation)"
    r"|answers? (?:may|will)? ?var(?:y|ies)|not (?:given|provided|available|found)|n/?a|unknown"
    r"|no answer|no solution provided|无|略|见解析)\W*",
    re.IGNORECASE,
)
OPEN = re.compile(
    r"\b(?:explain (?:why|how|your|the|in)|in your own words|discuss"
    r"|write an? (?:essay|paragraph|story)"
    r"|what do you think|justify your|describe (?:how|why|the|your)|draw (?:a|an|the) "
    r"|sketch (?:a|an|the) )",
    re.IGNORECASE,
)
MANY_RIGHT = re.compile(
    r"\b(?:give|find|construct|provide|write down|name) (?:an|one|any|some|two|three)"
    r"(?: \w+){0,2} (?:examples?|counterexamples?)\b",
    re.IGNORECASE,
)
PART_LABEL = r"(?:\(([a-h]|i{1,3}|iv|[1-9])\)|\b(?:part|question) ([a-h1-9])\b|(?<=\n)([1-9])[.)])"
PART = re.compile(rf"(?:^|[\s.;:,?!$]){PART_LABEL}(?=\s*\S)", re.IGNORECASE)
LATEX = re.compile(r"\$[^$]*\$|\\\(.*?\\\)|\\[a-zA-Z]+")
WORD = re.compile(r"[^\W\d_]{2,}")


def not_verifiable(row: Row) -> str | None:
    """Why no rule can judge an answer, or None."""
    sample = row.sample
    reference = getattr(sample, "ground_truth", None)
    if not isinstance(reference, str):
        return None  # a cold-start pair; its answer was judged when it was made
    if getattr(sample, "choices", None):
        return None  # a letter can always be judged
    question = row.question
    if NO_ANSWER.fullmatch(reference):
        return f"not verifiable, no answer: the reference is {reference!r}"
    if PROOF.search(question) and not ASKS.search(_after_proof(question)):
        return f"not verifiable, a proof: {_around(PROOF, question)!r}"
    n_words = len(WORD.findall(LATEX.sub(" ", reference)))
    if n_words > MAX_PROSE_WORDS:
        return f"not verifiable, prose: the reference has {n_words} words"
    if n_words > 3 and OPEN.search(question):
        return f"not verifiable, an open question: {_around(OPEN, question)!r}"
    if MANY_RIGHT.search(question):
        return f"not verifiable, many right answers: {_around(MANY_RIGHT, question)!r}"
    n_parts = max(_n_parts(reference), _n_asked_parts(question))
    if n_parts > 1:
        return f"not verifiable, several sub-answers: {n_parts} parts"
    return None


def _after_proof(question: str) -> str:
    """The question without its facts before the demand: only what is demanded besides counts."""
    match = PROOF.search(question)
    return question[match.end() :] if match else question


def _n_parts(text: str) -> int:
    """Parts that are labelled in order: (a), (b), ...; 0 without such labels."""
    return _in_order([next(filter(None, match.groups())) for match in PART.finditer(text)])


def _n_asked_parts(question: str) -> int:
    """Labelled parts of a question that each ask something."""
    starts = [match.start() for match in PART.finditer(question)]
    if len(starts) < 2:
        return 0
    pieces = [question[a:b] for a, b in zip(starts, [*starts[1:], len(question)], strict=True)]
    asking = [piece for piece in pieces if ASKS_BY_ITSELF.search(piece)]
    labels = [next(filter(None, m.groups())) for piece in asking if (m := PART.search(piece))]
    return _in_order(labels)


def _in_order(labels: list[str]) -> int:
    """How many labels there are if they begin with the first of their kind and go on, else 0."""
    for kind in ("abcdefgh", "123456789", ("i", "ii", "iii", "iv")):
        wanted = list(kind)
        found = [label.lower() for label in labels if label.lower() in wanted]
        if len(found) > 1 and found == wanted[: len(found)]:
            return len(found)
    return 0


def _around(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    start = match.start() if match else 0
    return " ".join(text[start : start + 60].split())
