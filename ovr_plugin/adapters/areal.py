"""AReaL: a reward function for its RLVR workflows (seen with 1.0.4).

::

    reward_fn="ovr_plugin.adapters.areal.reward_fn"

or, to have cut-off responses score 0 and to change settings::

    from ovr_plugin.adapters.areal import CorrectnessReward

    reward_fn=CorrectnessReward(
        eos_token_id=tokenizer.eos_token_id, max_new_tokens=gconfig.max_new_tokens
    )

AReaL passes a row's columns as keyword arguments (`ovr_plugin.adapters.columns`), and calls from
worker processes, each of which starts algebra's processes of its own where a row needs algebra.
Its limit of 15 s for a call is above ours for an answer. It wants a number: a bad reference scores
0.0, with a warning in the log.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ovr_plugin.adapters.grading import Grader
from ovr_plugin.adapters.messages import cut_off, token_set, without_end_tokens


class CorrectnessReward:
    """1.0 for a right final answer, else 0.0; an object that can be pickled.

    Args:
        reference: the column of the reference; None tries `ovr_plugin.adapters.columns.REFERENCES`.
        eos_token_id: id or ids of the tokens that end a response.
        max_new_tokens: AReaL's own setting; a shorter response was not cut off. Without both
            nothing counts as cut off.
        **settings: ``answer_tags``, ``unboxed``, ``sources``, ... (`ovr_plugin.reward.settings`).

    Raises:
        ValueError: naming every unknown setting and every wrong value.
    """

    def __init__(
        self,
        reference: str | None = None,
        *,
        eos_token_id: int | Collection[int] | None = None,
        max_new_tokens: int | None = None,
        **settings: Any,
    ) -> None:
        self.grader = Grader.of(settings, reference)
        self.eos = token_set(eos_token_id)
        self.max_new_tokens = max_new_tokens

    def __call__(
        self,
        prompt: str,
        completions: str,
        prompt_ids: Sequence[int] | None = None,
        completion_ids: Sequence[int] | None = None,
        **row: Any,
    ) -> float:
        """Score one response, in AReaL's words ``completions``; the rest is the row.

        Raises:
            TypeError: if the response is no text.
            ValueError: if the row has no column for its reference.
        """
        if not isinstance(completions, str):
            raise TypeError(f"completions must be a text, not a {type(completions).__name__}")
        truncated = cut_off(completion_ids, self.eos, self.max_new_tokens)
        return self.grader.grade(without_end_tokens(completions), row, truncated).score


reward_fn = CorrectnessReward()
