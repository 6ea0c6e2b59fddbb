"""veRL's single-turn agent loop that also says whether the response was cut by the length limit.

veRL's vLLM server reports "completed" for a response that stopped and for one that was cut
(workers/rollout/vllm_rollout/vllm_async_server.py), so the rule is read off the tokens: vLLM keeps
the end-of-sequence token, hence a response that stopped by itself ends in one, also when that token
falls exactly on the limit. The flag reaches the reward manager as ``tool_extra_fields``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

NAME = "ovr_single_turn"
MAX_TOKENS = "ovr_max_tokens"  # put into the batch by rollout_manager.py


class OVRSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One prompt, one response; adds ``extra_fields["truncated"]``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.eos_ids = eos_token_ids(self.tokenizer, self.config.actor_rollout_ref.model.path)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Generate one response; see ``SingleTurnAgentLoop.run`` for the arguments."""
        if MAX_TOKENS in kwargs:
            sampling_params = {**sampling_params, "max_tokens": int(kwargs[MAX_TOKENS])}
        output = await super().run(sampling_params, **kwargs)
        output.extra_fields["truncated"] = is_truncated(output.response_ids, self.eos_ids)
        if not output.response_ids:
            tokenizer: Any = self.tokenizer
            with_logprobs = bool(sampling_params.get("logprobs"))
            _give_masked_token(output, tokenizer.eos_token_id, with_logprobs)
        return output


def register_agent_loop() -> None:
    """Make ``default_agent_loop: ovr_single_turn`` known to veRL; call once per process."""
    register(NAME)(OVRSingleTurnAgentLoop)


def is_truncated(response_ids: Sequence[int], eos_ids: frozenset[int]) -> bool:
    """Return whether a response was cut: it does not end in an end-of-sequence token."""
    return not response_ids or response_ids[-1] not in eos_ids


def eos_token_ids(tokenizer: Any, model_path: str) -> frozenset[int]:
    """Return the ids at which vLLM ends a response: the tokenizer's, the generation config's."""
    ids = {tokenizer.eos_token_id, *_generation_eos_ids(model_path)}
    return frozenset(id_ for id_ in ids if id_ is not None)


@lru_cache(maxsize=4)  # veRL makes an agent loop for every response
def _generation_eos_ids(model_path: str) -> tuple[int | None, ...]:
    from verl.utils.fs import copy_to_local
    from verl.utils.model import get_generation_config

    generation = get_generation_config(copy_to_local(model_path))
    listed = getattr(generation, "eos_token_id", None)
    return tuple(listed) if isinstance(listed, list) else (listed,)


def _give_masked_token(output: AgentLoopOutput, token_id: int, with_logprobs: bool) -> None:
    # veRL writes the score onto the last response token and fails where there is none. It drops an
    # empty list of log-probs, and then fails to fetch the column of which one row is missing.
    output.response_ids, output.response_mask = [token_id], [0]
    output.response_logprobs = [0.0] if with_logprobs else None
