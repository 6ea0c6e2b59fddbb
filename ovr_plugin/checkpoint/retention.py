"""Which checkpoints of a run stay: the last ones whole, and the weights that the average needs.

OVR's final model is the average of several intermediate checkpoints (4.1), which veRL's own
rotation would have deleted: it knows only the last ones. Of the policy in between, the weights are
kept (a sixth of a checkpoint: no critic, no optimizer), as ``ovr average`` reads them. Something is
removed only once a later checkpoint is complete; what a killed removal left is removed the next
time, and can never be taken for complete, since what it is recognised by goes first.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovr_plugin.checkpoint.resume import PREFIX, steps_in

WEIGHTS = ("model_world_size_*", "fsdp_config.json", "huggingface")  # in actor/, for the average
KEY = "ovr.checkpoints"


@dataclass(frozen=True)
class Retention:
    """What stays beside the latest checkpoint.

    Attributes:
        keep_last: checkpoints kept whole, to resume from; None: all.
        average_every: of every so many iterations the weights are kept; None: of none.
        average_from: first iteration of which they are.
    """

    keep_last: int | None = None
    average_every: int | None = None
    average_from: int = 1

    @classmethod
    def parse(cls, settings: Any, save_freq: int, max_to_keep: int | None) -> Retention:
        """Check ``ovr.checkpoints``.

        Args:
            settings: as configured; None or empty keeps everything.
            save_freq: ``trainer.save_freq``.
            max_to_keep: veRL's own ``trainer.max_actor_ckpt_to_keep`` or that of the critic.

        Raises:
            ValueError: naming all that is wrong.
        """
        given = dict(settings or {})
        known = {"keep_last": None, "average_every": None, "average_from": 1}
        wrong = [f"{key} is not a setting" for key in given.keys() - known.keys()]
        values: dict[str, Any] = {**known, **{k: v for k, v in given.items() if k in known}}
        for key, value in values.items():
            may_be_null = known[key] is None
            if not (value is None and may_be_null) and (type(value) is not int or value < 1):
                wrong.append(f"{key}={value!r} must be a whole number from 1 on")
        every = values["average_every"]
        if not wrong and every and (save_freq < 1 or every % save_freq):
            wrong.append(
                f"average_every={every} is no multiple of trainer.save_freq={save_freq}: those "
                "iterations would never be saved"
            )
        if values["keep_last"] is not None and max_to_keep:
            wrong.append(
                "trainer.max_actor_ckpt_to_keep and trainer.max_critic_ckpt_to_keep must be null "
                "beside keep_last: veRL would delete what the average needs"
            )
        if wrong:
            raise ValueError(f"{KEY}: {'; '.join(wrong)}")
        return cls(**values)

    def keeps_weights(self, step: int) -> bool:
        """Return whether the average will want the weights of ``step``."""
        every = self.average_every
        return every is not None and step >= self.average_from and step % every == 0


def apply_retention(folder: Path, latest: int, retention: Retention) -> list[str]:
    """Remove what is not to stay of a run's folder; return what was done, for the log.

    Args:
        folder: ``trainer.default_local_dir``.
        latest: the step that was just saved, complete.
        retention: what stays.
    """
    if retention.keep_last is None:
        return []
    earlier = [step for step in steps_in(folder) if step < latest]
    done = []
    for step in earlier[: max(0, len(earlier) - retention.keep_last + 1)]:
        checkpoint = folder / f"{PREFIX}{step}"
        if not retention.keeps_weights(step):
            _remove(checkpoint)
            done.append(f"{checkpoint.name} removed")
        elif _strip_to_weights(checkpoint):
            done.append(f"{checkpoint.name}: weights kept for the average")
    for leftover in folder.glob(f".removed_{PREFIX}*"):
        shutil.rmtree(leftover)
    return done


def _remove(checkpoint: Path) -> None:
    hidden = checkpoint.with_name(f".removed_{checkpoint.name}")
    if hidden.exists():
        shutil.rmtree(hidden)
    shutil.rmtree(checkpoint.rename(hidden))


def _strip_to_weights(checkpoint: Path) -> bool:
    """Remove all but the policy's weights; return whether there was anything to remove."""
    actor = checkpoint / "actor"
    kept = {path for pattern in WEIGHTS for path in actor.glob(pattern)}
    inside = set(actor.iterdir()) if actor.is_dir() else set()
    others = {path for path in checkpoint.iterdir() if path != actor} | (inside - kept)
    # Without data.pt nobody resumes from it, whatever else is still there.
    for path in sorted(others, key=lambda path: (path.name != "data.pt", path)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return bool(others)
