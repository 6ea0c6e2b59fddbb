r"""How a question is put to the model: question, lettered choices, instruction.

The paper does not print OVR's prompt. The wording is the one that Qwen2.5-Math's model card gives
for its reasoning prompts, here in the user's turn; OVR's own would replace this one constant.
"""

from __future__ import annotations

from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, Message, letters

INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."


def question_prompt(
    question: str, choices: list[str] | None = None, n_images: int = 0
) -> list[Message]:
    """One user turn; the pictures come first unless the question places any itself.

    Where it places another number than there are, nobody knows which is meant:
    `ovr_plugin.data.sample.problems` then tells.
    """
    is_placed = IMAGE_PLACEHOLDER in question
    parts = [("" if is_placed else IMAGE_PLACEHOLDER * n_images) + question.strip()]
    if choices:
        parts.append(lettered(choices))
    parts.append(INSTRUCTION)
    return [{"role": "user", "content": "\n".join(parts)}]


def lettered(choices: list[str]) -> str:
    """One line per choice: ``(A) first``."""
    pairs = zip(letters(len(choices)), choices, strict=True)
    return "Choices:\n" + "\n".join(f"({letter}) {choice}" for letter, choice in pairs)
