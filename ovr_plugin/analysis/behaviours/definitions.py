"""The eight behaviours (OVR 2) in words of ours, and which visual one belongs to which of language.

The paper prints its prompt for backtracking only; these texts are written from its definitions.
They are part of what is measured: `VERSION` grows whenever a text that the judge reads changes.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1


@dataclass(frozen=True)
class Behaviour:
    """One behaviour as a judge and a reader of the report get it."""

    name: str
    modality: str  # language or vision
    definition: str
    counts: tuple[str, ...]  # made-up sentences that are an instance
    counts_not: tuple[str, ...]  # what is taken for one by mistake

    @property
    def title(self) -> str:
        """The name with spaces."""
        return self.name.replace("_", " ")


LANGUAGE = (
    Behaviour(
        "backtracking",
        "language",
        "The writer notices that a step, a result or a whole approach is wrong or leads nowhere, "
        "and explicitly gives it up to return to an earlier point or to try another way.",
        (
            "Wait, that would make the angle negative, so the first assumption fails. Let me go "
            "back and take the other case.",
            "This substitution does not simplify anything; I will try induction instead.",
        ),
        (
            "A check that finds nothing wrong.",
            "Going through several cases that were all announced beforehand.",
        ),
    ),
    Behaviour(
        "subgoal_setting",
        "language",
        "The writer splits the task into smaller intermediate goals and names them as goals before "
        "reaching them.",
        (
            "First I need the radius; once I have it, I can get the area of the sector.",
            "Let me break this into two parts: count the even cases, then the odd ones.",
        ),
        (
            "A numbered calculation whose steps were never stated as goals.",
            "A summary of steps after they are done.",
        ),
    ),
    Behaviour(
        "verification",
        "language",
        "The writer explicitly checks a result or an intermediate step: substitutes it back, "
        "computes it in a second way, tests a special case, or compares it with the conditions.",
        (
            "Let me check: 3 * 14 + 5 = 47, which is what the problem says.",
            "Computing it again with the cosine rule gives the same length.",
        ),
        (
            "Saying that an answer is right without checking it.",
            "The computation of a result for the first time.",
        ),
    ),
    Behaviour(
        "backward_chaining",
        "language",
        "The writer starts from what is wanted and works backwards to what would have to hold for "
        "it, until something known is reached.",
        (
            "To get the volume I would need the height, and for the height I need the slant edge, "
            "which is given.",
            "For the last digit to be 0 the product must contain a 2 and a 5, so look for them.",
        ),
        (
            "Forward calculation from the given facts.",
            "Stating the question again.",
        ),
    ),
)

VISION = (
    Behaviour(
        "visual_reflection",
        "vision",
        "After noticing a mistake or an inconsistency, the writer goes back to the image: looks at "
        "it again and corrects or reconsiders what was seen.",
        (
            "That does not fit the total. Looking at the picture again, the bar for May ends at "
            "30, not 40.",
            "Wait, I misread the label; in the figure it is the angle at C that is marked.",
        ),
        (
            "Looking at the image for the first time.",
            "Noticing a mistake in a calculation without returning to the image.",
        ),
    ),
    Behaviour(
        "visual_divide_and_conquer",
        "vision",
        "The writer splits the image into parts, regions or objects and goes through them one by "
        "one, each for its own piece of the answer.",
        (
            "Take the grid row by row: the top row has 3 dots, the middle row 2, the bottom row 4.",
            "The figure consists of a square on the left and a triangle on the right; the square "
            "first.",
        ),
        (
            "One description of the whole image.",
            "Parts of the text or of the calculation instead of parts of the image.",
        ),
    ),
    Behaviour(
        "visual_verification",
        "vision",
        "The writer checks an intermediate conclusion against the image before going on.",
        (
            "So there should be five circles; counting them in the image: one, two, three, four, "
            "five. Good.",
            "The slope came out negative, and in the graph the line does fall from left to right.",
        ),
        (
            "Reading a value from the image in order to get a conclusion.",
            "A check by calculation alone.",
        ),
    ),
    Behaviour(
        "goal_driven_visual_tracing",
        "vision",
        "The writer starts from the visual conclusion that is wanted and looks through the image "
        "for the evidence that would support it.",
        (
            "To show that the lines are parallel I need equal angles, so look for marked angles in "
            "the diagram: there are two, at A and at D.",
            "If the answer were the red shape, it would have to touch the border; follow its "
            "outline in the picture to see whether it does.",
        ),
        (
            "Describing the image without a goal stated before.",
            "Working backwards in the calculation without looking for something in the image.",
        ),
    ),
)

BEHAVIOURS = LANGUAGE + VISION
# Language -> its visual counterpart (OVR 2, the rows of its table).
PAIRS = dict(zip((each.name for each in LANGUAGE), (each.name for each in VISION), strict=True))


def behaviours_named(names: list[str]) -> tuple[Behaviour, ...]:
    """Return the behaviours of these names, all for none.

    Raises:
        ValueError: lists all unknown names and what there is.
    """
    known = {behaviour.name: behaviour for behaviour in BEHAVIOURS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no behaviour named {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in names) if names else BEHAVIOURS
