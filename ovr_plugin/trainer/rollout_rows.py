"""A step's graded responses out of veRL's transfer queue: rows in, `Rollout` records out.

The tokens of 8192 long responses are a gigabyte, and veRL's own metrics have just fetched and
packed them; they are kept instead of fetched again, which took 2 % of an iteration
(tests/benchmarks/iteration_share.py). The few columns that are no tokens are ours to fetch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transfer_queue as tq

from ovr_plugin.data.files import write_jsonl
from ovr_plugin.trainer.rollouts import EMBEDDED, Rollout

TOKENS = ("prompts", "responses", "rm_scores")
FACTS = ("data_source", "reward_model", "extra_info", "extra_fields")


@contextmanager
def kept_tokens() -> Iterator[dict[tuple[str, ...], Any]]:
    """Keep what the queue gives out of `TOKENS` while this is open: keys of rows -> their data."""
    get = tq.kv_batch_get
    kept: dict[tuple[str, ...], Any] = {}

    def get_and_keep(keys: Sequence[str], *args: Any, **kwargs: Any) -> Any:
        data = get(keys, *args, **kwargs)
        if all(name in data.keys() for name in TOKENS):
            kept[tuple(keys)] = {name: data[name] for name in TOKENS}
        return data

    tq.kv_batch_get = get_and_keep
    try:
        yield kept
    finally:
        tq.kv_batch_get = get


def fetch_rows(
    batch: Any, with_pictures: bool, tokens: Mapping[tuple[str, ...], Any] | None = None
) -> list[tuple[Any, ...]]:
    """Fetch a step's graded responses from the transfer queue; padding rows are left out.

    Args:
        batch: veRL's ``KVBatchMeta`` of the step.
        with_pictures: fetch ``raw_prompt`` too, which names them.
        tokens: of `kept_tokens`; what it lacks is fetched.

    Returns:
        Of each response its key and the values of `TOKENS` and `FACTS`, and of ``raw_prompt``
        ``with_pictures``.
    """
    places = [place for place, tag in enumerate(batch.tags) if not tag.get("is_padding", False)]
    if not places:
        return []
    keys = [batch.keys[place] for place in places]
    kept = (tokens or {}).get(tuple(batch.keys))
    facts = [*FACTS, "raw_prompt"] if with_pictures else list(FACTS)
    asked = facts if kept else [*TOKENS, *facts]
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=asked)
    columns = [list(data[name]) for name in asked]
    if kept:
        whole = [list(kept[name]) for name in TOKENS]
        columns = [[column[place] for place in places] for column in whole] + columns
    return list(zip(keys, *columns, strict=True))


def write_dump(path: Path, rows: Sequence[tuple[Any, ...]], tokenizer: Any, step: int) -> None:
    """Write ``rows`` of `fetch_rows` as records of `Rollout`, in the order of keys."""
    ordered = sorted(rows, key=lambda row: row[0])
    write_jsonl(path, (to_rollout(tokenizer, step, *row).to_record() for row in ordered))


def to_rollout(
    tokenizer: Any,
    step: int,
    key: str,
    prompt_ids: Any,
    response_ids: Any,
    rm_scores: Any,
    data_source: str,
    reward_model: dict[str, Any],
    extra_info: dict[str, Any],
    extra_fields: dict[str, Any],
    raw_prompt: Any = (),
) -> Rollout:
    """Return one row of `fetch_rows` as a record; without a tokenizer it has no texts."""
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
        score=float(rm_scores.sum()),  # what veRL trains on, whichever reward made it
        truncated=bool(extra_fields.get("truncated", graded.get("truncated", False))),
        n_prompt_tokens=len(prompt_ids),
        n_response_tokens=len(response_ids),
        repetition=float(extra_fields.get("repetition", 0.0)),
        reflection_words=int(extra_fields.get("reflection_words", 0)),
        images=[image if isinstance(image, str) else EMBEDDED for image in _images(raw_prompt)],
    )


def _images(raw_prompt: Any) -> Iterator[Any]:
    for message in raw_prompt:
        parts = message["content"] if isinstance(message["content"], list) else []
        yield from (part["image"] for part in parts if part.get("type") == "image")


def _text(tokenizer: Any, token_ids: Any) -> str:
    return tokenizer.decode(token_ids, skip_special_tokens=True) if tokenizer else ""
