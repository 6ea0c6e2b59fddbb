"""slime: a custom reward model, for one sample and for a group.

::

    --custom-rm-path ovr_plugin.adapters.slime.reward --reward-key score

``--label-key`` names the reference; what else is known of an answer stands in the row's
``metadata`` (``--metadata-key``), or the label holds the whole record
(`ovr_plugin.adapters.columns`). With ``--reward-key`` the reward is a dict that also has ``acc``,
``outcome``, ``pred`` and ``reason``, so that a bad reference (0.0) can be counted in the samples
that slime dumps; without it, the score alone. Settings are a block ``ovr`` in the file of
``--custom-config-path``::

    ovr: {answer_tags: true}

A sample that slime marks as truncated or aborted scores 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ovr_plugin.adapters.columns import as_mapping
from ovr_plugin.adapters.grading import Grader
from ovr_plugin.reward.score import as_row

CUT_OFF = frozenset(("truncated", "aborted"))


async def reward(
    args: Any, sample: Any, **_kwargs: Any
) -> float | dict[str, Any] | list[float | dict[str, Any]]:
    """Score a sample, or each of a list of them.

    Args:
        args: slime's arguments.
        sample: a ``Sample`` or a list of them: ``response``, ``label``, ``metadata``, ``status``.

    Returns:
        1.0 or 0.0, or the row of `ovr_plugin.reward.score.as_row`; for a list one each.

    Raises:
        TypeError: if a response is no text.
        ValueError: naming every wrong setting of ``args.ovr``.
    """
    grader = Grader.of(getattr(args, "ovr", None) or {})
    as_dict = bool(getattr(args, "reward_key", None) or getattr(args, "eval_reward_key", None))
    if isinstance(sample, Sequence):
        return list(await asyncio.gather(*(_score(grader, one, as_dict) for one in sample)))
    return await _score(grader, sample, as_dict)


async def _score(grader: Grader, sample: Any, as_dict: bool) -> float | dict[str, Any]:
    status = getattr(sample.status, "value", sample.status)
    record = {"ground_truth": sample.label, "metadata": as_mapping(sample.metadata)}
    graded = await grader.grade_async(sample.response, record, truncated=status in CUT_OFF)
    return as_row(graded) if as_dict else graded.score
