"""The report: what it reads, what it leaves out, and the files it writes."""

from __future__ import annotations

import random
import shutil

import pytest
from made_runs import charts, embedded, make_run, rollout, start
from typer.testing import CliRunner

from ovr_plugin.analysis.report.rollouts import pack_rollouts, sample_rollouts, shortened
from ovr_plugin.analysis.report.runs import distinct_names, read_run
from ovr_plugin.cli import app
from ovr_plugin.data.files import write_jsonl
from ovr_plugin.run_folder import RunFolder


def test_the_curves_are_what_was_logged(tmp_path):
    found, _ = charts(make_run(tmp_path / "run"))
    assert (found["fig3a_loss"].series[0].x, found["fig3a_loss"].series[0].y) == (
        [1, 2, 3],
        [1, 1 / 2, 1 / 3],
    )
    reward = {series.name: series for series in found["fig3b_reward"].series}
    assert reward["all"].y == [0.5] * 4
    assert set(reward) == {"all", "text"}, "no picture was trained on"
    assert found["fig3b_length"].marks == [(1, "24k"), (3, "32k")]
    assert [series.y for series in found["length_right_wrong"].series] == [[11, 12, 13, 14]] * 2
    outcomes = {series.name: series.y for series in found["outcomes_run"].series}
    assert outcomes == {"correct": [0.5] * 4, "wrong": [0.5] * 4}
    assert "fig6_reward" not in found, "no source of perception"


def test_a_run_in_progress_is_shown_as_far_as_it_is(tmp_path):
    root = make_run(tmp_path / "run")
    for path in (root / "logs" / "ppo_001.jsonl", root / "rollouts" / "4.jsonl"):
        path.write_bytes(path.read_bytes()[:-9])
    found, [run] = charts(root)
    assert found["fig3b_reward"].series[0].x == [1, 2, 3]
    assert ["torn" in note for note in run.notes] == [True]
    sampled = sample_rollouts([run], 100)
    assert [sum(each["step"] == step for each in sampled.rollouts) for step in (1, 4)] == [6, 5]


def test_broken_files_cost_themselves_and_are_named(tmp_path):
    root = make_run(tmp_path / "run")
    (root / "logs" / "ppo_002.jsonl").write_text('{"step": 5, "data": {"a": 1}}\nrubbish\n{}\n')
    with (root / "rollouts" / "2.jsonl").open("a") as file:
        file.write('[]\n{"response": 3}\nrubbish\n')
    for name, text in (("one", '{"checkpoints": [{"name": "x"}]}'), ("two", "[]"), ("three", "{")):
        path = tmp_path / name / "behaviours" / "summary.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        broken, [other] = charts(make_run(tmp_path / name))
        assert "fig5a_vision" not in broken
        assert ["summary.json" in note for note in other.notes] == [True]
    (root / "rollouts" / "notes.jsonl").write_text("not a step\n")
    found, [run] = charts(root)
    assert found["fig3b_reward"].series[0].x == [1, 2, 3, 4]
    assert len(sample_rollouts([run], 1000).rollouts) == 24
    said = " ".join(run.notes)
    for words in ("ppo_002.jsonl", "3 sampled lines are no rollouts"):
        assert words in said


@pytest.mark.parametrize(
    ("cold", "ppo"),
    [
        ("cold_start.jsonl", "ppo.jsonl"),  # README
        ("sft_7b.jsonl", "ppo_7b.jsonl"),  # examples/launch
        ("first.jsonl", "second.jsonl"),  # told by what they hold
    ],
)
def test_logs_are_found_whatever_they_are_called(tmp_path, cold, ppo):
    root, logs = tmp_path / "run", tmp_path / "run" / "logs"
    losses = [{"step": step, "data": {"train/loss": 1 / step}} for step in (1, 2)]
    rewards = [
        {"step": step, "data": {"ovr/reward/all": step / 4, **({"actor/lr": 1e-6} if step else {})}}
        for step in (0, 1, 2)
    ]
    write_jsonl(logs / cold, losses)
    write_jsonl(logs / ppo, rewards)
    write_jsonl(logs / "alien.jsonl", [{"step": 1, "data": {"x": 1}}, {"other": 2}])
    (logs / "bytes.jsonl").write_bytes(b"\x00\xff\n[1]\n")
    found, [run] = charts(root)
    assert found["fig3a_loss"].series[0].y == [1, 1 / 2]
    assert found["fig3b_reward"].series[0].x == [0, 1, 2]
    assert sorted(note.split(":")[0] for note in run.notes) == [
        str(logs / "alien.jsonl"),
        str(logs / "bytes.jsonl"),
    ]


@pytest.mark.parametrize("kept", ["logs/ppo_001.jsonl", "metrics.jsonl"])
def test_a_torn_line_within_a_log_costs_itself_and_is_named(tmp_path, kept):
    root = make_run(tmp_path / "run")
    if kept == "metrics.jsonl":
        RunFolder(root).merge_metrics()
        shutil.rmtree(root / "logs")
    lines = (root / kept).read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2][:-30] + b"\n"  # iteration 3
    (root / kept).write_bytes(b"".join(lines))
    result = start(root, "--no-figures")
    assert result.exit_code == 0, result.output
    named = f"{root / kept}: line {len(lines) - 1} is torn or no metrics; left out"
    assert f"run: {named}" in result.stderr
    data = embedded(root / "report.html")
    assert data["runs"][0]["notes"] == [named]
    [reward] = [chart for chart in data["charts"] if chart["id"] == "fig3b_reward"]
    assert reward["series"][0]["x"] == [1, 2, 4]


def test_nan_and_null_are_gaps(tmp_path):
    path = tmp_path / "run" / "logs" / "ppo_001.jsonl"
    path.parent.mkdir(parents=True)
    values = ["0.5", "NaN", "Infinity", "null", "true", '"x"', "0.25"]
    path.write_text(
        "".join(
            f'{{"step": {i}, "data": {{"ovr/reward/all": {v}}}}}\n' for i, v in enumerate(values)
        )
    )
    found, _ = charts(tmp_path / "run")
    assert (found["fig3b_reward"].series[0].x, found["fig3b_reward"].series[0].y) == (
        [0, 6],
        [0.5, 0.25],
    )


def test_event_files_fill_in_for_logs(tmp_path):
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for stage, tag, value in (("sft_x", "train/loss", 2.0), ("rl", "critic/score/mean", 0.5)):
        writer = EventFileWriter(str(tmp_path / "run" / stage))
        summary = summary_pb2.Summary()
        summary.value.add(tag=tag, simple_value=value)
        writer.add_event(event_pb2.Event(step=7, summary=summary))
        writer.close()
    found, [run] = charts(tmp_path / "run")
    assert not run.notes
    assert (found["fig3a_loss"].series[0].x, found["fig3a_loss"].series[0].y) == ([7], [2.0])
    assert found["fig3b_reward"].series[0].y == [0.5]


def test_behaviours_are_those_that_were_counted(tmp_path):
    root = make_run(tmp_path / "run")
    assert CliRunner().invoke(app, ["behaviours", str(root / "rollouts")]).exit_code == 0
    found, _ = charts(root)
    assert {series.name for series in found["fig5a_vision"].series} >= {"visual reflection"}
    assert found["fig5a_vision"].series[0].x == [4, 5, 6, 7], "behind the cold start's three steps"
    assert found["fig5a_vision"].marks == [(3, "PPO")]
    assert found["fig5b_transfer"].series[0].y == [None] * 4, "0 / 0 is undefined"
    papers = [series for series in found["fig5b_transfer"].series if not series.run]
    assert [series.name for series in papers] == ["paper: base", "paper: cold start", "paper: RL"]
    assert papers[2].y == [0.173, 0.781, 0.015, 0.277]


def test_without_behaviours_the_papers_are_no_figure(tmp_path):
    found, _ = charts(make_run(tmp_path / "run"))
    assert "fig5b_transfer" not in found


def test_behaviours_of_unknown_stages_are_in_the_order_of_their_files(tmp_path):
    root = make_run(tmp_path / "run")
    for name in ("early_10", "late_20"):
        write_jsonl(root / "eval" / f"{name}.jsonl", [{"question": "?", "response": "No."}])
    assert CliRunner().invoke(app, ["behaviours", str(root / "eval")]).exit_code == 0
    found, _ = charts(root)
    assert found["fig5a_vision"].series[0].x == [1, 2]
    assert found["fig5a_vision"].marks == []


def test_lengths_of_right_and_wrong_answers_add_up_to_all(tmp_path):
    """Of the last of four iterations, right answers have 200 tokens and wrong ones 1000 or 1001."""

    def rollouts(step):
        tokens = {0: 1000, 1: 200, 2: 1001, 3: 200} if step == 4 else dict.fromkeys(range(4), 5000)
        return [rollout(step, i, n_response_tokens=tokens[i]) for i in range(4)]

    found, _ = charts(make_run(tmp_path / "run", rollouts=rollouts))
    right, wrong = found["lengths_0"].series
    assert (right.name, wrong.name) == ("right answers", "score 0")
    width = right.x[1]
    in_bin = {
        series.name: {x: y for x, y in zip(series.x[:-1], series.y[:-1], strict=True) if y}
        for series in (right, wrong)
    }
    assert in_bin == {
        "right answers": {200 // width * width: 0.5},
        "score 0": {1000 // width * width: 0.5},
    }
    assert right.x[-1] > 1001
    assert len(right.x) <= 41
    assert found["lengths_0"].marks == [(32768, "limit")]


def test_perception_alone(tmp_path):
    root = make_run(
        tmp_path / "run",
        rollouts=lambda step: [
            rollout(step, i, data_source=("iconqa", "math")[i % 2]) for i in range(4)
        ],
    )
    found, _ = charts(root)
    assert [series.name for series in found["fig6_reward"].series] == ["iconqa"]
    assert found["fig6_length"].series[0].y == [11, 12, 13, 14]


def test_a_sample_is_spread_over_iterations_and_keeps_samples_of_a_prompt_together(tmp_path):
    root = make_run(
        tmp_path / "run", 5, lambda step: [rollout(step, i, "x" * (i % 7) * 50) for i in range(400)]
    )
    sampled = sample_rollouts([read_run(root)], 100).rollouts
    by_step = [[each for each in sampled if each["step"] == step] for step in range(1, 6)]
    assert [len(each) for each in by_step] == [20] * 5
    places = [int(each["key"][:3]) for each in by_step[0]]
    assert places == sorted(places)
    assert min(places) == 0
    assert max(places) > 100, "not only the start of the file"
    assert len({(each["step"], each["key"]) for each in sampled}) == 100, "none twice"
    everything = sample_rollouts([read_run(root)], 10_000).rollouts
    assert len({(each["step"], each["key"]) for each in everything}) == len(everything) == 2000


def test_texts_lose_their_middle_until_they_fit(tmp_path):
    rng = random.Random(0)
    long = ["".join(rng.choices("abcdefghij ", k=20_000)) for _ in range(40)]
    root = make_run(
        tmp_path / "run", 1, lambda step: [rollout(step, i, text) for i, text in enumerate(long)]
    )
    sampled = sample_rollouts([read_run(root)], 100).rollouts
    packed = pack_rollouts(sampled, 100_000)
    assert sum(map(len, packed.chunks)) <= 100_000
    assert 500 < packed.max_chars < 20_000
    head, n_left_out, tail = shortened(long[0], packed.max_chars)
    assert len(head) + n_left_out + len(tail) == 20_000
    assert long[0].startswith(head)
    assert long[0].endswith(tail)
    assert pack_rollouts(sampled, 10_000_000).max_chars is None


def test_names_of_runs_tell_them_apart(tmp_path):
    assert distinct_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert distinct_names([tmp_path / "x" / "run", tmp_path / "y" / "run"]) == ["x/run", "y/run"]
    assert len(set(distinct_names([tmp_path, tmp_path]))) == 2


def test_the_command_leaves_a_page_and_figures(tmp_path):
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two", 2)
    result = start(one, two, "--out", tmp_path / "out" / "report.html")
    assert result.exit_code == 0, result.output
    page = tmp_path / "out" / "report.html"
    data = embedded(page)
    assert [run["name"] for run in data["runs"]] == ["one", "two"]
    drawn = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {f"{chart['id']}.{kind}" for chart in data["charts"] for kind in ("png", "pdf")} == drawn
    assert data["columns"]["run"].count(1) == 12
    texts = embedded(page, "texts-0")
    assert texts[0] == ["question", "It is \\boxed{1}", "1", "1"]


def test_an_empty_run_costs_itself_and_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    roots = [tmp_path / "gone", make_run(tmp_path / "one"), tmp_path / "empty"]
    roots.append(make_run(tmp_path / "two", 2))
    result = start(*roots, "--no-figures")
    assert result.exit_code == 0, result.output
    assert f"Left out: {tmp_path / 'gone'}: no such folder" in result.stderr
    assert f"Left out: {tmp_path / 'empty'}: nothing to show" in result.stderr
    data = embedded(tmp_path / "one" / "report.html")
    assert [run["name"] for run in data["runs"]] == ["one", "two"]
    result = start(tmp_path / "gone", tmp_path / "empty")
    assert result.exit_code == 2
    assert f"{tmp_path / 'gone'}: no such folder" in result.stderr
    assert f"{tmp_path / 'empty'}: nothing to show" in result.stderr


def test_nothing_to_show_is_said(tmp_path):
    result = start(tmp_path)
    assert result.exit_code == 2
    assert "nothing to show: no metrics" in result.output
    assert start(tmp_path / "gone").exit_code == 2
    assert "no such folder" in start(tmp_path / "gone").output
