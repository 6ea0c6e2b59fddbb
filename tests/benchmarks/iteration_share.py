"""The plugin's share of a training iteration: microseconds a response, on recorded rollouts.

usage: python tests/benchmarks/iteration_share.py ROLLOUTS [--model FOLDER] [--responses 8192]
       [--tokens 12000] [--iteration-s 425] [--runs 3]

ROLLOUTS is a run's ``trainer.rollout_data_dir``. Its responses, repeated to the length wanted (OVR
Fig. 3b: 12k tokens on average), are put where the transfer queue would have them, packed as it
packs them; what is measured is all that the trainer's process does beside veRL's own work (whose
metrics fetch the tokens): the order of the rows, fetching, metrics. Printed apart: what other
threads and processes do meanwhile (the scores of the text in the rollout workers, the dump in a
thread).

The paper gives no time of an iteration. 425 s is a low estimate for 16 nodes of 8 H100: 8192
responses of 12k tokens, 16 FLOP a parameter and token in training (policy and critic, each forward
and forward-backward), 7.6e9 parameters, at 400 TFLOP/s, is 233 s; generation at 4000 tokens a
second and GPU another 192 s. The share is that of this time.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager
from transformers import AutoTokenizer

from ovr_plugin.data.files import read_jsonl
from ovr_plugin.trainer.ppo_trainer import in_dispatch_order
from ovr_plugin.trainer.rollout_rows import (
    TOKENS,
    fetch_rows,
    kept_tokens,
    to_rollout,
    tq,
    write_dump,
)
from ovr_plugin.trainer.rollouts import rollout_metrics
from ovr_plugin.trainer.text_scores import text_scores


def rows_of(records: list[dict], tokenizer: Any, n: int, n_tokens: int) -> dict[str, dict]:
    """Rows as the queue has them, 16 of each prompt; responses vary from 0 to 2 ``n_tokens``."""
    generator = random.Random(0)
    encoded = [tokenizer.encode(record["response"] or "x") for record in records]
    rows = {}
    for number in range(n):
        record = records[number % len(records)]
        ids = encoded[number % len(records)]
        length = generator.randrange(1, 2 * n_tokens)
        response = torch.tensor(ids).repeat(length // len(ids) + 1)[:length]
        scores = torch.zeros(length)
        scores[-1] = record["score"]
        rows[f"{number // 16:032x}_{number % 16}_0"] = {
            "prompts": torch.tensor(tokenizer.encode(record["prompt"] or "x")),
            "responses": response,
            "data_source": record["data_source"],
            "reward_model": {"ground_truth": record["reference"], "style": "rule"},
            "extra_info": {"modality": record["modality"], "id": record["row_id"]},
            "extra_fields": {
                "truncated": record["truncated"],
                "repetition": 0.1,
                "reflection_words": 3,
                "reward_extra_info": {"pred": record["answer"], "outcome": record["outcome"]},
            },
            "rm_scores": scores,
            "raw_prompt": [{"role": "user", "content": record["prompt"]}],
        }
    return rows


def timed(work: Callable[[], Any], n_runs: int) -> tuple[float, Any]:
    seconds = []
    for _ in range(n_runs):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rollouts", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="whose tokenizer is used")
    parser.add_argument("--responses", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=12_000, help="mean of a response")
    parser.add_argument("--iteration-s", type=float, default=425.0)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    records = [
        record for path in sorted(args.rollouts.glob("*.jsonl")) for record in read_jsonl(path)
    ]
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    rows = rows_of(records, tokenizer, args.responses, args.tokens)
    keys = random.Random(1).sample(list(rows), len(rows))
    order = {key.rsplit("_", 2)[0]: place for place, key in enumerate(rows)}
    batch = KVBatchMeta(keys=keys, tags=[{}] * len(keys), partition_id="train")

    def kv_batch_get(keys: list[str], partition_id: str, select_fields: list[str]) -> TensorDict:
        pack = AsyncSimpleStorageManager._pack_field_values
        columns = {name: pack([rows[key][name] for key in keys]) for name in select_fields}
        return TensorDict(columns, batch_size=len(keys))

    tq.kv_batch_get = kv_batch_get
    print(f"{len(rows)} responses, {args.tokens} tokens on average; median of {args.runs}")
    print("in the trainer's process, while everything waits")
    on_path = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        seconds, result = timed(work, args.runs)
        on_path.append(seconds)
        print(f"  {name:20} {seconds / len(rows) * 1e6:9.1f} us a response")
        return result

    step("order of the rows", lambda: in_dispatch_order(keys, order))
    with kept_tokens() as tokens:  # what veRL's metrics fetch, in their time
        tq.kv_batch_get(keys=keys, partition_id="train", select_fields=list(TOKENS))
    fetched = step("fetching, unpacked", lambda: fetch_rows(batch, True, tokens))
    rollouts = step("records", lambda: [to_rollout(None, 1, *row) for row in fetched])
    step("metrics", lambda: rollout_metrics(rollouts))
    seconds = sum(on_path)
    print(f"  {'all':20} {seconds / len(rows) * 1e6:9.1f} us a response, {seconds:.2f} s")
    print(f"  {seconds / args.iteration_s:.2%} of an iteration of {args.iteration_s:g} s")
    print("meanwhile, elsewhere (of 64 responses)")
    some = fetched[:64]
    texts = [tokenizer.decode(row[2]) for row in some]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.jsonl"
        for name, work in (
            ("scores of the text", lambda: [text_scores(text) for text in texts]),
            ("dump", lambda: write_dump(path, some, tokenizer, 1)),
        ):
            seconds, _ = timed(work, args.runs)
            print(f"  {name:20} {seconds / len(some) * 1e6:9.1f} us a response")


if __name__ == "__main__":
    main()
