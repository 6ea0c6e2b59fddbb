r"""One PPO iteration through veRL's reward loop, with decoding: our manager, veRL's beside it.

usage: python tests/benchmarks/reward_manager.py [--cases FOLDER] [--responses 8192]
           [--peer-responses 2048] [--tokenizer FOLDER]

The responses are those of ``reward_speed.py``, as tokens of a real vocabulary (131,072, of
mistral_common) or of ``--tokenizer``. Every other one comes without think tags, one in 25 was cut
off in the middle. The peer is the reward loop's naive manager with veRL's math_verify, which grades
the first ``--peer-responses`` in the same call; its time is scaled to all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

os.environ["VERL_PLATFORM"] = "cpu"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import torch
from hydra import compose, initialize_config_module
from reward_speed import REPOSITORY, Row, one_iteration
from tensordict import TensorDict
from verl import DataProto
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.utils.reward_score import math_verify

from ovr_plugin.reward import Grade, Pool, grade_batch, score
from ovr_plugin.reward.tail import TailDecoder
from ovr_plugin.reward.verl_manager import OVRRewardManager

N_PROMPT = 100  # tokens
CUT_EVERY = 25


def math_verify_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **_: Any
) -> float:
    """veRL's own verifier in the form of ``reward.custom_reward_function``."""
    return math_verify.compute_score(solution_str, ground_truth)


def load_tokenizer(folder: Path | None) -> Any:
    if folder:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder)
    import mistral_common
    from transformers.integrations.mistral import convert_tekken_tokenizer

    data = Path(mistral_common.__file__).parent / "data"
    return convert_tekken_tokenizer(str(data / "tekken_240911.json"))


def make_texts(rows: list[Row]) -> list[tuple[str, bool]]:
    """The responses, and whether each was cut."""
    texts = []
    for i, row in enumerate(rows):
        text = row.response
        if i % 2:
            text = text.replace("<think>", "").replace("</think>", "")
        cut = i % CUT_EVERY == CUT_EVERY - 1
        texts.append((text[: len(text) // 2] if cut else text, cut))
    return texts


def make_data(rows: list[Row], texts: list[tuple[str, bool]], tokenizer: Any) -> list[DataProto]:
    """One `DataProto` for each response, as veRL's agent loop sends it."""
    encoded = tokenizer.backend_tokenizer.encode_batch_fast([text for text, _ in texts])
    made = []
    for row, (_, cut), encoding in zip(rows, texts, encoded, strict=True):
        ids = encoding.ids + ([] if cut else [tokenizer.eos_token_id])
        responses = torch.tensor([ids])
        prompts = torch.full((1, N_PROMPT), 7)
        batch = {
            "prompts": prompts,
            "responses": responses,
            "attention_mask": torch.ones(1, N_PROMPT + len(ids), dtype=torch.int64),
        }
        columns = {
            "data_source": "orz",
            "reward_model": {"ground_truth": row.reference, "style": "rule"},
            "extra_info": {"choices": row.choices, "index": 0, "modality": "text"},
            "raw_prompt": [{"role": "user", "content": "?"}],
            "tool_extra_fields": {"truncated": cut},
            "uid": "0",
            "session_id": 0,
            "global_steps": 1,
            "__num_turns__": 2,
            "prompt_len": N_PROMPT,
            "response_len": len(ids),
        }
        made.append(
            DataProto(
                batch=TensorDict(batch, batch_size=1),
                non_tensor_batch={
                    key: np.array([value, None], dtype=object)[:1] for key, value in columns.items()
                },
            )
        )
    return made


def make_worker(tokenizer: Any, manager: type, compute_score: Callable[..., Any]) -> Any:
    """veRL's worker with one of the managers; the tokenizer is in memory."""

    class Worker(RewardLoopWorker):
        def _init_reward_fn(self) -> None:
            self.reward_manager = manager(self.config, tokenizer, compute_score)

    with initialize_config_module("verl.trainer.config", version_base=None):
        return Worker(compose("ppo_trainer", overrides=["+ovr=ppo_tiny"]))


def through(worker: Any, data: list[DataProto]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds and results for all rows, in flight at the same time."""

    async def all_rows() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(worker.compute_score(each) for each in data)))

    began = time.perf_counter()
    results = worker.loop.run_until_complete(all_rows())
    return time.perf_counter() - began, results


def warm_pool(pool: Pool) -> None:
    pool.check("x+1", "1+x")
    time.sleep(1.0)


def whole_grades(rows: list[Row], data: list[DataProto], tokenizer: Any) -> tuple[float, list]:
    """Seconds to decode all, and the grades of the whole texts."""
    began = time.perf_counter()
    texts = [tokenizer.decode(each.batch["responses"][0]) for each in data]
    decode_s = time.perf_counter() - began
    extras = [
        {"choices": row.choices, **each.non_tensor_batch["tool_extra_fields"][0]}
        for row, each in zip(rows, data, strict=True)
    ]
    with Pool(2) as pool:
        graded: list[Grade] = grade_batch(texts, [row.reference for row in rows], extras, pool=pool)
    return decode_s, graded


class Clock:
    """Sums up this thread's seconds of work in some functions."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def watch(self, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.thread_time() - began

        setattr(owner, name, watched)


def report_overhead(worker: Any, data: list[DataProto], n_runs: int = 5) -> None:
    """Print what is left of the time without decoding and comparing; all pairs are known here.

    It is the thread's own time, of the rows one after the other: nothing here waits.
    """

    async def in_turn() -> None:
        for each in data:
            await worker.reward_manager.run_single(each)

    def total_us() -> float:
        began = time.thread_time()
        worker.loop.run_until_complete(in_turn())
        return (time.thread_time() - began) / len(data) * 1e6

    totals = [total_us() for _ in range(n_runs)]
    clock = Clock()
    clock.watch(TailDecoder, "__call__")  # from token ids to the text that decides
    clock.watch(score, "compare")
    clock.watch(worker.reward_manager.pool, "check_async")
    watched = []
    for _ in range(n_runs):
        clock.seconds.clear()
        total_us()
        watched.append({name: s / len(data) * 1e6 for name, s in clock.seconds.items()})
    parts = min(watched, key=lambda each: sum(each.values()))
    print(
        f"overhead: {min(totals) - sum(parts.values()):.1f} microseconds per response, which is "
        f"{min(totals):.1f} less {', '.join(f'{name} {us:.1f}' for name, us in parts.items())} "
        f"(each the least of {n_runs} runs; {mean(totals):.1f} on average)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, default=REPOSITORY.parent / "shared" / "cases")
    parser.add_argument("--responses", type=int, default=8192)
    parser.add_argument("--peer-responses", type=int, default=2048)
    parser.add_argument("--tokenizer", type=Path)
    args = parser.parse_args()

    tokenizer = load_tokenizer(args.tokenizer)
    rows = one_iteration(args.cases, args.responses, random.Random(0))
    texts = make_texts(rows)
    data = make_data(rows, texts, tokenizer)
    lengths = [each.batch["responses"].shape[1] for each in data]
    print(f"{len(data)} responses of {mean(lengths):.0f} tokens, up to {max(lengths)}")

    worker = make_worker(tokenizer, OVRRewardManager, math_verify_score)
    warm_pool(worker.reward_manager.pool)
    ours_s, results = through(worker, data)
    infos = [result["reward_extra_info"] for result in results]
    outcomes = [info["outcome"] for info in infos]
    print(f"through OVRRewardManager: {ours_s:.2f} s, {dict(Counter(outcomes))}, ", end="")
    print(f"{sum(info['reason'] == 'algebra' for info in infos) / len(data):.1%} by algebra")
    report_overhead(worker, data)
    worker.reward_manager.pool.close()

    decode_s, graded = whole_grades(rows, data, tokenizer)
    same = sum(a == b.outcome.value for a, b in zip(outcomes, graded, strict=True))
    print(f"decoding whole responses alone: {decode_s:.2f} s")
    print(f"same outcome as of the whole text: {same} of {len(data)}")

    peer = make_worker(tokenizer, NaiveRewardManager, math_verify_score)
    peer.config.reward.custom_reward_function.path = __file__
    # Twice as many as there are processes, so that each has started.
    through(peer, make_data(rows[:8], [("\\boxed{1}", False)] * 8, tokenizer))
    n_peer = min(args.peer_responses, len(data))
    peer_s, _ = through(peer, data[:n_peer])
    scaled_s = peer_s * len(data) / n_peer
    print(f"naive manager with math_verify: {peer_s:.2f} s for {n_peer}, {scaled_s:.1f} s for all")
    print(f"ratio: {scaled_s / ours_s:.1f}")


if __name__ == "__main__":
    main()
