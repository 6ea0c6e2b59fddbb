"""veRL's synchronous PPO trainer plus OVR's metrics and rollout dump: ``trainer_mode: ovr``.

The training itself is untouched. Upstream: verl/trainer/ppo/v1/trainer_{base,sync}.py (0.9.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transfer_queue as tq
from omegaconf import open_dict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from ovr_plugin.data.files import write_jsonl
from ovr_plugin.trainer.length_schedule import schedule_of
from ovr_plugin.trainer.rollouts import Rollout, rollout_metrics

NAME = "ovr"
FIELDS = [
    "prompts",
    "responses",
    "data_source",
    "reward_model",
    "extra_info",
    "extra_fields",
    "rm_scores",
]


class OVRTrainer(PPOTrainerSync):
    """``PPOTrainerSync`` that also reports by modality, source and outcome."""

    def __init__(self, config: Any) -> None:
        with open_dict(config):
            # veRL takes every name but "sync" for an asynchronous trainer.
            config.trainer.v1.trainer_mode = "sync"
        schedule_of(config)  # a bad one stops the run here, before any model is loaded
        super().__init__(config)

    def _compute_metrics(
        self, batch: Any, metrics: dict, timing_raw: dict, global_steps: int, epoch: int
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        # Decoding 8192 long responses takes tens of seconds; only the dump needs their text.
        tokenizer = self.tokenizer if self.config.trainer.get("rollout_data_dir") else None
        self._rollouts = read_rollouts(batch, tokenizer, global_steps)
        metrics.update(rollout_metrics(self._rollouts, len(batch.keys) - len(self._rollouts)))

    def _log_rollout_data(self, batch: Any, timing_raw: dict, rollout_data_dir: str) -> None:
        """Write ``<rollout_data_dir>/<step>.jsonl``, one `Rollout` a line, in the order of keys."""
        records = sorted((r.to_record() for r in self._rollouts), key=lambda record: record["key"])
        write_jsonl(Path(rollout_data_dir) / f"{self.global_steps}.jsonl", records)


def register_ppo_trainer() -> None:
    """Make ``trainer.v1.trainer_mode: ovr`` known to veRL; call once per process."""
    register_trainer(NAME)(OVRTrainer)


def read_rollouts(batch: Any, tokenizer: Any, step: int) -> list[Rollout]:
    """Fetch a step's graded responses from the transfer queue; padding rows are left out.

    Without a ``tokenizer`` the texts of prompt and response stay empty.
    """
    keys = [
        key
        for key, tag in zip(batch.keys, batch.tags, strict=True)
        if not tag.get("is_padding", False)
    ]
    if not keys:
        return []
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=FIELDS)
    columns = [list(data[name]) for name in FIELDS]
    return [_rollout(key, step, tokenizer, *row) for key, *row in zip(keys, *columns, strict=True)]


def _rollout(
    key: str,
    step: int,
    tokenizer: Any,
    prompt_ids: Any,
    response_ids: Any,
    data_source: str,
    reward_model: dict[str, Any],
    extra_info: dict[str, Any],
    extra_fields: dict[str, Any],
    rm_scores: Any,
) -> Rollout:
    graded = extra_fields.get("reward_extra_info") or {}
    return Rollout(
        step=step,
        key=key,
        data_source=str(data_source),
        modality=str((extra_info or {}).get("modality") or ""),
        row_id=str((extra_info or {}).get("id") or ""),
        prompt=_text(tokenizer, prompt_ids),
        response=_text(tokenizer, response_ids),
        reference=str((reward_model or {}).get("ground_truth")),
        answer=str(graded.get("pred", "")),
        outcome=str(graded.get("outcome", "")),
        score=float(sum(rm_scores)),  # what veRL trains on, whichever reward made it
        truncated=bool(extra_fields.get("truncated", graded.get("truncated", False))),
        n_prompt_tokens=len(prompt_ids),
        n_response_tokens=len(response_ids),
    )


def _text(tokenizer: Any, token_ids: Any) -> str:
    return tokenizer.decode(token_ids, skip_special_tokens=True) if tokenizer else ""
