r"""Per-sample outputs of evaluation kits in, records that `ovr score` grades out.

Judges and extraction differ between kits, and so do scores: regraded, their responses compare with
ours. Read are the samples of lmms-eval, the predictions and judged files of VLMEvalKit, the outputs
of Qwen2.5-Math's evaluation and of MMMU-Pro, the parquet of veRL's generation;
``examples/evaluation/README.md`` has the commands and the versions whose formats these are.

A line may hold several samples of one item: each becomes a record. What holds no response (a
request that failed, log-likelihoods, a text that a spreadsheet cut) raises, and is told by its row.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ovr_plugin.reward.rows import FACTS, MISSING, RESPONSE_FIELDS, find_field

LMMS_EVAL_FILE = re.compile(r"samples_(.+?)(?:_\d{4}-\d\d-\d\dT[\d.-]+)?\.jsonl(?:\.gz)?$")
LABELS = ("label", "score", "acc", "correct", "hit", "true_false", "match", "if_right")
# Of lmms-eval's metrics those that tell right from wrong, for one sample.
METRICS = (
    *(*LABELS, "exact_match", "acc_score", "is_correct"),
    *("gpt_eval_score", "llm_as_judge_eval", "mmmu_acc"),
)
LABEL_WORDS = {
    **dict.fromkeys(("true", "1", "1.0", "yes", "correct", "right"), True),
    **dict.fromkeys(("false", "0", "0.0", "no", "wrong", "incorrect"), False),
}
OPTIONS = "ABCDEFGHIJ"
OPTION_LINE = re.compile(r"^(?:Choices: ?|Options: ?)?\(?([A-J])[.):] +(.+)$", re.MULTILINE)
NUMBER = re.compile(r"-?(?:inf|[\d.]+(?:e[+-]?\d+)?)")
FAILED = "Failed to obtain answer"  # what VLMEvalKit writes for a response
CELL_CHARS = 32_767  # the most that a spreadsheet keeps of one


def imported(
    record: dict[str, Any],
    file: Path,
    response_fields: Sequence[str] = RESPONSE_FIELDS,
    label_field: str | None = None,
) -> list[dict[str, Any]]:
    """The record's samples under our names, if a kit wrote it; else the record as it is.

    A list in ``label_field`` has a label for each sample.

    Raises:
        ValueError: it holds no response.
    """
    samples = _samples(record, file, response_fields)
    label = MISSING if label_field is None else find_field(record, label_field)
    if label_field is None or not (isinstance(label, list) or len(samples) > 1):
        return samples
    return [
        {**sample, label_field: _one_of(label, i, len(samples))}
        if find_field(sample, label_field) is label is not MISSING
        else sample
        for i, sample in enumerate(samples)
    ]


def _samples(
    record: dict[str, Any], file: Path, response_fields: Sequence[str]
) -> list[dict[str, Any]]:
    if "filtered_resps" in record and "target" in record:
        return list(lmms_eval(record, file))
    if "prediction" in record and "answer" in record:
        return [vlmevalkit(record, file)]
    if isinstance(record.get("code"), list) and "gt" in record:
        return list(qwen_math(record, file))
    if "pred_indexs" in record and "options" in record:  # MMMU-Pro spells it so
        return [{**record, "choices": _listed(record["options"]), "data_source": file.stem}]
    return list(samples_of(record, response_fields))


def samples_of(
    record: dict[str, Any], response_fields: Sequence[str] = RESPONSE_FIELDS
) -> Iterator[dict[str, Any]]:
    """The samples of a row whose response is a list of texts; else the row as it is.

    veRL's ``main_generation`` writes ``responses`` beside the columns of its data set. Of labels,
    one for each sample counts; one for all is no label of any.
    """
    names = (*response_fields, "responses") if "response" in response_fields else response_fields
    name = next((name for name in names if name in record), "")
    responses = record.get(name)
    texts = isinstance(responses, list) and all(
        isinstance(each, str) or (each is None and name == "responses") for each in responses
    )
    if not responses or not texts:
        yield record
        return
    labels = {label: record[label] for label in LABELS if label in record}
    for i, response in enumerate(responses):
        yield {
            **{key: value for key, value in record.items() if key != name},
            name if name in response_fields else "response": response,
            **{label: _one_of(value, i, len(responses)) for label, value in labels.items()},
        }


def _one_of(value: Any, i: int, n: int) -> Any:
    if isinstance(value, list):
        return value[i] if len(value) == n else None
    return value if n == 1 else None


def lmms_eval(record: Mapping[str, Any], file: Path) -> Iterator[dict[str, Any]]:
    """A line of ``<date>_samples_<task>.jsonl``; its responses before any filter, if they differ.

    lm-evaluation-harness writes the item too (``doc``). Else its options are looked for in the
    metrics and the prompt.
    """
    responses = list(_texts(record.get("resps", record["filtered_resps"])))
    pairs = list(zip(responses[::2], responses[1::2], strict=False))
    if pairs and all(a and NUMBER.fullmatch(a) and b in ("True", "False") for a, b in pairs):
        raise ValueError("log-likelihoods of the options, no response")
    nested = {key: value for key, value in record.items() if isinstance(value, Mapping)}
    doc, _ = nested.pop("doc", {}), nested.pop("arguments", {})
    facts = {key: value for metric in nested.values() for key, value in metric.items()}
    task = LMMS_EVAL_FILE.search(file.name)
    reference: Any = record["target"]
    if "gt_answer_details" in facts:  # HallusionBench's target is a sentence
        reference = "Yes" if str(facts.get("gt_answer")) == "1" else "No"
    known = _without(record, FACTS if len(responses) == 1 else (*FACTS, *LABELS))
    for i, response in enumerate(responses):
        label = _metric(record, facts, i, len(responses))
        yield {
            **known,
            "response": response,
            "reference": reference,
            "data_source": task[1] if task else file.stem,
            **_choices({**doc, **facts}, str(record.get("input", "")), str(reference)),
            **({} if label is None else {"label": label}),
        }


def vlmevalkit(record: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """A row of ``<model>_<dataset>.xlsx``, ``.tsv``, ... or a judged file, with its options."""
    response = record["prediction"]
    response = "" if response is None or response != response else str(response)  # nan: empty cell
    if response.startswith(FAILED):
        raise ValueError(f"the kit got no response: {response[:80]}")
    if len(response) == CELL_CHARS:
        raise ValueError(f"a spreadsheet cut the response at {CELL_CHARS:,} characters")
    known = _choices(record)
    letter = str(record.get("answer_option") or "").strip()  # MathVista's answer is a text
    return {
        **_without(record),
        "response": response,
        "reference": letter if known and letter in tuple(OPTIONS) else record["answer"],
        "data_source": _dataset(file),
        **known,
    }


def qwen_math(record: Mapping[str, Any], file: Path) -> Iterator[dict[str, Any]]:
    """A line of ``math_eval.py``: n responses in ``code``, what its script says in ``score``."""
    scores = record.get("score")
    for i, response in enumerate(record["code"]):
        label = scores[i] if isinstance(scores, list) and i < len(scores) else None
        yield {
            **_without(record),
            "response": response,
            "reference": record["gt"],
            "data_source": file.parent.name,
            "label": label,
            "score": label,
        }


def _without(record: Mapping[str, Any], names: Sequence[str] = FACTS) -> dict[str, Any]:
    """The record without columns of a kit's data set that mean something else to us."""
    return {key: value for key, value in record.items() if key not in names}


def _texts(value: Any) -> Iterator[str | None]:
    """The responses in nested lists; None is one that never came."""
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    else:
        yield None if value is None else str(value)


def _metric(
    record: Mapping[str, Any], facts: Mapping[str, Any], i: int, n: int
) -> bool | float | None:
    """What lmms-eval says of sample ``i`` of ``n``; a mean over several samples is no label."""
    scores = facts.get("scores")
    if isinstance(scores, list) and len(scores) == n:
        return bool(scores[i])
    if n > 1:
        return None
    for source in (record, facts):
        for name in METRICS:
            value = source.get(name)
            if isinstance(value, bool | int | float):
                return value
    if "parsed_pred" in facts and "answer" in facts:  # MMMU-Pro compares them when all is done
        parsed = facts["parsed_pred"]
        return bool(
            (parsed[0] if isinstance(parsed, list) and parsed else parsed) == facts["answer"]
        )
    return None


def _choices(
    facts: Mapping[str, Any], prompt: str = "", reference: str = ""
) -> dict[str, list[str]]:
    """``choices``, from columns A, B, ..., from a list or its spelling, or from the prompt."""
    found = []
    for option in OPTIONS:
        text = facts.get(option)
        if text is None or str(text).strip().lower() in ("", "nan"):
            break
        found.append(str(text))
    found = found if len(found) > 1 else _listed(facts.get("choices"))
    if not found:
        for letter, text in OPTION_LINE.findall(prompt):
            if letter == "A":
                found = []
            if letter == OPTIONS[len(found) : len(found) + 1]:
                found.append(text.strip())
        if reference.strip("()") not in (*OPTIONS[: len(found)], *found):
            found = []
    return {"choices": found} if len(found) > 1 else {}


def _listed(value: Any) -> list[str]:
    """A list of option texts, or one written as Python writes it; empty for anything else."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return []
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


def _dataset(file: Path) -> str:
    """The data set's name in ``outputs/<model>/<run>/<model>_<dataset>.tsv``."""
    for folder in (file.parent.name, file.parent.parent.name):
        if folder and file.stem.startswith(f"{folder}_"):
            return file.stem[len(folder) + 1 :]
    return file.stem.partition("_")[2] or file.stem


def label_of(record: Mapping[str, Any], field: str | None) -> bool | None:
    """What the record itself says of its correctness; None if it says nothing.

    A number that is a share, as a mean over judges is, says neither right nor wrong.

    Raises:
        ValueError: what it says cannot be read, or there is no such field.
    """
    if field is not None and find_field(record, field) is MISSING:
        raise ValueError(f"no field {field}; there are {', '.join(map(str, record))}")
    values = [find_field(record, field)] if field else [record.get(name) for name in LABELS]
    value: Any = next((each for each in values if not _is_missing(each)), None)
    if isinstance(value, bool | int | float) and not 0 < value < 1:
        return value > 0
    if isinstance(value, str) and (told := LABEL_WORDS.get(value.strip().lower())) is not None:
        return told
    if value is None:
        return None
    raise ValueError(f"neither right nor wrong: {str(value)[:CELL_CHARS]}")


def _is_missing(value: Any) -> bool:
    """Whether it is nothing: null, or what tables have for it, NaN or an empty text."""
    return value is None or value == "" or (isinstance(value, float) and value != value)
