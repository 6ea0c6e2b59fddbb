"""veRL's hook after a checkpoint was saved: what is no longer needed goes (``ovr.checkpoints``).

Selected by ``trainer.checkpoint_callback_class``. It runs in the trainer's process, hence the
checkpoints must lie in a folder that all nodes share.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from ovr_plugin.checkpoint.retention import KEY, Retention, apply_retention

logger = logging.getLogger(__name__)


class OVRCheckpointCallback(CheckpointCallback):
    """Keeps the last checkpoints and the weights that the average needs."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        trainer = config.trainer
        block = OmegaConf.select(config, KEY)
        self.retention = Retention.parse(
            OmegaConf.to_container(block) if OmegaConf.is_config(block) else block,
            int(trainer.save_freq),
            trainer.get("max_actor_ckpt_to_keep") or trainer.get("max_critic_ckpt_to_keep"),
        )

    def on_save(
        self,
        trainer: Any,
        global_step: int,
        checkpoint_dir: str,
        async_save: bool = False,
        **kwargs: Any,
    ) -> None:
        """Apply the retention, now that the tracker names this checkpoint."""
        if async_save:  # not written yet, so nothing may go
            return
        for line in apply_retention(Path(checkpoint_dir).parent, global_step, self.retention):
            logger.warning("%s", line)
