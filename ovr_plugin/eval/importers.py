r"""Per-sample outputs of evaluation kits in, records that `ovr score` grades out.

Judges and extraction differ between kits, and so do scores: regraded, their responses compare with
ours. For lmms-eval (its `eval` of a served model; read at commit 75571cf)::

    pip install "lmms_eval @ git+https://github.com/EvolvingLMMs-Lab/lmms-eval@75571cf"
    OPENAI_API_BASE=http://localhost:8000/v1 OPENAI_API_KEY=none \
    python -m lmms_eval --model openai_compatible --model_args model_version=ovr-7b \
        --tasks mathvista_testmini_cot,mmmu_pro --gen_kwargs max_new_tokens=49152 \
        --log_samples --output_path lmms
    ovr score lmms/*/*_samples_mathvista_testmini_cot.jsonl --unboxed

For VLMEvalKit (read at commit e8e78f0); spreadsheets cut a cell at 32,767 characters, so that long
reasoning loses its answer: they are refused, and it must write TSV::

    pip install "vlmeval @ git+https://github.com/open-compass/VLMEvalKit@e8e78f0"
    PRED_FORMAT=tsv SPLIT_THINK=False python run.py --data MMVet HallusionBench --model ovr-7b
    ovr score outputs/ovr-7b/*/ovr-7b_HallusionBench.tsv --unboxed

Neither kit asks for a box unless its prompt does: then ``--unboxed`` is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LMMS_EVAL_FILE = re.compile(r"samples_(.+)\.jsonl$")
LABELS = ("label", "score", "acc", "correct", "hit", "true_false", "match", "if_right")
OPTIONS = "ABCDEFGHIJ"


def imported(record: dict[str, Any], file: Path) -> dict[str, Any]:
    """The record under our names, if it is one of lmms-eval's or VLMEvalKit's; else as it is."""
    if "filtered_resps" in record and "target" in record:
        return lmms_eval(record, file)
    if "prediction" in record and "answer" in record:
        return vlmevalkit(record, file)
    return record


def lmms_eval(record: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """A line of ``<date>_samples_<task>.jsonl``; its response before any filter, where it is."""
    task = LMMS_EVAL_FILE.search(file.name)
    response = record.get("resps", record["filtered_resps"])
    while isinstance(response, list) and response:
        response = response[0]
    return {
        **record,
        "response": response,
        "reference": record["target"],
        "data_source": task[1] if task else file.stem,
    }


def vlmevalkit(record: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """A row of ``<model>_<dataset>.tsv``, with its options where it has them."""
    choices = []
    for option in OPTIONS:
        text = record.get(option)
        if text is None or str(text).strip().lower() in ("", "nan"):
            break
        choices.append(str(text))
    known = {"choices": choices} if len(choices) > 1 else {}
    return {
        **record,
        "response": record["prediction"],
        "reference": record["answer"],
        "data_source": file.stem.rpartition("_")[2] or file.stem,
        **known,
    }


def label_of(record: Mapping[str, Any], field: str | None) -> bool | None:
    """What the record itself says of its correctness; None if nothing, or nothing readable."""
    names = (field,) if field else LABELS
    value: Any = next((record[name] for name in names if record.get(name) is not None), None)
    if isinstance(value, bool | int | float):
        return value > 0.5
    if isinstance(value, str):
        return {
            "true": True,
            "1": True,
            "1.0": True,
            "yes": True,
            "correct": True,
            "false": False,
            "0": False,
            "0.0": False,
            "no": False,
            "wrong": False,
        }.get(value.strip().lower())
    return None
