"""OpenRLHF: a reward function by file (seen with 0.11.2).

This file is one that it can load::

    --reward.remote_url $(python -m ovr_plugin.adapters.openrlhf)
    --reward.stop_properly_penalty_coef 0

With settings, or a template whose model turn begins otherwise, name a file of your own::

    from ovr_plugin.adapters.openrlhf import score

    def reward_func(queries, prompts, labels, **kwargs):
        return score(queries, prompts, labels, answer_tags=True)

OpenRLHF does not tell a reward function whether a response was cut off, but its own second line
above multiplies the reward of those that were by 0, which is the same rule. It passes the one
column that ``--data.label_key`` names: to say more of an answer let it hold the whole record
(`ovr_plugin.adapters.columns`). A bad reference scores 0 and is counted in ``bad_reference`` of its
logs, like all other outcomes.

MM-EUREKA's form is `ovr_plugin.adapters.mm_eureka`; a trainer that asks over HTTP is served by
`ovr_plugin.reward.http_server`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ovr_plugin.adapters.grading import Grader, flags
from ovr_plugin.adapters.messages import response_in, without_end_tokens
from ovr_plugin.reward import Grade, Outcome

if TYPE_CHECKING:
    from torch import Tensor

RESPONSE_START = "<|im_start|>assistant\n"  # Qwen's


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_kwargs: Any
) -> dict[str, Any]:
    """`score` with the default settings."""
    return score(queries, prompts, labels)


def score(
    queries: Sequence[str],
    prompts: Sequence[str],
    labels: Sequence[Any],
    response_start: str = RESPONSE_START,
    **settings: Any,
) -> dict[str, Any]:
    """Score responses.

    Args:
        queries: prompt and response of each, decoded as one text with special tokens.
        prompts: the prompts.
        labels: the references.
        response_start: what opens the model's turn, where a prompt cannot be found in its query.
        **settings: ``answer_tags``, ``unboxed``, ``sources``, ... (`ovr_plugin.reward.settings`).

    Returns:
        ``rewards`` and ``scores``, float32 tensors (n,) of 1.0 or 0.0; ``extra_logs``, the same per
        `Outcome`.

    Raises:
        TypeError: if a query is no text.
        ValueError: naming every wrong setting; or if a response cannot be told from its prompt.
    """
    graded = grade_queries(queries, prompts, labels, response_start, **settings)
    rewards = score_tensor(graded)
    return {"rewards": rewards, "scores": rewards.clone(), "extra_logs": outcome_tensors(graded)}


def grade_queries(
    queries: Sequence[str],
    prompts: Sequence[str],
    labels: Sequence[Any],
    response_start: str = RESPONSE_START,
    **settings: Any,
) -> list[Grade]:
    """`score` before it becomes tensors."""
    grader = Grader.of(settings)
    if not len(queries) == len(prompts) == len(labels):
        raise ValueError(
            f"{len(queries)} queries have {len(prompts)} prompts and {len(labels)} labels"
        )
    responses = [
        without_end_tokens(response_in(query, prompt, response_start))
        for query, prompt in zip(queries, prompts, strict=True)
    ]
    return grader.grade_rows(responses, [{"ground_truth": label} for label in labels])


def score_tensor(graded: Sequence[Grade]) -> Tensor:
    """Return the scores, float32 (n,)."""
    import torch

    return torch.tensor([one.score for one in graded], dtype=torch.float32)


def outcome_tensors(graded: Sequence[Grade]) -> dict[str, Tensor]:
    """Return 1.0 or 0.0 of every response for each outcome, float32 (n,)."""
    import torch

    rows = [flags(one) for one in graded]
    return {
        outcome.value: torch.tensor([row[outcome.value] for row in rows], dtype=torch.float32)
        for outcome in Outcome
    }


if __name__ == "__main__":
    print(__file__)
