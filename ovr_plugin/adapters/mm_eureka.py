"""MM-EUREKA: a reward function by file.

This file is one that it can load::

    --remote_rm_url $(python -m ovr_plugin.adapters.mm_eureka)

As OpenRLHF's form (`ovr_plugin.adapters.openrlhf`, settings included), but every value that comes
back is a tensor, ``accuracy_rewards`` among them, which its accuracy filter reads. Its prompts are
JSON messages that do not stand in the query, so a response begins behind Qwen's first model turn.

MM-EUREKA puts an end token behind every response: nobody can tell which were cut off. Its own
reward gives 1.0 for a reference that it cannot read; here it is 0.0 and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ovr_plugin.adapters.openrlhf import (
    RESPONSE_START,
    grade_queries,
    outcome_tensors,
    score_tensor,
)

if TYPE_CHECKING:
    from torch import Tensor


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]
) -> dict[str, Tensor]:
    """`score` with the default settings: a plain function, as Ray wants it."""
    return score(queries, prompts, labels)


def score(
    queries: Sequence[str],
    prompts: Sequence[str],
    labels: Sequence[Any],
    response_start: str = RESPONSE_START,
    **settings: Any,
) -> dict[str, Tensor]:
    """Score responses; arguments and errors as `ovr_plugin.adapters.openrlhf.score`.

    Returns:
        ``rewards`` and ``accuracy_rewards`` (1.0 or 0.0) and the same per `Outcome`, float32 (n,).
    """
    graded = grade_queries(queries, prompts, labels, response_start, **settings)
    rewards = score_tensor(graded)
    return {"rewards": rewards, "accuracy_rewards": rewards.clone(), **outcome_tensors(graded)}


if __name__ == "__main__":
    print(__file__)
