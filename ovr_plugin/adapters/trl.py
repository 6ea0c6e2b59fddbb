"""TRL: a reward function for `GRPOTrainer` and `RLOOTrainer` (seen with 0.27.0 and 1.16.0).

::

    from ovr_plugin.adapters.trl import CorrectnessReward

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=CorrectnessReward(
            eos_token_id=model.generation_config.eos_token_id,
            max_completion_length=args.max_completion_length,
        ),
        args=args,
        train_dataset=dataset,  # prompt, and the columns of `ovr_plugin.adapters.columns`
    )

A bad reference returns None, which means "leave this sample out": 1.16 takes it out of the group's
baseline, 0.27 counts it as 0 (a prompt's samples share their reference, so its whole group gets no
advantage) and both leave it out of the mean reward. TRL 1 also logs each outcome's share as
``ovr/<outcome>`` and shows outcome and answer in the table of completions.

Where neither ``eos_token_id`` nor ``max_completion_length`` is given, cut-off responses are graded
like others, unless the row has ``truncated``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from ovr_plugin.adapters.grading import Grader, shares
from ovr_plugin.adapters.messages import cut_off, token_set
from ovr_plugin.reward import Outcome


class CorrectnessReward:
    """1.0 for a right final answer, 0.0 for any other, None for a reference that is none.

    An object and not a closure, so that asynchronous trainers can pickle it.

    Args:
        reference: the column of the reference; None tries `ovr_plugin.adapters.columns.REFERENCES`.
        eos_token_id: id or ids of the tokens that end a response; one that does not end in any of
            them was cut off and scores 0. Give all that the model may end with
            (``model.generation_config.eos_token_id``).
        max_completion_length: TRL's own setting, in tokens; a shorter response was not cut off.
        name: in TRL's metrics (``rewards/<name>/mean``).
        **settings: ``answer_tags``, ``unboxed``, ``sources``, ... (`ovr_plugin.reward.settings`).

    Raises:
        ValueError: naming every unknown setting and every wrong value.
    """

    def __init__(
        self,
        reference: str | None = None,
        *,
        eos_token_id: int | Collection[int] | None = None,
        max_completion_length: int | None = None,
        name: str = "ovr_correctness",
        **settings: Any,
    ) -> None:
        self.__name__ = name
        self.grader = Grader.of(settings, reference)
        self.eos = token_set(eos_token_id)
        self.max_completion_length = max_completion_length

    def __call__(
        self,
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Score a batch.

        Args:
            completions: texts, or lists of messages.
            completion_ids: each completion's tokens.
            log_extra: TRL 1's logger of a column.
            log_metric: TRL 1's logger of a number.
            **columns: the data set's columns, one value per completion, and what else TRL passes.

        Raises:
            TypeError: if a completion is neither text nor messages.
            ValueError: if there is no column for the reference, or one of another length.
        """
        truncated = None
        if completion_ids is not None:
            limit = self.max_completion_length
            truncated = [cut_off(ids, self.eos, limit) for ids in completion_ids]
        graded = self.grader.grade_columns(completions, columns, truncated)
        if log_extra is not None:
            log_extra("ovr_outcome", [one.outcome.value for one in graded])
            log_extra("ovr_answer", [one.extracted for one in graded])
        if log_metric is not None and graded:
            for outcome, share in shares(graded).items():
                log_metric(f"ovr/{outcome}", share)
        return [None if one.outcome is Outcome.BAD_REFERENCE else one.score for one in graded]
