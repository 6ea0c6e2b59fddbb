"""ms-swift: an outcome reward (ORM) for its GRPO (seen with 4.6.0; 3.x has the same call).

A plugin file of two lines, in a folder of its own::

    from ovr_plugin.adapters.ms_swift import register
    register("ovr")

and in the command::

    swift rlhf --rlhf_type grpo --external_plugins ovr_reward.py --reward_funcs ovr ...

Do not name this file itself: ms-swift puts a plugin's folder on ``sys.path``.

The data set's columns arrive as they are (`ovr_plugin.adapters.columns`). ms-swift says which
responses were cut off; those score 0. A bad reference returns None: ms-swift warns of it and leaves
it out of the mean reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ovr_plugin.adapters.grading import Grader
from ovr_plugin.reward import Outcome


class CorrectnessORM:
    """What ms-swift makes an object of and calls; its name stands in the metrics."""

    grader: ClassVar[Grader] = Grader()

    def __init__(self, args: Any = None, **_kwargs: Any) -> None:
        self.args = args

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Score a batch: 1.0, 0.0, or None for a reference that is none.

        Args:
            completions: the content of each conversation's last message.
            **columns: the rows' columns, one value per completion.

        Raises:
            TypeError: if a completion is neither text nor messages.
            ValueError: if there is no column for the reference, or one of another length.
        """
        graded = self.grader.grade_columns(completions, columns, _truncated(columns))
        return [None if one.outcome is Outcome.BAD_REFERENCE else one.score for one in graded]


def register(
    name: str = "ovr", reference: str | None = None, **settings: Any
) -> type[CorrectnessORM]:
    """Enter the reward into ms-swift's registry, for ``--reward_funcs``.

    Args:
        name: in the registry.
        reference: the column of the reference; None tries `ovr_plugin.adapters.columns.REFERENCES`.
        **settings: ``answer_tags``, ``unboxed``, ``sources``, ... (`ovr_plugin.reward.settings`).

    Raises:
        ImportError: if ms-swift is not installed.
        ValueError: naming every unknown setting and every wrong value.
    """
    grader = Grader.of(settings, reference)
    try:
        from swift.rewards import orms
    except ModuleNotFoundError:  # 3.x
        from swift.plugin import orms
    made = type(CorrectnessORM.__name__, (CorrectnessORM,), {"grader": grader})
    orms[name] = made
    return made


def _truncated(columns: dict[str, Any]) -> list[bool] | None:
    if (truncated := columns.get("is_truncated")) is not None:
        return [bool(one) for one in truncated]
    if (reasons := columns.get("finish_reason")) is not None:
        return [reason == "length" for reason in reasons]
    return None
