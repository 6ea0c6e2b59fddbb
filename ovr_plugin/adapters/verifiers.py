"""verifiers: a function for a legacy rubric (to 0.3), and one for v1 (0.3 on, and prime-rl).

Legacy, in an environment::

    from ovr_plugin.adapters.verifiers import RubricReward
    rubric = vf.Rubric(funcs=[RubricReward()])

v1, into any taskset whose data has the columns of `ovr_plugin.adapters.columns`, from a command or
a configuration::

    --env.taskset.task.rewards.ovr.fn ovr_plugin.adapters.verifiers:reward
    --env.taskset.task.metrics.ovr_outcome.fn ovr_plugin.adapters.verifiers:outcome

or in a task of your own::

    class MyTask(vf.Task[MyData]):
        @vf.reward()
        async def correct(self, trace): return await reward(self.data, trace)

Settings: name an object of yours, ``reward = TraceReward(answer_tags=True)``.

Both say which rollouts were cut off; those score 0. Both want a number: a bad reference scores 0.0,
with a warning in the log; v1's `outcome` also counts it, in ``ovr/bad_reference``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovr_plugin.adapters.columns import wanted_columns
from ovr_plugin.adapters.grading import Grader, flags
from ovr_plugin.reward import Grade


class RubricReward:
    """A legacy rubric's reward function: 1.0 for a right final answer, else 0.0.

    A rubric turns an exception into 0.0 and a line in its log.

    Args:
        reference: where the reference is; None tries `ovr_plugin.adapters.columns.REFERENCES`.
        name: in the rubric's metrics.
        **settings: ``answer_tags``, ``unboxed``, ``sources``, ... (`ovr_plugin.reward.settings`).

    Raises:
        ValueError: naming every unknown setting and every wrong value.
    """

    def __init__(
        self, reference: str | None = None, *, name: str = "ovr_correctness", **settings: Any
    ) -> None:
        self.__name__ = name
        self.grader = Grader.of(settings, reference)

    async def __call__(
        self,
        completion: Any,
        answer: Any = None,
        info: Any = None,
        state: Mapping[str, Any] | None = None,
        **row: Any,
    ) -> float:
        """Score one rollout.

        Args:
            completion: a text, or the rollout's messages.
            answer: the reference.
            info: the facts, a mapping or JSON.
            state: the rollout's state, of which ``is_truncated`` counts.
            **row: the rest of the row, and what else a rubric passes.

        Raises:
            TypeError: if the completion is neither text nor messages.
        """
        record = {**row, "answer": answer, "info": info}
        truncated = bool((state or {}).get("is_truncated"))
        return (await self.grader.grade_async(completion, record, truncated)).score


class TraceReward:
    """A reward that v1 calls with a task's data and the trace of a rollout; arguments as above."""

    def __init__(self, reference: str | None = None, **settings: Any) -> None:
        self.grader = Grader.of(settings, reference)

    async def __call__(self, task: Any, trace: Any) -> float:
        """Score the trace's last reply.

        Raises:
            ValueError: if the task's data have no field for the reference.
        """
        return (await self.grade(task, trace)).score

    async def grade(self, task: Any, trace: Any) -> Grade:
        """`__call__`, with the outcome."""
        names = wanted_columns(self.grader.reference)
        record = {name: getattr(task, name) for name in names if hasattr(task, name)}
        return await self.grader.grade_async(trace.last_reply, record, trace.is_truncated)


reward = TraceReward()


async def outcome(task: Any, trace: Any) -> dict[str, float]:
    """Return v1's metrics ``ovr/<outcome>`` of a trace, each 1.0 or 0.0."""
    graded = await reward.grade(task, trace)
    return {f"ovr/{name}": flag for name, flag in flags(graded).items()}
