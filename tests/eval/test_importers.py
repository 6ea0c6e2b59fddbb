"""Every per-sample format of the kits that we have seen, as `ovr score` reads it.

lmms-eval's are those of release 0.7.3 and of what its git had before; VLMEvalKit's of its git.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_rows import write_tsv

from ovr_plugin.data.files import write_json
from ovr_plugin.eval.importers import CELL_CHARS, imported
from ovr_plugin.eval.regrade import Regrade, Verdict, regrade
from ovr_plugin.reward.policy import Policy
from ovr_plugin.reward.rows import Fields
from ovr_plugin.reward.settings import Settings

UNBOXED = Settings(policy=Policy(unboxed=True))
LMMS = "20260101_120000_samples_mathvista_testmini_cot.jsonl"


def graded(path: Path, settings: Settings = UNBOXED) -> list[Verdict]:
    return list(regrade(Regrade(path, settings=settings)))


def write_lines(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judged(**facts: object) -> dict:
    """lmms-eval logs a metric's dict under the metric's name, twice as a rule."""
    return {"llm_as_judge_eval": facts, "submission": facts}


OLD = {"doc_id": 0, "target": "12", "resps": [["\\boxed{12}"]], "filtered_resps": ["12"]}
NEW = {"doc_id": 0, "target": "12", "filtered_resps": "\\boxed{12}", "token_counts": [None]}
MATHVISTA = {
    **NEW,
    "target": "40m",
    "input": "Hint: ...\nQuestion: How far?\nChoices:\n(A) 10m\n(B) 40m\nSolution:",
}


@pytest.mark.parametrize(
    ("record", "score", "label"),
    [
        ({**OLD, "acc": 0.0}, 1.0, False),
        ({**OLD, "resps": [["12 \\boxed{13}"]]}, 0.0, None),  # before any filter
        ({key: value for key, value in OLD.items() if key != "resps"}, 1.0, None),
        ({**NEW, "exact_match": 1.0}, 1.0, True),
        ({**NEW, "acc_score": 1.0, "format_score": 0.0}, 1.0, True),
        # 0.7.3 cuts the thinking off what it scores, and keeps all in resps.
        ({**NEW, "resps": "<think>\\boxed{1}</think>\\boxed{12}"}, 1.0, None),
        ({**NEW, "resps": "<think>\\boxed{12}", "filtered_resps": "\\boxed{12}"}, 0.0, None),
        ({**MATHVISTA, "filtered_resps": "B", **judged(true_false=True)}, 1.0, True),
        ({**MATHVISTA, "filtered_resps": "B", **judged(choices=["40m", "B"])}, 0.0, None),
        ({**MATHVISTA, "filtered_resps": "A", "llm_as_judge_eval": 1.0}, 0.0, True),
        (
            # Examples in front of the question have options of their own.
            {
                **MATHVISTA,
                "filtered_resps": "B",
                "input": "Choices:\n(A) 40m\n(B) 2m\n(C) 3m\nAnswer: A\n\n" + MATHVISTA["input"],
            },
            1.0,
            None,
        ),
        ({**MATHVISTA, "target": "7", "filtered_resps": "B"}, 0.0, None),  # no options of its own
        (
            # MATH-Vision: the first option stands behind "Choices:".
            {
                **NEW,
                "target": "B",
                "input": "How far?\nChoices: A. 10m\nB. 40m",
                "mathvision_standard_eval": {"response": ["40"], "scores": [False]},
                "filtered_resps": "\\boxed{40}",
            },
            1.0,
            False,
        ),
        # MMBench, MMMU-Pro, MMStar, BLINK, HallusionBench
        (
            {**NEW, "target": "B", "filtered_resps": "red", **judged(A="1", B="red", C="nan")},
            1,
            None,
        ),
        (
            {
                **NEW,
                "target": "C",
                "filtered_resps": "Answer: C",
                "mmmu_acc": {"answer": "C", "parsed_pred": "A"},
            },
            1.0,
            False,
        ),
        ({**NEW, "math": {"question_id": 1, "score": 0.0}, "average": {"score": 0.0}}, 1.0, False),
        (
            {**NEW, "target": "(B)", "filtered_resps": "(B)", "blink_x": {"is_correct": True}},
            1.0,
            True,
        ),
        (
            {
                **NEW,
                "target": "The lines are equal.",
                "filtered_resps": "Yes.",
                "aAcc": {"gt_answer": "1", "gt_answer_details": "The lines are equal."},
            },
            1.0,
            None,
        ),
    ],
)
def test_a_sample_of_lmms_eval(tmp_path, record, score, label):
    (found,) = graded(write_lines(tmp_path / LMMS, record))
    assert (found.score, found.label) == (score, label)
    assert found.source == "mathvista_testmini_cot"


@pytest.mark.parametrize(
    ("resps", "scores"),
    [
        ([["\\boxed{12}", "\\boxed{1}"]], [1, 0]),  # repeats of one request, and two requests
        (["\\boxed{1}", "\\boxed{12}"], [0, 1]),
        ([["\\boxed{12}"], ["\\boxed{1}"], ["\\boxed{12}"]], [1, 0, 1]),
    ],
)
def test_several_samples_of_an_item_are_rows_of_one_number(tmp_path, resps, scores):
    """Their mean is no label of any."""
    found = graded(write_lines(tmp_path / LMMS, {**OLD, "resps": resps, "acc": 1.0}))
    assert [verdict.score for verdict in found] == scores
    assert {(verdict.number, verdict.label) for verdict in found} == {(1, None)}


def test_a_sample_of_lm_evaluation_harness(tmp_path):
    """The item is in the line, and what it says of itself is no label."""
    line = {
        **OLD,
        "doc": {"label": 0, "choices": ["7", "12"]},
        "arguments": {"gen_args_0": {"arg_0": "?"}},
        "target": "B",
        "filter": "strict-match",
    }
    (found,) = graded(write_lines(tmp_path / "samples_mmlu_2026-01-01T12-00-00.123.jsonl", line))
    assert (found.score, found.label, found.source) == (1.0, None, "mmlu")


def test_log_likelihoods_are_no_responses(tmp_path):
    line = {**OLD, "resps": [[["-1.5", "False"]], [["-0.25", "True"]]]}
    (found,) = graded(write_lines(tmp_path / LMMS, line))
    assert "log-likelihoods" in found.error
    two = {**OLD, "target": "Yes", "resps": [["True", "False"]]}
    assert len(graded(write_lines(tmp_path / LMMS, two))) == 2


MCQ = {"index": 1, "question": "?", "A": "red", "B": "blue", "C": "", "answer": "B"}
CHART = {"index": 1, "question": "?", "answer": "12"}


@pytest.mark.parametrize(
    ("row", "score", "label"),
    [
        ({**MCQ, "prediction": "\\boxed{blue}", "hit": "0"}, 1.0, False),
        ({**MCQ, "prediction": "B. blue", "hit": "1"}, 1.0, True),
        ({**MCQ, "prediction": "A" + "x" * 200_000 + "\\boxed{B}"}, 1.0, None),
        # MathVista and MATH-Vision spell their options as Python does, and have columns of ours.
        (
            {
                **CHART,
                "answer": "40m",
                "answer_option": "B",
                "choices": "['10m', '40m']",
                "answer_type": "text",
                "unit": "",
                "prediction": "B",
                "score": "True",
            },
            1.0,
            True,
        ),
        (
            {**CHART, "choices": "[]", "answer_type": "integer", "unit": "$", "prediction": "12"},
            1.0,
            None,
        ),
        (
            {**CHART, "answer_option": "", "choices": "", "prediction": "The answer is 12."},
            1.0,
            None,
        ),
        ({**CHART, "answer": "B", "choices": "['1', '2']", "prediction": "\\boxed{2}"}, 1.0, None),
        # DynaMath
        (
            {**CHART, "answer_type": "float", "prediction": "\\boxed{12.0}", "correct": "False"},
            1.0,
            False,
        ),
        (
            {**CHART, "answer": "Yes", "prediction": "Yes.", "extracted": "Yes", "score": "1"},
            1,
            True,
        ),
    ],
)
@pytest.mark.parametrize("ending", ["tsv", "csv", "json"])
def test_a_row_of_vlmevalkit(tmp_path, row, score, label, ending):
    """PRED_FORMAT is tsv or json; EVAL_FORMAT csv or json; both as pandas writes them."""
    path = tmp_path / "ovr-7b" / "T20260101-120000" / f"ovr-7b_MathVista_MINI.{ending}"
    if ending == "tsv":
        write_tsv(path, [row])
    elif ending == "json":
        write_json(path, [row])
    else:
        path.parent.mkdir(parents=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerow(row)
    (found,) = graded(path)
    assert (found.error, found.score, found.label) == ("", score, label)
    assert found.source == "MathVista_MINI"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("outputs/m_7b/T20260101-120000/m_7b_MMBench_DEV_EN_V11.tsv", "MMBench_DEV_EN_V11"),
        ("outputs/m_7b/m_7b_MMVet.tsv", "MMVet"),
        ("ovr-7b_CharXiv_reasoning_val.tsv", "CharXiv_reasoning_val"),
        ("predictions.tsv", "predictions"),
    ],
)
def test_the_data_set_is_in_the_name_of_vlmevalkit_s_file(path, source):
    (record,) = imported({**MCQ, "prediction": "B"}, Path(path))
    assert record["data_source"] == source


@pytest.mark.parametrize(
    ("prediction", "told"),
    [
        ("Failed to obtain answer via API.", "got no response"),
        ("Failed to obtain answer: <class 'RuntimeError'> CUDA", "got no response"),
        ("x" * CELL_CHARS, "a spreadsheet cut"),
    ],
)
def test_what_is_no_response_is_named_and_not_scored(tmp_path, prediction, told):
    path = tmp_path / "ovr-7b_MMStar.tsv"
    write_tsv(path, [{**MCQ, "prediction": prediction}, {**MCQ, "prediction": "B"}])
    first, second = graded(path)
    assert told in first.error
    assert second.score == 1.0


@pytest.mark.parametrize(
    ("prediction", "outcome"), [(12, "correct"), (12.0, "correct"), (None, "no_answer")]
)
def test_a_prediction_that_became_a_number(tmp_path, prediction, outcome):
    """pandas reads the kit's own files so, and writes NaN for an empty one."""
    row = {**CHART, "prediction": float("nan") if prediction is None else prediction}
    write_json(tmp_path / "ovr-7b_MMVet.json", [row])
    assert graded(tmp_path / "ovr-7b_MMVet.json")[0].outcome == outcome


def test_outputs_of_qwen_s_math_eval_hold_n_samples(tmp_path):
    line = {
        "gt": "12",
        "code": ["\\boxed{12}", "\\boxed{1}"],
        "pred": ["12", "1"],
        "score": [True, True],
    }
    (tmp_path / "math500").mkdir()
    first, second = graded(write_lines(tmp_path / "math500" / "test_x_s0_e-1.jsonl", line))
    assert (first.source, first.score, first.label) == ("math500", 1.0, True)
    assert (second.score, second.disagrees) == (0.0, True)


def test_an_output_of_mmmu_pro_has_its_options_as_text(tmp_path):
    line = {"options": "['red', 'blue']", "answer": "B", "pred_indexs": "A", "if_right": False}
    (found,) = graded(write_lines(tmp_path / "x.jsonl", {**line, "response": "Answer: blue"}))
    assert (found.score, found.label) == (1.0, False)


def test_generations_of_verl_hold_n_samples(tmp_path):
    """`main_generation` puts the samples beside the data set's columns."""
    row = {
        "data_source": 7,
        "prompt": [{"role": "user", "content": "?"}],
        "reward_model": {"style": "rule", "ground_truth": "12"},
        "responses": ["\\boxed{12}", "\\boxed{1}", None],
    }
    pq.write_table(pa.Table.from_pylist([row, row]), tmp_path / "a.parquet")
    found = graded(tmp_path / "a.parquet")
    assert [verdict.number for verdict in found] == [1, 1, 1, 2, 2, 2]
    assert [verdict.score for verdict in found] == [1, 0, 0] * 2
    assert [verdict.source for verdict in found[:2]] == ["7", "7"]
    assert [verdict.error for verdict in found[:3]] == ["", "", "the response is missing"]


def test_a_response_that_is_a_list_of_texts_is_its_samples(tmp_path):
    row = {"response": ["\\boxed{12}", "\\boxed{1}"], "reference": "12"}
    rows = [row, {**row, "score": [1, 1]}, {**row, "score": 0.5}, {**row, "score": 1}]
    found = graded(write_lines(tmp_path / "a.jsonl", *rows))
    assert [verdict.score for verdict in found] == [1, 0] * 4
    assert [verdict.label for verdict in found] == [None, None, True, True, *[None] * 4]
    named = write_lines(tmp_path / "c.jsonl", {"mine": row["response"], "reference": "12"})
    found = list(regrade(Regrade(named, Fields(("mine",)))))
    assert [verdict.score for verdict in found] == [1, 0]
    (error,) = graded(write_lines(tmp_path / "b.jsonl", {**row, "response": [["x"]]}))
    assert "the response is a list" in error.error


@pytest.mark.parametrize(
    ("field", "facts", "labels"),
    [
        ("mine", {"mine": [True, False]}, [True, False]),
        ("judge.ok", {"judge": {"ok": [0, 1]}}, [False, True]),
        ("judge.ok", {"judge": {"ok": 1}}, [None, None]),  # one for all is no label of any
        ("judge.ok", {"judge": {"ok": [1, 1, 1]}}, [None, None]),
        ("a.b", {"a.b": ["yes", "no"], "a": {"b": [0, 0]}}, [True, False]),
    ],
)
def test_a_label_may_lie_within_another_field_and_be_one_for_each_response(
    tmp_path, field, facts, labels
):
    row = {"response": ["\\boxed{12}", "\\boxed{1}"], "reference": "12", **facts}
    file = write_lines(tmp_path / "a.jsonl", row)
    found = list(regrade(Regrade(file, label_field=field)))
    assert [verdict.label for verdict in found] == labels
    assert [verdict.label_error for verdict in found] == ["", ""]


def test_a_label_within_another_field_of_a_kit_s_sample(tmp_path):
    file = write_lines(tmp_path / LMMS, {**OLD, "judge": {"ok": False}, "acc": 1.0})
    (found,) = regrade(Regrade(file, label_field="judge.ok"))
    assert (found.score, found.label) == (1, False)
    (found,) = regrade(Regrade(file, label_field="judge.nope"))
    assert "no field judge.nope" in found.label_error


@pytest.mark.parametrize("resps", [[None], [[None]], None])
def test_a_response_that_lmms_eval_never_got_is_missing(tmp_path, resps):
    (found,) = graded(write_lines(tmp_path / LMMS, {**OLD, "resps": resps}))
    assert (found.error, found.outcome) == ("the response is missing", "")


def test_a_record_of_no_kit_stays_as_it_is():
    record = {"response": "x", "reference": "y"}
    assert imported(record, Path("a.jsonl"))[0] is record
