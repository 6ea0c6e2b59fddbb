"""EasyR1: a reward function, batch or sequential.

This file is one that EasyR1 can load::

    worker.reward.reward_function=$(python -m ovr_plugin.adapters.easyr1):compute_score
    +worker.reward.reward_function_kwargs='{max_response_length: 24576}'

Where the configuration has ``worker.reward.reward_type`` it may be ``batch`` or ``sequential``;
newer releases read `REWARD_TYPE`, and a file of your own says otherwise::

    from ovr_plugin.adapters.easyr1 import compute_score
    REWARD_NAME, REWARD_TYPE = "ovr", "sequential"

EasyR1 passes the one column that ``data.answer_key`` names. To say more of an answer (choices, a
tolerance) let that column hold the whole record (`ovr_plugin.adapters.columns`).

It passes the response's length, so with ``max_response_length`` (``data.max_response_length``) a
response of that length was cut off and scores 0; one that just fits counts as cut off, too. A bad
reference scores 0 and is counted in EasyR1's metric ``bad_reference``, like all other outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from ovr_plugin.adapters.grading import Grader, flags
from ovr_plugin.adapters.messages import without_end_tokens
from ovr_plugin.reward import Grade

REWARD_NAME = "ovr_correctness"
REWARD_TYPE = "batch"


@overload
def compute_score(
    reward_inputs: Mapping[str, Any], max_response_length: int | None = None, **settings: Any
) -> dict[str, float]: ...
@overload
def compute_score(
    reward_inputs: Sequence[Mapping[str, Any]],
    max_response_length: int | None = None,
    **settings: Any,
) -> list[dict[str, float]]: ...
def compute_score(
    reward_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    max_response_length: int | None = None,
    **settings: Any,
) -> dict[str, float] | list[dict[str, float]]:
    """Score a batch (a list of inputs) or one response (one input).

    Args:
        reward_inputs: ``response``, ``response_length`` in tokens and ``ground_truth``.
        max_response_length: the limit of a response, in tokens; None: nothing counts as cut off.
        **settings: ``answer_tags``, ``unboxed``, ``sources``, ... (`ovr_plugin.reward.settings`).

    Returns:
        For each input ``overall`` and ``accuracy`` (1.0 or 0.0), and 1.0 or 0.0 per `Outcome`.

    Raises:
        TypeError: if an input is no mapping or its response no text.
        ValueError: naming every wrong setting, or what an input lacks.
    """
    grader = Grader.of(settings)
    one = isinstance(reward_inputs, Mapping)
    inputs: list[Any] = [reward_inputs] if one else list(reward_inputs)
    for i, each in enumerate(inputs):
        if not isinstance(each, Mapping):
            raise TypeError(f"input {i} must be a mapping, not a {type(each).__name__}")
        if missing := [key for key in ("response", "ground_truth") if key not in each]:
            raise ValueError(f"input {i} has no {', '.join(missing)}")
    graded = grader.grade_rows(
        [_response(each) for each in inputs],
        [{"ground_truth": each["ground_truth"]} for each in inputs],
        [_cut_off(each, max_response_length) for each in inputs],
    )
    scores = [_score(each) for each in graded]
    return scores[0] if one else scores


def _response(reward_input: Mapping[str, Any]) -> Any:
    response = reward_input["response"]
    return without_end_tokens(response) if isinstance(response, str) else response


def _cut_off(reward_input: Mapping[str, Any], max_response_length: int | None) -> bool:
    if max_response_length is None:
        return False
    return int(reward_input.get("response_length") or 0) >= max_response_length


def _score(graded: Grade) -> dict[str, float]:
    return {"overall": graded.score, "accuracy": graded.score, **flags(graded)}


if __name__ == "__main__":
    print(__file__)
