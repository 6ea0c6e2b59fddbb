"""Cold-start rows and a light language model in, a loss per row out (OVR 3.3).

The paper has a light pretrained model score every sample and drops those of abnormally high loss.
The loss is the mean over the tokens that the cold start trains on, the response and the end of its
turn, after the model's own chat template. Logits are made for these positions alone and a piece at
a time, so that 64k tokens times a vocabulary never lie in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovr_plugin.data.cold_start_tokens import ColdStartTokens, Encoded
from ovr_plugin.data.files import append_jsonl, read_json, read_jsonl, read_parquet, write_json
from ovr_plugin.data.sample import ColdStartSample

if TYPE_CHECKING:
    import torch

WINDOW = 256  # rows that are sorted by length together, and written together
LOGIT_TOKENS = 1024  # whose logits are in memory at once

Progress = Callable[[int], None]


@dataclass
class LossModel:
    """A causal language model that gives losses.

    Attributes:
        model: of transformers; text alone, or a vision-language model's language side.
        tokens: rows to the model's tokens.
    """

    model: Any
    tokens: ColdStartTokens

    @classmethod
    def load(cls, path: str, max_length: int) -> LossModel:
        """Load a model: in bfloat16 onto the GPU if there is one, else in float32.

        Raises:
            ValueError: the model caps its logits, which is not taken into account here.
        """
        import torch
        from transformers import (
            AutoConfig,
            AutoModelForCausalLM,
            AutoModelForImageTextToText,
            AutoProcessor,
            AutoTokenizer,
        )

        config = AutoConfig.from_pretrained(path)
        if getattr(config.get_text_config(), "final_logit_softcapping", None):
            raise ValueError(f"{path} caps its logits; take a light model of another family")
        has_gpu = torch.cuda.is_available()
        kind: Any = AutoModelForCausalLM
        if type(config) not in kind._model_mapping:
            kind = AutoModelForImageTextToText
        dtype = torch.bfloat16 if has_gpu else torch.float32
        model = kind.from_pretrained(path, dtype=dtype).eval().to("cuda" if has_gpu else "cpu")
        processor = AutoProcessor.from_pretrained(path)
        tokens = ColdStartTokens(
            AutoTokenizer.from_pretrained(path),
            processor if hasattr(processor, "image_processor") else None,
            max_length,
            is_trained=False,
        )
        return cls(model, tokens)

    def losses(self, rows: Sequence[Encoded]) -> list[float]:
        """Return the mean loss of each row's response; rows of like length cost least."""
        import torch

        width = max(len(row.input_ids) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row.input_ids)] = torch.tensor(row.input_ids)
            mask[place, : len(row.input_ids)] = 1
        device = self.model.device
        with torch.inference_mode():
            output = self.model.base_model(
                input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
            )
            return [
                self._mean_loss(states, row)
                for states, row in zip(output.last_hidden_state, rows, strict=True)
            ]

    def _mean_loss(self, states: torch.Tensor, row: Encoded) -> float:
        """Of one row; ``states``: (width, hidden), each of which predicts the next token."""
        import torch
        from torch.nn.functional import cross_entropy

        end = row.n_prompt + row.n_response
        targets = torch.tensor(row.input_ids[row.n_prompt : end], device=states.device)
        before = states[row.n_prompt - 1 : end - 1]
        head = self.model.get_output_embeddings()
        total = 0.0
        for start in range(0, row.n_response, LOGIT_TOKENS):
            part = slice(start, start + LOGIT_TOKENS)
            logits = head(before[part]).float()
            total += float(cross_entropy(logits, targets[part], reduction="sum"))
        return total / row.n_response


def score_files(
    files: Sequence[str],
    out: str | Path,
    model: LossModel,
    name: str,
    batch_tokens: int,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Append to ``out`` one record for each row: its place, and ``loss`` or ``problem``.

    Interrupted, the same call goes on after the last record.

    Args:
        files: parquet files of cold-start rows.
        out: a JSON Lines file; beside it, OUT.settings.json says what made it.
        model: the light model.
        name: of the model, for the settings.
        batch_tokens: of a batch, padding included.
        progress: called with the number of rows that are done.

    Returns:
        Counts of ``scored`` rows, rows with ``problems``, and rows that were there ``already``.

    Raises:
        ValueError: ``out`` was made with another model, length or other files.
    """
    out = Path(out)
    _check_settings(out, {"model": name, "max_length": model.tokens.max_length, "files": [*files]})
    n_done = sum(1 for _ in read_jsonl(out)) if out.exists() else 0
    counts = {"scored": 0, "problems": 0, "already": n_done}
    rows = islice(_rows(files), n_done, None)
    while window := list(islice(rows, WINDOW)):
        records = _score_window(window, model, batch_tokens)
        append_jsonl(out, *records)
        n_problems = sum("problem" in record for record in records)
        counts["problems"] += n_problems
        counts["scored"] += len(records) - n_problems
        n_done += len(records)
        if progress:
            progress(n_done)
    return counts


def _rows(files: Sequence[str]) -> Iterator[tuple[str, int, ColdStartSample]]:
    for file in files:
        for number, sample in enumerate(read_parquet(file, ColdStartSample)):
            yield file, number, sample


def _score_window(
    window: Sequence[tuple[str, int, ColdStartSample]], model: LossModel, batch_tokens: int
) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [
        {"file": file, "row": number, "id": sample.id, "data_source": sample.data_source}
        for file, number, sample in window
    ]
    good: list[tuple[int, Encoded]] = []
    encoded = model.tokens.encode_many([sample for _, _, sample in window])
    for place, row in enumerate(encoded):
        if isinstance(row, str):
            records[place]["problem"] = row
        else:
            good.append((place, row))
    for batch in batches(good, batch_tokens):
        losses = model.losses([row for _, row in batch])
        for (place, row), loss in zip(batch, losses, strict=True):
            records[place] |= {"n_tokens": row.n_response, "loss": loss}
    return records


def batches(
    rows: Sequence[tuple[int, Encoded]], batch_tokens: int
) -> Iterator[list[tuple[int, Encoded]]]:
    """Yield rows by length, as many as fit into ``batch_tokens`` with padding, at least one."""
    batch: list[tuple[int, Encoded]] = []
    for place, row in sorted(rows, key=lambda item: len(item[1].input_ids)):
        if batch and (len(batch) + 1) * len(row.input_ids) > batch_tokens:
            yield batch
            batch = []
        batch.append((place, row))
    if batch:
        yield batch


def _check_settings(out: Path, settings: dict[str, Any]) -> None:
    path = out.with_name(out.name + ".settings.json")
    if not path.exists():
        if out.exists():
            raise ValueError(f"{out} is there, but not {path.name}, which says what made it")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, settings)
        return
    found = read_json(path)
    differing = [
        f"{key} {found.get(key)!r} -> {value!r}"
        for key, value in settings.items()
        if found.get(key) != value
    ]
    if differing:
        raise ValueError(
            f"{out} was begun with other settings ({'; '.join(differing)}); choose another --out"
        )
