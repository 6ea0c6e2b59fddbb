"""The reward in the function forms that veRL calls; nothing of veRL is imported here.

========================  ==========================================================================
`compute_score`           one response, a dict; the reward loop's managers (naive, dapo, ...)
`compute_score_async`     the same as ``async def``, so that algebra does not take up a thread
`compute_score_batch`     all responses of a batch, a list of dicts; the legacy manager ``batch``
`compute_accuracy`        one response, a float; ``main_eval`` and the legacy manager ``prime``
========================  ==========================================================================

In a trainer's configuration (``ovr.reward`` is the manager's, `verl_manager`)::

    reward.custom_reward_function.path=pkg://ovr_plugin.reward.verl_functions
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.answer_tags=true

For generated responses in a parquet file, where the keys are new ones to 0.9.1's own
configuration::

    python -m verl.trainer.main_eval data.path=generated.parquet
        +reward.custom_reward_function.path=pkg://ovr_plugin.reward.verl_functions
        +reward.custom_reward_function.name=compute_accuracy

``reward_kwargs`` may hold the settings of `Settings`. veRL hands over text without special tokens:
whether a response was cut off is known only where ``extra_info`` says so, as our agent loop does.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.score import as_row, grade, grade_async, grade_batch
from ovr_plugin.reward.settings import Settings

# What veRL adds to the keywords of a call by itself.
FROM_VERL = frozenset(("reward_router_address", "reward_model_tokenizer"))


def compute_score(
    data_source: str | None,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Score one response.

    Args:
        data_source: name of the dataset; the setting ``sources`` may hold defaults for its rows.
        solution_str: the response.
        ground_truth: the reference answer.
        extra_info: the row's extras, see `ovr_plugin.reward.spec`; each may be None.
        **kwargs: ``truncated`` overrides the extra; the settings of `Settings`.

    Returns:
        Always the same keys: ``score`` and ``acc`` (1.0 or 0.0), ``outcome`` (an `Outcome`'s
        value), ``pred`` (the answer found), ``truncated`` (1.0 or 0.0), ``reason``.

    Raises:
        ValueError: naming every wrong setting among ``kwargs``.
    """
    extra, settings, pool = _read(extra_info, kwargs)
    graded = grade(
        solution_str,
        ground_truth,
        extra,
        data_source=data_source,
        policy=settings.policy,
        pool=pool,
    )
    return as_row(graded)


async def compute_score_async(
    data_source: str | None,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """`compute_score`, without holding up the event loop while algebra is at work."""
    extra, settings, pool = _read(extra_info, kwargs)
    graded = await grade_async(
        solution_str,
        ground_truth,
        extra,
        data_source=data_source,
        policy=settings.policy,
        pool=pool,
    )
    return as_row(graded)


def compute_score_batch(
    data_sources: Sequence[str | None],
    solution_strs: Sequence[str],
    ground_truths: Sequence[object],
    extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
    **kwargs: Any,
) -> list[dict[str, Any]]:
    """`compute_score` of each response, side by side; settings as there.

    Raises:
        ValueError: naming every wrong setting, or columns of different lengths.
    """
    _, settings, pool = _read(None, kwargs)
    graded = grade_batch(
        solution_strs,
        ground_truths,
        extra_infos,
        data_sources,
        policy=settings.policy,
        pool=pool,
    )
    return [as_row(one) for one in graded]


def compute_accuracy(
    data_source: str | None,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> float:
    """`compute_score`'s score alone, for callers that average what they get."""
    row = compute_score(data_source, solution_str, ground_truth, extra_info, **kwargs)
    return float(row["score"])


_checked: list[tuple[dict[str, Any], Settings, Pool | None]] = []
_checked_lock = threading.Lock()


def _read(
    extra_info: Mapping[str, Any] | None, kwargs: dict[str, Any]
) -> tuple[Mapping[str, Any], Settings, Pool | None]:
    """Return the row's extras, the settings, and the pool that they ask for (None: the default)."""
    extra = extra_info or {}
    if kwargs.get("truncated") is not None:
        extra = {**extra, "truncated": kwargs["truncated"]}
    given = {key: kwargs[key] for key in kwargs if key not in FROM_VERL and key != "truncated"}
    return (extra, *_settings(given))


def _settings(given: dict[str, Any]) -> tuple[Settings, Pool | None]:
    """Check settings once: veRL passes the same ones at every call."""
    if (known := _known(given)) is not None:
        return known
    with _checked_lock:
        if (known := _known(given)) is not None:
            return known
        settings = Settings.of(given, "reward_kwargs")
        pool = settings.make_pool() if {"timeout_s", "n_workers"} & set(given) else None
        _checked.append((given, settings, pool))
        return settings, pool


def _known(given: dict[str, Any]) -> tuple[Settings, Pool | None] | None:
    return next(((settings, pool) for known, settings, pool in _checked if known == given), None)
