"""veRL's synchronous PPO trainer plus what OVR's run needs around it: ``trainer_mode: ovr``.

Metrics by modality, source and outcome, and their dump; the length curriculum's state; resuming
from complete checkpoints only. The training itself is untouched but for the order of the rows: veRL
has them as they were completed, which no second run repeats; here they are as the data loader has
them, so that the critic's mini-batches are the same in a resumed run.
Upstream: verl/trainer/ppo/v1/trainer_{base,sync}.py (0.9.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import OmegaConf, open_dict
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from ovr_plugin.checkpoint.resume import choose_checkpoint
from ovr_plugin.data.files import read_json, write_json
from ovr_plugin.planning.batches import check_batches
from ovr_plugin.trainer.agent_loop import stop_strings_of
from ovr_plugin.trainer.length_schedule import schedule_of, validation_limit
from ovr_plugin.trainer.node_check import check_nodes
from ovr_plugin.trainer.rollout_rows import fetch_rows, kept_tokens, to_rollout, write_dump
from ovr_plugin.trainer.rollouts import rollout_metrics

NAME = "ovr"
STATE = "ovr_state.json"  # in a checkpoint, beside veRL's own files


class OVRTrainer(PPOTrainerSync):
    """``PPOTrainerSync`` that reports more, follows the curriculum and resumes exactly."""

    def __init__(self, config: Any) -> None:
        with open_dict(config):
            # veRL takes every name but "sync" for an asynchronous trainer.
            config.trainer.v1.trainer_mode = "sync"
        # What is wrong in the config stops the run here, before any model is loaded.
        self.length_schedule = schedule_of(config)
        validation_limit(config)
        stop_strings_of(config)
        poll_interval_s(config)
        check_batches(config)
        self._prompt_order: dict[str, int] = {}
        super().__init__(config)

    def _setup(self) -> None:
        check_nodes(self.config)
        super()._setup()

    def fit(self, agent_loop_manager: Any) -> None:
        """Train; the rollout follows this trainer's schedule, which a checkpoint may have set."""
        agent_loop_manager.length_schedule = self.length_schedule
        super().fit(agent_loop_manager)

    def step(self, metrics: dict, timing_raw: dict) -> Any:
        """One iteration; the schedule learns its mean length before a checkpoint is saved."""
        batch = super().step(metrics, timing_raw)
        metrics["ovr/response_limit"] = self.length_schedule.limit_at(self.global_steps)
        lengths = [tag["response_len"] for tag in batch.tags if not tag.get("is_padding", False)]
        if lengths:
            self.length_schedule.observe(self.global_steps, fmean(lengths))
        return batch

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        buffer.poll_interval = poll_interval_s(self.config) or buffer.poll_interval
        return buffer

    def _submit_batch_to_rollout(self, batch: Any) -> int:
        for uid in list(batch["uid"]):
            self._prompt_order[uid] = len(self._prompt_order)
        return super()._submit_batch_to_rollout(batch)

    def _balance_batch(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        batch.reorder(in_dispatch_order(batch.keys, self._prompt_order))
        self._prompt_order = {}
        return super()._balance_batch(batch, *args, **kwargs)

    def _save_checkpoint(self) -> None:
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        folder.mkdir(parents=True, exist_ok=True)
        # First: veRL writes the tracker last, and from then on the checkpoint counts.
        write_json(folder / STATE, {"length_schedule": self.length_schedule.state()})
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        trainer = self.config.trainer
        chosen = choose_checkpoint(
            trainer.resume_mode, trainer.default_local_dir, trainer.resume_from_path, self._saved()
        )
        as_asked = {
            "resume_mode": trainer.resume_mode,
            "resume_from_path": trainer.resume_from_path,
        }
        with open_dict(trainer):
            trainer.resume_mode = "resume_path" if chosen else "disable"
            trainer.resume_from_path = chosen and str(chosen)
            super()._load_checkpoint()
            trainer.update(as_asked)
        if chosen:
            state = read_json(chosen / STATE) if (chosen / STATE).is_file() else {}
            self.length_schedule.restore(self.global_steps, state.get("length_schedule", {}))

    def _saved(self) -> dict[str, list[str]]:
        """Role -> what a checkpoint must hold of it for veRL to load it."""
        roles = {"actor": self.config.actor_rollout_ref.actor}
        if self.use_critic:
            roles["critic"] = self.config.critic
        return {role: list(config.checkpoint.load_contents) for role, config in roles.items()}

    def _init_dataloader(self) -> None:
        """As veRL's, whose choice of samplers is random or sequential; ours where data.mix asks."""
        super()._init_dataloader()
        mix_sampler = getattr(self.train_dataset, "mix_sampler", None)
        sampler = mix_sampler() if mix_sampler else None
        if sampler is not None:
            loader = self.train_dataloader
            self.train_dataloader = StatefulDataLoader(
                dataset=self.train_dataset,
                batch_size=loader.batch_size,
                num_workers=loader.num_workers,
                drop_last=True,
                collate_fn=loader.collate_fn,
                sampler=sampler,
            )

    def _compute_metrics(
        self, batch: Any, metrics: dict, timing_raw: dict, global_steps: int, epoch: int
    ) -> None:
        with kept_tokens() as tokens:
            super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        with_pictures = bool(self.config.trainer.rollout_data_dir)
        self._rows = fetch_rows(batch, with_pictures, tokens)
        rollouts = [to_rollout(None, global_steps, *row) for row in self._rows]
        metrics.update(rollout_metrics(rollouts, len(batch.keys) - len(rollouts)))

    def _log_rollout_data(self, batch: Any, timing_raw: dict, rollout_data_dir: str) -> None:
        """Write ``<rollout_data_dir>/<step>.jsonl``, one `Rollout` a line, in the order of keys.

        In veRL's thread for dumps: decoding 8192 long responses takes a minute, and the next
        iteration need not wait for it. What goes wrong there is raised by a later dump or the end.
        """
        path = Path(rollout_data_dir) / f"{self.global_steps}.jsonl"
        done = [future for future in self._dump_futures if future.done()]
        for future in done:
            future.result()
            self._dump_futures.remove(future)
        rows, tokenizer, step = self._rows, self.tokenizer, self.global_steps
        self._dump_futures.append(
            self._dump_executor.submit(write_dump, path, rows, tokenizer, step)
        )


def poll_interval_s(config: Any) -> float | None:
    """Return ``ovr.poll_interval_s``; None: veRL's own, which no key of veRL's sets.

    Raises:
        ValueError: it is no number above 0.
    """
    interval_s = OmegaConf.select(config, "ovr.poll_interval_s")
    if interval_s is None:
        return None
    if isinstance(interval_s, bool) or not isinstance(interval_s, int | float) or interval_s <= 0:
        raise ValueError(f"ovr.poll_interval_s={interval_s!r} must be a number of seconds above 0")
    return float(interval_s)


def register_ppo_trainer() -> None:
    """Make ``trainer.v1.trainer_mode: ovr`` known to veRL; call once per process."""
    register_trainer(NAME)(OVRTrainer)


def in_dispatch_order(keys: Sequence[str], prompt_order: Mapping[str, int]) -> list[int]:
    """Return the places of ``keys`` ({uid}_{session}_{output}), sorted as prompts were sent out.

    Args:
        keys: of one batch, in order of completion.
        prompt_order: uid -> place in the data loader's batch; what is unknown comes last.
    """

    def rank(place: int) -> tuple[int, int, int]:
        uid, session, output = keys[place].rsplit("_", 2)
        return prompt_order.get(uid, len(prompt_order)), int(session), int(output)

    return sorted(range(len(keys)), key=rank)
