"""Scores over checkpoints: `ovr eval` asks a server, `ovr report` and `ovr behaviours` read on."""

from __future__ import annotations

import json
import re

import pytest
from fake_server import completion, fake_server
from made_runs import charts, embedded, make_run, start
from PIL import Image
from typer.testing import CliRunner

from ovr_plugin.analysis.checkpoints import Checkpoint, cold_start_steps
from ovr_plugin.analysis.report.runs import read_run
from ovr_plugin.cli import app
from ovr_plugin.data.files import read_json, write_json, write_jsonl

N_ITEMS = 20
# Checkpoint -> of 20 sums, how many are answered rightly, are cut off, have no answer. It looks at
# the picture (a behaviour) in as many responses as are right.
MODELS = {"base": (5, 0, 0), "cold_start_3": (10, 4, 1), "ppo_2": (15, 1, 2)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 3 steps of cold start and 4 iterations, evaluated at three checkpoints."""
    folder = tmp_path_factory.mktemp("evaluated")
    data = folder / "data"
    rows = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(N_ITEMS)]
    write_jsonl(data / "math500" / "test.jsonl", rows)
    tasks = ("OCR artwork celebrity color count existence landmark position posters scene").split()
    for task in tasks:
        (data / "mme" / task).mkdir(parents=True)
        Image.new("RGB", (28, 28), "red").save(data / "mme" / task / "7.png")
        (data / "mme" / task / "7.txt").write_text("Is it red?\tYes\nIs it blue?\tNo\n")
    root = make_run(folder / "run")
    with fake_server(answer, models=tuple(MODELS)) as server:
        for name in MODELS:
            asked = ask(server, data, root / "eval" / name, "--model", name)
            assert asked.exit_code == 0, asked.output
    return root


def ask(server, data, out, *options, names=("math500", "mme")):
    command = ["eval", *names, "--url", server.url, "--data", data, "--out", out, *options]
    return CliRunner().invoke(app, list(map(str, command)), env={"COLUMNS": "200"})


def answer(body, _):
    """MME's questions are all answered yes."""
    sums = re.search(r"What is (\d+) ", str(body["messages"]))
    if not sums:
        return 200, completion(r"\boxed{yes}")
    number = int(sums[1])
    n_right, n_cut, n_unanswered = MODELS[body["model"]]
    if number < n_right:
        return 200, completion(f"Back to the graph. So \\boxed{{{number + 1}}}")
    if number < n_right + n_cut:
        return 200, completion("Well", finish_reason="length")
    unanswered = number < n_right + n_cut + n_unanswered
    return 200, completion("Who knows?" if unanswered else r"\boxed{-1}")


def test_scores_stand_along_both_stages_with_their_intervals(run):
    found, [read] = charts(run)
    assert read.notes == []
    [series] = found["fig4_math500"].series
    assert (series.x, series.y) == ([0, 3, 5], [0.25, 0.5, 0.75])
    written = [read_json(run / "eval" / name / "math500/result.json") for name in MODELS]
    assert [100 * low for low in series.low] == pytest.approx(
        [each["avg@1"]["low"] for each in written]
    )
    ends = zip(series.low, series.y, series.high, strict=True)
    assert all(0 < low < y < high < 1 for low, y, high in ends)
    assert found["fig4_math500"].marks == [(3, "PPO")]
    assert found["fig4_math500"].title == "MATH500"


def test_a_benchmark_whose_headline_is_not_defined_is_still_reported(tmp_path):
    """MathVerse without its Vision Only version has no mean of versions."""
    folder = tmp_path / "data/mathverse"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (28, 28), "red").save(folder / "images/1.png")
    row = {"problem_version": "Text Lite", "question_type": "free-form", "answer": "1"}
    row |= {"question": "What is 0 + 1?", "image": "images/1.png"}
    (folder / "testmini.json").write_text(json.dumps([row]))
    root = make_run(tmp_path / "run")
    with fake_server(answer, models=("base",)) as server:
        asked = ask(server, tmp_path / "data", root / "eval/base", names=("mathverse_all",))
    assert asked.exit_code == 0, asked.output
    found, [read] = charts(root)
    assert read.notes == []
    assert "fig4_mathverse_all" not in found
    assert found["benchmarks_tokens"].series[0].y == [5]


@pytest.mark.parametrize(
    "broken",
    [
        {"metrics": {"accuracy": {"value": float("nan"), "low": None, "high": None}}},
        {"metrics": {"accuracy": {"value": "<b>", "low": 1, "high": 2}}},
        {"metrics": []},
        {"rates": None},
        {"title": 5},
        {"undefined": None},
        {"n_items": -4},
        {"settings": None},
        {"tokens": {"mean": "x"}},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_a_result_that_is_none_is_noted_and_costs_no_other(run, tmp_path, broken):
    root = make_run(tmp_path / "run")
    good = read_json(run / "eval/base/math500/result.json")
    for name, result in (("base", good), ("ppo_2", {**good, **broken})):
        write_json(root / "eval" / name / "math500/result.json", result)
    assert start(root, "--no-figures").exit_code == 0
    [read] = charts(root)[1]
    [note] = read.notes
    assert "ppo_2/math500/result.json: no result of ovr eval with a score" in note
    assert [each.checkpoint.name for each in read.evaluations] == ["base"]


def test_a_number_that_is_none_is_not_drawn(run, tmp_path):
    root = make_run(tmp_path / "run")
    good = read_json(run / "eval/base/math500/result.json")
    tokens = {**good["tokens"], "mean": float("nan")}
    write_json(root / "eval/base/math500/result.json", {**good, "tokens": tokens})
    assert start(root, "--no-figures").exit_code == 0


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"name": "x"},
        {"name": "x", "step": "q", "keywords": {"behaviours": {}, "btr": {}}},
        {"name": "x", "step": 1, "keywords": {"behaviours": {}, "btr": {"backtracking": 5}}},
        {
            "name": "x",
            "step": 1,
            "keywords": {"behaviours": {"a": {"emergence_rate": {"value": "1"}}}, "btr": {}},
        },
    ],
)
def test_a_study_of_behaviours_that_is_none_is_noted(tmp_path, checkpoint):
    root = make_run(tmp_path / "run")
    write_json(root / "behaviours/summary.json", {"checkpoints": [checkpoint]})
    assert start(root, "--no-figures").exit_code == 0
    [read] = charts(root)[1]
    assert "no summary of ovr behaviours" in " ".join(read.notes)


def test_points_are_no_percent(run):
    """Always yes: one of a pair is right and no pair is, 50 points in each of ten tasks."""
    found, _ = charts(run)
    assert found["fig4_mme"].series[0].y == [500, 500, 500]
    assert not found["fig4_mme"].percent
    assert found["fig4_math500"].percent


def test_truncation_no_answer_and_length_over_checkpoints(run):
    found, _ = charts(run)
    by_name = {
        key: {series.name: series.y for series in found[f"benchmarks_{key}"].series}
        for key in ("truncated", "no_answer", "tokens")
    }
    assert by_name["truncated"] == {"MATH500": [0, 0.2, 0.05], "MME": [0, 0, 0]}
    assert by_name["no_answer"] == {"MATH500": [0, 0.05, 0.1], "MME": [0, 0, 0]}
    assert by_name["tokens"] == {"MATH500": [5, 5, 5], "MME": [5, 5, 5]}


def test_validation_during_training_is_beside_the_evaluation(run, tmp_path):
    other = make_run(tmp_path / "other")
    metric = "val-core/math500/acc/mean@4"
    write_jsonl(
        other / "logs" / "ppo_002.jsonl",
        [{"step": step, "data": {metric: 0.1 * step}} for step in (2, 4)],
    )
    found, _ = charts(run, other)
    told = [(series.run, series.name, series.x) for series in found["fig4_math500"].series]
    assert told == [("run", "ovr eval", [0, 3, 5]), ("other", "validation", [5, 7])]


def test_the_page_has_the_paper_s_table_with_every_checkpoint(run, tmp_path):
    page = tmp_path / "report.html"
    result = start(run, "--out", page, "--no-figures")
    assert result.exit_code == 0, result.output
    tables = embedded(page)["benchmarks"]
    assert tables["checkpoints"] == ["base", "cold_start_3", "ppo_2"]
    rows = {row["name"]: row for row in tables["scores"]}
    assert list(rows) == ["language reasoning", "MATH500", "perception", "MME"]
    assert rows["MATH500"]["paper"] == ["67.4", "-", "95.3"]
    assert [cell[0] for cell in rows["MATH500"]["cells"]] == ["25.0", "50.0", "75.0"]
    written = read_json(run / "eval/ppo_2/math500/result.json")["avg@1"]
    low, high = rows["MATH500"]["cells"][2][1].split(" to ")
    assert (float(low), float(high)) == pytest.approx((written["low"], written["high"]), abs=0.06)
    assert rows["MME"]["paper"] == ["1659.7", "1549.8", "1559.1"]
    last = tables["measured"][-1]
    told = dict(zip(tables["header"], last["rows"][0], strict=True))
    assert (told["truncated"], told["no answer"], told["tokens"]) == ("5.0 %", "10.0 %", "5")
    assert "model ppo_2, temperature 1.0" in last["protocol"]
    assert "seed 0, n 1" in last["protocol"]


def test_what_is_no_result_is_named_and_costs_only_itself(run, tmp_path):
    broken = make_run(tmp_path / "run")
    good = read_json(run / "eval/ppo_2/math500/result.json")
    kept = {key: value for key, value in good.items() if key != "rates"}
    made = {
        "a": "{",
        "b": "[1]",
        "c": json.dumps({**good, "n_missing": N_ITEMS}),
        "d": json.dumps(kept),
        "e": json.dumps({**good, "metrics": {"accuracy": {"value": "high"}}}),
        "ppo_4": json.dumps(good),
    }
    for name, text in made.items():
        path = broken / "eval" / name / "math500" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    found, [read] = charts(broken)
    assert found["fig4_math500"].series[0].x == [7]
    assert len(read.notes) == len(made) - 1
    for name in "abcde":
        assert any(f"eval/{name}/math500/result.json" in note for note in read.notes)


def test_a_checkpoint_of_no_stage_is_in_the_table_alone_and_named(run, tmp_path):
    """But for an average, which is rightly of no step."""
    copy = make_run(tmp_path / "run")
    for name in ("mine", "average_60"):
        path = copy / "eval" / name / "math500" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text((run / "eval/ppo_2/math500/result.json").read_text())
    result = start(copy, "--no-figures")
    assert "mine" in result.output
    assert "average_60" not in result.output
    assert "base, cold_start_900, ppo_300" in result.output
    data = embedded(copy / "report.html")
    assert sorted(data["benchmarks"]["checkpoints"]) == ["average_60", "mine"]
    assert not [chart for chart in data["charts"] if chart["section"] == "benchmarks"]


def test_a_folder_of_ovr_eval_is_a_run_too(run, tmp_path):
    """With checkpoints in it, or one itself, which is called as the served model was."""
    _, [several] = charts(run / "eval")
    assert len(several.evaluations) == 2 * len(MODELS)
    one = read_run(run / "eval" / "cold_start_3")
    assert {each.checkpoint.name for each in one.evaluations} == {"cold_start_3"}
    assert {each.checkpoint.position(99) for each in one.evaluations} == {3}


def test_behaviours_are_counted_in_the_responses_of_an_evaluation(run):
    """As OVR 5.2 does, on MathVision: emergence at the three checkpoints."""
    files = sorted((run / "eval").glob("*/math500/graded.jsonl"))
    ran = CliRunner().invoke(app, ["behaviours", *map(str, files)])
    assert ran.exit_code == 0, ran.output
    found, _ = charts(run)
    [series] = [s for s in found["fig5a_vision"].series if s.name == "visual reflection"]
    assert (series.x, series.y) == ([0, 3, 5], [0.25, 0.5, 0.75])
    summary = read_json(run / "behaviours" / "summary.json")
    assert [each["name"] for each in summary["checkpoints"]] == list(MODELS)


@pytest.mark.parametrize(
    ("name", "stage", "position"),
    [
        ("base", "base", 0),
        ("cold_start_900", "cold_start", 900),
        ("cold_start", "cold_start", 1000),
        ("ppo_300", "ppo", 1300),
        ("ovr-7b-sft-450", "cold_start", 450),
        ("RL step 20", "ppo", 1020),
        ("ppo_7b", "ppo", 1000),
        ("checkpoints/ppo/global_step_30", "ppo", 1030),
        ("database_3", "", None),
        ("global_step_300", "", None),
    ],
)
def test_names_of_checkpoints(name, stage, position):
    checkpoint = Checkpoint.named(name)
    assert (checkpoint.stage, checkpoint.position(1000)) == (stage, position)


def test_checkpoints_sort_in_the_order_of_training():
    names = ["ppo_20", "x", "cold_start_900", "ppo_100", "base", "cold_start_30"]
    found = sorted(map(Checkpoint.named, names))
    assert [each.name for each in found] == [
        *("base", "cold_start_30", "cold_start_900", "ppo_20", "ppo_100", "x")
    ]
    assert cold_start_steps(found) == 900
    assert cold_start_steps(found, logged=1000) == 1000
