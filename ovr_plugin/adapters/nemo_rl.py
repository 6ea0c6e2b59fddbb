"""NeMo-RL: an environment that grades, and the form of its VLM environment's reward functions.

In the training script, before the environments are made::

    from ovr_plugin.adapters.nemo_rl import register
    register()

and in the configuration::

    env: {ovr: {answer_tags: false}}
    data: {env_name: ovr}

The data processor puts ``ground_truth`` and what else is known of an answer into
``extra_env_info`` (`ovr_plugin.adapters.columns`). The block ``env.ovr`` holds settings
(`ovr_plugin.reward.settings`); ``num_workers`` and ``stop_strings``, which all of NeMo-RL's
environments have, are ignored.

NeMo-RL does not tell an environment whether a response was cut off. Its ``is_end`` zeroes those in
the environment's metrics, and ``grpo.overlong_filtering`` keeps them out of the loss. It wants a
number: a bad reference scores 0.0, with a warning and in the metric ``ovr/bad_reference``.

`vlm_reward` has the form of the functions of ``nemo_rl.environments.rewards``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ovr_plugin.adapters.grading import Grader
from ovr_plugin.reward import Outcome

IGNORED = frozenset(("num_workers", "stop_strings"))


def vlm_reward(ground_truth: Any, response: str, **settings: Any) -> tuple[float, bool]:
    """Score one response.

    Args:
        ground_truth: the reference, or the whole record (`ovr_plugin.adapters.columns`).
        response: the model's text.
        **settings: ``kwargs`` of the configuration's ``reward_functions``.

    Returns:
        1.0 or 0.0, and whether the answer is right.

    Raises:
        TypeError: if the response is no text.
        ValueError: naming every wrong setting.
    """
    score = Grader.of(settings).grade(response, {"ground_truth": ground_truth}).score
    return score, score == 1.0


class OVREnvironment:
    """Single-turn environment: scores the last message of the model and ends the episode.

    What `register` enters is this class as a Ray actor.

    Args:
        config: the block of the configuration.

    Raises:
        ValueError: naming every unknown setting and every wrong value.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        given = {key: value for key, value in (config or {}).items() if key not in IGNORED}
        self.grader = Grader.of(given)
        self._outcomes: Counter[Outcome] = Counter()

    def step(
        self,
        message_log_batch: Sequence[Sequence[Mapping[str, Any]]],
        metadata: Sequence[Mapping[str, Any] | None],
        return_extracted_answer: bool = False,
    ) -> Any:
        """Grade a batch.

        Args:
            message_log_batch: conversations, each a list of messages.
            metadata: what the data processor put into ``extra_env_info``.
            return_extracted_answer: also return the answers found, for voting.

        Returns:
            NeMo-RL's ``EnvironmentReturn``; rewards are a float32 tensor (n,) of 1.0 and 0.0.

        Raises:
            TypeError: if a conversation is no list of messages.
            ValueError: if the metadata of a row have no reference.
        """
        import torch
        from nemo_rl.environments.interfaces import EnvironmentReturn

        graded = self.grader.grade_rows(message_log_batch, [row or {} for row in metadata])
        self._outcomes.update(one.outcome for one in graded)
        return EnvironmentReturn(
            observations=[
                {"role": "environment", "content": f"Environment: {one.outcome.value}"}
                for one in graded
            ],
            metadata=list(metadata),
            next_stop_strings=[None] * len(graded),
            rewards=torch.tensor([one.score for one in graded], dtype=torch.float32),
            terminateds=torch.ones(len(graded), dtype=torch.float32),
            answers=[one.extracted or None for one in graded] if return_extracted_answer else None,
        )

    def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
        """Zero the rewards of responses that did not end, and return the metrics of a batch.

        Returns:
            The batch, and ``accuracy``, ``fraction_of_samples_properly_ended`` and the share of
            each outcome since the last call, ``ovr/<outcome>``.
        """
        ended = batch["is_end"]
        batch["rewards"] = batch["rewards"] * ended
        total = self._outcomes.total()
        shares = {f"ovr/{one.value}": self._outcomes[one] / total for one in Outcome if total}
        self._outcomes.clear()
        metrics = {
            "accuracy": batch["rewards"].float().mean().item(),
            "fraction_of_samples_properly_ended": ended.float().mean().item(),
            **shares,
        }
        return batch, metrics

    def shutdown(self) -> None:
        """Nothing to do: algebra's processes end with the actor's."""


def register(name: str = "ovr") -> None:
    """Make `OVREnvironment` known to NeMo-RL under ``name``.

    Raises:
        ImportError: if NeMo-RL is not installed.
        ValueError: if NeMo-RL has an environment of that name.
    """
    from nemo_rl.distributed.ray_actor_environment_registry import ACTOR_ENVIRONMENT_REGISTRY
    from nemo_rl.distributed.virtual_cluster import PY_EXECUTABLES
    from nemo_rl.environments.utils import register_env

    actor = f"{__name__}.OVREnvironmentActor"
    ACTOR_ENVIRONMENT_REGISTRY[actor] = PY_EXECUTABLES.SYSTEM
    register_env(name, actor)


def __getattr__(name: str) -> Any:
    """``OVREnvironmentActor``, made when NeMo-RL looks it up: Ray is not imported before."""
    if name == "OVREnvironmentActor":
        import ray

        return ray.remote(OVREnvironment)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
