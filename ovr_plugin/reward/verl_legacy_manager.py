"""veRL's older manager form: a batch in, a reward tensor out (``OVRLegacyRewardManager``).

veRL 0.9.1 still has the classes of ``verl.workers.reward_manager``; the last release whose trainers
use them is 0.7.0, there with ``reward_model.use_reward_loop=false`` and::

    reward_manager.source=importlib
    reward_manager.name=OVRLegacyRewardManager
    reward_manager.module.path=pkg://ovr_plugin.reward.verl_legacy_manager
    +reward_model.reward_kwargs.answer_tags=true    (any setting of `Settings`)

Importing this file also registers the class as ``ovr``. For 0.9.1's trainers see `verl_manager`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from verl import DataProto
from verl.workers.reward_manager import register
from verl.workers.reward_manager.abstract import AbstractRewardManager

from ovr_plugin.reward.score import as_row, grade_batch
from ovr_plugin.reward.settings import Settings
from ovr_plugin.reward.tail import TailDecoder


@register("ovr")
class OVRLegacyRewardManager(AbstractRewardManager):
    """Grades responses by their boxed answers (OVR 3.2); a truncated one scores 0 (ORZ).

    A response was truncated if its row says so (``extra_info.truncated``), else if it fills the
    batch's width and does not end in the tokenizer's end-of-sequence token.

    Args:
        tokenizer: the policy's.
        num_examine: responses of each source that are printed at every call.
        compute_score: not used, this manager grades by itself.
        reward_fn_key: the column that names a row's source.
        **kwargs: the settings of `Settings`.

    Raises:
        ValueError: naming every wrong setting.
    """

    def __init__(
        self,
        tokenizer: Any,
        num_examine: int,
        compute_score: Any = None,
        reward_fn_key: str = "data_source",
        **kwargs: Any,
    ) -> None:
        self.settings = Settings.of(kwargs, "reward_kwargs")
        self.tokenizer = tokenizer
        self.num_examine = num_examine
        self.reward_fn_key = reward_fn_key
        self.decode = TailDecoder(tokenizer)
        self.pool = self.settings.make_pool()

    def __call__(self, data: DataProto, return_dict: bool = False) -> torch.Tensor | dict[str, Any]:
        """Grade a batch.

        Returns:
            The rewards, (rows, response width) in float32, each on its response's last token; with
            ``return_dict`` as ``reward_tensor`` beside ``reward_extra_info``, which holds a list of
            values for each key of `as_row`.
        """
        scored = self._extract_reward_from_rm_scores(data, return_dict)
        if scored is not None:
            return scored
        mask = data.batch["attention_mask"][:, data.batch["prompts"].shape[-1] :]
        lengths = mask.sum(dim=-1).tolist()
        infos = self._grade(data, lengths)
        rewards = torch.zeros_like(data.batch["responses"], dtype=torch.float32)
        for i, (info, length) in enumerate(zip(infos, lengths, strict=True)):
            rewards[i, length - 1] = info["score"]
        self._print(data, lengths, infos)
        if not return_dict:
            return rewards
        columns = {key: [info[key] for info in infos] for key in infos[0]} if infos else {}
        return {"reward_tensor": rewards, "reward_extra_info": columns}

    def _grade(self, data: DataProto, lengths: Sequence[int]) -> list[dict[str, Any]]:
        responses = data.batch["responses"].numpy(force=True)
        n_rows, width = responses.shape
        columns = data.non_tensor_batch
        texts, references, extras = [], [], []
        for i in range(n_rows):
            ids = responses[i, : lengths[i]]
            extra = (columns["extra_info"][i] if "extra_info" in columns else None) or {}
            truncated = extra.get("truncated")
            if truncated is None:
                truncated = len(ids) == width and int(ids[-1]) != self.tokenizer.eos_token_id
            texts.append("" if truncated else self.decode(ids))
            references.append((columns["reward_model"][i] or {}).get("ground_truth"))
            extras.append({**extra, "truncated": bool(truncated)})
        sources = columns[self.reward_fn_key].tolist()
        graded = grade_batch(
            texts, references, extras, sources, policy=self.settings.policy, pool=self.pool
        )
        return [as_row(one) for one in graded]

    def _print(
        self, data: DataProto, lengths: Sequence[int], infos: Sequence[Mapping[str, Any]]
    ) -> None:
        n_printed: Counter[str] = Counter()
        for i, source in enumerate(data.non_tensor_batch[self.reward_fn_key]):
            if n_printed[source] < self.num_examine:
                n_printed[source] += 1
                response = self.tokenizer.decode(data.batch["responses"][i][: lengths[i]])
                print("[source]", source, "[response]", response, "[graded]", dict(infos[i]))
