"""One row of veRL's reward loop in, `grade`'s verdict out: ``OVRRewardManager``.

Selected by ``reward.reward_manager: {source: importlib, name: OVRRewardManager, module: {path:
pkg://ovr_plugin.reward.verl_manager}}``; one manager lives in each of ``reward.num_workers`` Ray
actors and has its own pool. Optional settings stand in the block ``ovr.reward``, see `Settings`.

The whole response is decoded, special tokens included: what the model wrote is what is graded.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from ovr_plugin.reward.policy import MAX_ANSWER_CHARS, Policy
from ovr_plugin.reward.pool import Pool, default_n_workers
from ovr_plugin.reward.score import as_row, grade_async


@dataclass(frozen=True)
class Settings:
    """The block ``ovr.reward`` of the configuration.

    Attributes:
        timeout_s: for one answer.
        max_answer_chars: longer answers score 0.
        n_workers: worker processes of each reward actor; null chooses by the cores.
    """

    timeout_s: float = 5.0
    max_answer_chars: int = MAX_ANSWER_CHARS
    n_workers: int | None = None

    @classmethod
    def of(cls, config: Any) -> Settings:
        """Read the settings from the trainer's whole configuration.

        Raises:
            ValueError: for an unknown key, or a value that is not positive.
        """
        block = dict((config.get("ovr") or {}).get("reward") or {})
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(block) - set(known))
        if unknown:
            known_keys = ", ".join(known)
            raise ValueError(f"ovr.reward has no key {', '.join(unknown)}; it has {known_keys}")
        bad = [key for key, value in block.items() if value is not None and not value > 0]
        if bad:
            raise ValueError(f"ovr.reward.{', '.join(bad)} must be positive")
        return cls(**{key: value for key, value in block.items() if value is not None})


class OVRRewardManager(RewardManagerBase):
    """Grades a response by its boxed answer (OVR 3.2); a truncated one scores 0 (ORZ)."""

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.settings = Settings.of(config)
        n_workers = self.settings.n_workers or default_n_workers()
        self.pool = Pool(n_workers, timeout_s=self.settings.timeout_s)
        atexit.register(self.pool.close)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Grade the last row of ``data``.

        Returns:
            ``reward_score`` and ``reward_extra_info``, whose keys are those of `as_row` and
            ``modality`` ('' where the row names none).
        """
        item = data[-1:][0]
        row = item.non_tensor_batch
        extra: Mapping[str, Any] = row.get("extra_info") or {}
        response_ids = _response_ids(item)
        tokenizer: Any = self.tokenizer
        graded = await grade_async(
            tokenizer.decode(response_ids, skip_special_tokens=False),
            (row.get("reward_model") or {}).get("ground_truth"),
            {**extra, "truncated": self._is_truncated(response_ids, row, extra)},
            data_source=row.get("data_source"),
            policy=Policy(max_answer_chars=self.settings.max_answer_chars),
            pool=self.pool,
        )
        info = {**as_row(graded), "modality": str(extra.get("modality") or "")}
        return {"reward_score": graded.score, "reward_extra_info": info}

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Every id at which a response ends by itself."""
        from ovr_plugin.trainer.agent_loop import eos_token_ids

        return eos_token_ids(self.tokenizer, self.config.actor_rollout_ref.model.path)

    def _is_truncated(
        self, response_ids: list[int], row: Mapping[str, Any], extra: Mapping[str, Any]
    ) -> bool:
        """What the agent loop or the row says; else whether the last token ends no sequence."""
        for said in ((row.get("tool_extra_fields") or {}).get("truncated"), extra.get("truncated")):
            if said is not None:
                return bool(said)
        return not response_ids or response_ids[-1] not in self.eos_ids


def _response_ids(item: Any) -> list[int]:
    """The response without padding; ``attention_mask`` covers prompt and response."""
    prompt_width = item.batch["prompts"].shape[-1]
    mask = item.batch["attention_mask"][prompt_width:].bool()
    return [int(id_) for id_ in item.batch["responses"][mask].tolist()]
