"""One row of veRL's reward loop in, `grade`'s verdict out: ``OVRRewardManager`` for veRL 0.9.1.

Chosen in the configuration by (every recipe of ours does it)::

    reward.reward_manager.source=importlib
    reward.reward_manager.name=OVRRewardManager
    reward.reward_manager.module.path=pkg://ovr_plugin.reward.verl_manager

One manager lives in each of ``reward.num_workers`` Ray actors and has its own pool. Its settings
stand in the block ``ovr.reward`` (`Settings`). What the model wrote is graded, special tokens
included; of a long response only the tail that decides is decoded (`TailDecoder`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from ovr_plugin.reward.score import as_row, grade_async
from ovr_plugin.reward.settings import Settings
from ovr_plugin.reward.tail import Ids, TailDecoder


class OVRRewardManager(RewardManagerBase):
    """Grades a response by its boxed answer (OVR 3.2); a truncated one scores 0 (ORZ).

    Args:
        config: the trainer's whole configuration.
        tokenizer: the policy's.
        compute_score: what veRL made of ``reward.custom_reward_function``; must not be set.
        reward_router_address: of a reward model; not used.
        reward_model_tokenizer: of a reward model; not used.

    Raises:
        ValueError: naming everything that is wrong in the configuration.
    """

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.settings = read_settings(config)
        self.decode = TailDecoder(tokenizer)
        self.pool = self.settings.make_pool()

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Grade the last row of ``data``.

        Returns:
            ``reward_score`` and ``reward_extra_info``, whose keys are those of `as_row`,
            ``modality`` and ``row_id`` ('' where the row names none). A truncated response is not
            decoded: it has no ``pred``, or a vote over answers (maj@k) might count one that scored
            0.
        """
        row = {key: column[-1] for key, column in data.non_tensor_batch.items()}
        extra: Mapping[str, Any] = row.get("extra_info") or {}
        ids = _response_ids(data, row)
        truncated = self._is_truncated(ids, row, extra)
        graded = await grade_async(
            "" if truncated else self.decode(ids),
            (row.get("reward_model") or {}).get("ground_truth"),
            {**extra, "truncated": truncated},
            data_source=row.get("data_source"),
            policy=self.settings.policy,
            pool=self.pool,
        )
        names = {"modality": extra.get("modality"), "row_id": extra.get("id")}
        info = {**as_row(graded), **{key: str(name or "") for key, name in names.items()}}
        return {"reward_score": graded.score, "reward_extra_info": info}

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Every id at which a response ends by itself."""
        from ovr_plugin.trainer.agent_loop import eos_token_ids

        return eos_token_ids(self.tokenizer, self.config.actor_rollout_ref.model.path)

    def _is_truncated(self, ids: Ids, row: Mapping[str, Any], extra: Mapping[str, Any]) -> bool:
        """What the agent loop or the row says; else whether the last token ends no sequence."""
        for said in ((row.get("tool_extra_fields") or {}).get("truncated"), extra.get("truncated")):
            if said is not None:
                return bool(said)
        return not len(ids) or int(ids[-1]) not in self.eos_ids


def read_settings(config: Any) -> Settings:
    """Read ``ovr.reward`` from the trainer's whole configuration.

    Raises:
        ValueError: naming all that is wrong in it, and what else would grade in our place.
    """
    from omegaconf import OmegaConf

    wrong = []
    settings = Settings()
    block = OmegaConf.select(config, "ovr.reward")
    try:
        settings = Settings.of(OmegaConf.to_object(block) if OmegaConf.is_config(block) else block)
    except ValueError as error:
        wrong.append(str(error))
    if OmegaConf.select(config, "reward.custom_reward_function.path"):
        wrong.append(
            "reward.custom_reward_function.path is set, but OVRRewardManager grades by itself: set "
            "it to null, or choose reward.reward_manager with source=register and name=naive"
        )
    if OmegaConf.select(config, "reward.reward_model.enable"):
        wrong.append(
            "reward.reward_model.enable is true: veRL would score with that model and never ask "
            "OVRRewardManager"
        )
    if wrong:
        raise ValueError("; ".join(wrong))
    return settings


def _response_ids(data: DataProto, row: Mapping[str, Any]) -> Ids:
    """The last row's response without padding.

    The agent loop gives its length; elsewhere ``attention_mask`` covers prompt and response.
    """
    responses = data.batch["responses"].cpu().numpy()[-1]
    n_tokens = row.get("response_len")
    if n_tokens is None:
        mask = data.batch["attention_mask"].cpu().numpy()[-1]
        n_tokens = mask[data.batch["prompts"].shape[-1] :].sum()
    return responses[: int(n_tokens)]
