"""veRL's single-turn agent loop that also says whether the response was cut by the length limit.

veRL's vLLM server reports "completed" for a response that stopped and for one that was cut
(workers/rollout/vllm_rollout/vllm_async_server.py), so the rule is read off the tokens: vLLM keeps
the end-of-sequence token and the stop string, hence a response that stopped by itself ends in one,
also when it falls exactly on the limit. The flag reaches the reward manager as
``tool_extra_fields``.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from ovr_plugin.trainer.text_scores import text_scores

NAME = "ovr_single_turn"
MAX_TOKENS = "ovr_max_tokens"  # put into the batch by rollout_manager.py
PromptParts = tuple[list[dict], Any, Any, Any, Any]  # messages, tools, images, videos, audios
Tokenised = tuple[list[int], dict[str, Any]]  # ids, and what the processor made of the pictures
SPARE_TOKENS = 8  # of a stop string's window: special tokens, which have no text
# Of the prompt whose responses are made in this context: empty until the first one asks.
_tokenised: ContextVar[list[asyncio.Future[Tokenised]] | None] = ContextVar(
    "ovr_tokenised", default=None
)


class OVRSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One prompt, one response; adds ``truncated`` and `text_scores` to ``extra_fields``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.eos_ids = eos_token_ids(self.tokenizer, self.config.actor_rollout_ref.model.path)
        self.stop_strings = stop_strings_of(self.config)
        self.seeded = bool(OmegaConf.select(self.config, "ovr.seeded_rollout"))

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Generate one response; see ``SingleTurnAgentLoop.run`` for the arguments."""
        output = await super().run(self._sampling(sampling_params, kwargs), **kwargs)
        ids = output.response_ids
        output.extra_fields["truncated"] = is_truncated(ids, self.eos_ids) and not (
            self.stop_strings and ends_in_stop_string(self.tokenizer, ids, self.stop_strings)
        )
        # In a thread, while others of the batch are generated: no iteration waits for it.
        output.extra_fields |= await asyncio.to_thread(_scores, self.tokenizer, ids)
        if not ids:
            tokenizer: Any = self.tokenizer
            with_logprobs = bool(sampling_params.get("logprobs"))
            _give_masked_token(output, tokenizer.eos_token_id, with_logprobs)
        return output

    async def ct_build_initial_tokens(
        self,
        messages: list[dict],
        tools: Any = None,
        images: Any = None,
        videos: Any = None,
        audios: Any = None,
        mm_inputs_out: Any = None,
    ) -> list[int]:
        """Return the prompt's tokens; see ``AgentLoopBase.ct_build_initial_tokens``."""
        args = (messages, tools, images, videos, audios)
        shared = _tokenised.get()
        if shared is None:
            return await super().ct_build_initial_tokens(*args, mm_inputs_out=mm_inputs_out)
        if not shared:
            shared.append(asyncio.ensure_future(self._tokenise(args)))
        ids, mm_inputs = await asyncio.shield(shared[0])  # one response given up is not all of them
        if mm_inputs_out is not None:
            mm_inputs_out.update(mm_inputs)
        return list(ids)

    async def _tokenise(self, args: PromptParts) -> Tokenised:
        mm_inputs: dict[str, Any] = {}
        return await super().ct_build_initial_tokens(*args, mm_inputs_out=mm_inputs), mm_inputs

    def _sampling(self, sampling_params: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        params = dict(sampling_params)
        if MAX_TOKENS in row:
            params["max_tokens"] = int(row[MAX_TOKENS])
        if self.stop_strings:
            params |= {"stop": list(self.stop_strings), "include_stop_str_in_output": True}
        if self.seeded:
            seed = OmegaConf.select(self.config, "data.seed")
            params["seed"] = request_seed(
                seed, row.get("global_steps"), row.get("index"), row.get("session_id")
            )
        return params


@contextmanager
def tokenising_once() -> Iterator[None]:
    """Tokenise one prompt once for all its responses, which are tasks that are made within."""
    token = _tokenised.set([])
    try:
        yield
    finally:
        _tokenised.reset(token)


def register_agent_loop() -> None:
    """Make ``default_agent_loop: ovr_single_turn`` known to veRL; call once per process."""
    register(NAME)(OVRSingleTurnAgentLoop)


def is_truncated(response_ids: Sequence[int], eos_ids: frozenset[int]) -> bool:
    """Return whether a response was cut: it does not end in an end-of-sequence token."""
    return not response_ids or response_ids[-1] not in eos_ids


def stop_strings_of(config: Any) -> tuple[str, ...]:
    """Return ``ovr.stop_strings`` of a trainer config.

    Raises:
        ValueError: it is no list of texts, or one of them is empty and would stop everything.
    """
    found = OmegaConf.select(config, "ovr.stop_strings")
    if found is None:
        return ()
    texts = OmegaConf.to_container(found) if OmegaConf.is_config(found) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"ovr.stop_strings={texts!r} must be a list of texts, none of them empty")
    return tuple(texts)


def ends_in_stop_string(
    tokenizer: Any, response_ids: Sequence[int], stop_strings: Sequence[str]
) -> bool:
    """Return whether the last token completed a stop string, which may end inside that token."""
    window = max(len(text.encode()) for text in stop_strings) + SPARE_TOKENS
    tail = tokenizer.decode(response_ids[-window:], skip_special_tokens=True)
    return any(text in tail for text in stop_strings)


def request_seed(seed: Any, iteration: Any, index: Any, session_id: Any) -> int:
    """Return the seed of one response: the same in a resumed run, another for every other one."""
    name = f"{seed}/{iteration}/{index}/{session_id}".encode()
    return (
        int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1
    )  # vLLM's is signed


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


def _scores(tokenizer: Any, response_ids: Sequence[int]) -> dict[str, float]:
    return text_scores(tokenizer.decode(response_ids, skip_special_tokens=True))


def _give_masked_token(output: AgentLoopOutput, token_id: int, with_logprobs: bool) -> None:
    # veRL writes the score onto the last response token and fails where there is none. It drops an
    # empty list of log-probs, and then fails to fetch the column of which one row is missing.
    output.response_ids, output.response_mask = [token_id], [0]
    output.response_logprobs = [0.0] if with_logprobs else None
