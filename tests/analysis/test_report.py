"""The report: what it reads and leaves out, and, in a real browser, what a person sees."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re

import browser as browsers
import pytest
from typer.testing import CliRunner

from ovr_plugin.analysis.report.charts import charts_of
from ovr_plugin.analysis.report.rollouts import pack_rollouts, sample_rollouts, shortened
from ovr_plugin.analysis.report.runs import distinct_names, read_run
from ovr_plugin.cli import app
from ovr_plugin.data.files import write_json, write_jsonl, write_parquet
from ovr_plugin.data.sample import Sample
from ovr_plugin.data.toy import toy_rows
from ovr_plugin.trainer.rollouts import Rollout, rollout_metrics

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<!-- <script> @@SCRIPT@@ @@DATA@@",
    "\x00\x1b[31m \u202e \ud800 \U0001f600 ]]> &lt;b&gt; $x_1^2$",
)


def rollout(step, number, response="It is \\boxed{1}", **fields):
    given = {
        "step": step,
        "key": f"{number // 2:03d}_{number % 2}_0",
        "data_source": "toy",
        "modality": "text",
        "row_id": f"toy#{number // 2}",
        "prompt": "question",
        "response": response,
        "reference": "1",
        "answer": "1",
        "outcome": "correct" if number % 2 else "wrong",
        "score": float(number % 2),
        "truncated": False,
        "n_prompt_tokens": 3,
        "n_response_tokens": 10 + step,
    }
    return Rollout(**{**given, **fields})


def make_run(root, n_steps=4, rollouts=lambda step: [rollout(step, i) for i in range(6)]):
    """A run as the trainers leave it, the metrics made by the trainer's own function."""
    metrics = []
    for step in range(1, n_steps + 1):
        made = rollouts(step)
        write_jsonl(root / "rollouts" / f"{step}.jsonl", [each.to_record() for each in made])
        limit = {"ovr/response_limit": 24576 if step < 3 else 32768}
        metrics.append({"step": step, "data": {**rollout_metrics(made), **limit}})
    write_jsonl(root / "logs" / "ppo_001.jsonl", metrics)
    losses = [{"step": step, "data": {"train/loss": 1 / step}} for step in (1, 2, 3)]
    write_jsonl(root / "logs" / "cold_start_001.jsonl", losses)
    return root


def start(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)], env={"COLUMNS": "300"})


def embedded(page, name="data"):
    text = page.read_text(encoding="utf-8")
    [found] = re.findall(rf'<script type="application/octet-stream" id="{name}">([^<]*)<', text)
    return json.loads(gzip.decompress(base64.b64decode(found)))


def charts(*roots):
    runs = [read_run(root) for root in roots]
    return {chart.id: chart for chart in charts_of(runs)}, runs


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
    (root / "eval").mkdir()
    (root / "eval" / "x.json").write_text("{")
    write_json(root / "eval" / "y.json", {"benchmark": "y", "score": "high"})
    with (root / "rollouts" / "2.jsonl").open("a") as file:
        file.write('[]\n{"response": 3}\nrubbish\n')
    (root / "rollouts" / "notes.jsonl").write_text("not a step\n")
    found, [run] = charts(root)
    assert found["fig3b_reward"].series[0].x == [1, 2, 3, 4]
    assert len(sample_rollouts([run], 1000).rollouts) == 24
    said = " ".join(run.notes)
    for words in ("ppo_002.jsonl", "x.json", "y.json", "3 sampled lines are no rollouts"):
        assert words in said


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


def test_benchmarks_over_both_stages(tmp_path):
    root = make_run(tmp_path / "run")
    result = {"benchmark": "math500", "score": 0.5, "stage": "cold_start", "step": 3}
    write_json(root / "eval" / "a.json", {"results": [result]})
    write_json(root / "eval" / "b.json", {**result, "stage": "ppo", "step": 2, "score": 0.75})
    found, _ = charts(root)
    [chart] = [chart for chart in found.values() if chart.section == "benchmarks"]
    assert (chart.series[0].x, chart.series[0].y) == ([3, 5], [0.5, 0.75])
    assert chart.marks == [(3, "PPO")]


def test_behaviours_are_those_that_were_counted(tmp_path):
    root = make_run(tmp_path / "run")
    assert CliRunner().invoke(app, ["behaviours", str(root / "rollouts")]).exit_code == 0
    found, _ = charts(root)
    assert {series.name for series in found["fig5a_vision"].series} >= {"visual reflection"}
    assert found["fig5a_vision"].series[0].x == [1, 2, 3, 4]
    assert found["fig5b_transfer"].series[0].y == [None] * 4, "0 / 0 is undefined"


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
    import random

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


def test_nothing_to_show_is_said(tmp_path):
    result = start(tmp_path)
    assert result.exit_code == 2
    assert "nothing to show: no metrics" in result.output
    assert start(tmp_path / "gone").exit_code == 2
    assert "no such folder" in start(tmp_path / "gone").output


# In the browser


@pytest.fixture(scope="module")
def chromium():
    executable = browsers.find()
    if executable is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    with browsers.browser(executable) as page:
        yield page


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    """Two runs with pictures; every text of a rollout, and the source's name, is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [row for row in toy_rows(8) if row.images]

    def rollouts(step):
        made = [
            rollout(
                step,
                number,
                response=text,
                prompt=text,
                reference=text,
                answer=text,
                outcome=("wrong", "correct", text, "no_answer")[number],
                data_source=f"source {number} {text}",
                modality="image",
                row_id=rows[0].id,
            )
            for number, text in enumerate(HOSTILE[:3])
        ]
        return [*made, rollout(step, 3, response="plain words")]

    roots = [make_run(folder / name, 12, rollouts) for name in ("a<b>&", "second")]
    write_parquet(roots[0] / "data" / "train.parquet", rows, Sample)
    with (roots[0] / "rollouts" / "12.jsonl").open("a") as file:
        file.write(json.dumps(rollout(12, 3, HOSTILE[3]).to_record()) + "\n")
    page = folder / "report.html"
    result = start(*roots, "--out", page, "--no-figures")
    assert result.exit_code == 0, result.output
    return page


@pytest.mark.process
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_renders_and_hostile_texts_are_only_text(
    chromium, hostile_page, width, height, dark, tmp_path
):
    chromium.window(width, height, dark)
    del chromium.requests[:], chromium.errors[:]
    chromium.open(hostile_page)
    run = chromium.run
    assert run("document.documentElement.dataset.failed") is None
    assert run("document.title") == "OVR: a<b>&, second"
    assert run("document.getElementById('title').textContent") == "a<b>&, second"
    assert run("document.documentElement.scrollWidth") <= width, "nothing is wider than the window"
    assert run("document.querySelectorAll('figure path').length") > 0
    assert run("document.querySelectorAll('main script, main [onerror]').length") == 0
    for number, text in enumerate(HOSTILE[:3]):
        run(f"choose({number})")
        shown = "[...document.querySelectorAll('#detail pre')].map((pre) => pre.textContent)"
        assert run(shown) == [text, text]
    chromium.wait("document.querySelector('#detail img')?.naturalWidth > 0")
    asked = [url for url in chromium.requests if not url.startswith("data:")]
    assert asked == [hostile_page.resolve().as_uri()], "nothing but the page itself"
    assert [error for error in chromium.errors if "data:image" not in error] == []
    chromium.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@pytest.mark.process
def test_rollouts_are_found_by_source_outcome_iteration_and_words(chromium, hostile_page):
    chromium.window(1280, 900)
    chromium.open(hostile_page)

    def matches(**wanted):
        script = "(async () => { const form = document.getElementById('filters'); form.reset();"
        for name, value in wanted.items():
            script += f"form.elements[{json.dumps(name)}].value = {json.dumps(value)};"
        script += "await filter(); return state.matching.map((row) => [columns().run[row], "
        script += "columns().step[row], fact('outcome', row), fact('data_source', row)]) })()"
        return chromium.run(script)

    def code(name, text):
        return str(chromium.run(f"columns()[{name!r}].names.indexOf({json.dumps(text)})"))

    assert len(matches()) == 2 * 12 * 4 + 1
    assert {row[2] for row in matches(outcome=code("outcome", "wrong"))} == {"wrong"}
    assert len(matches(data_source=code("data_source", "toy"))) == 25
    assert {row[1] for row in matches(**{"from": "3", "to": "5"})} == {3, 4, 5}
    assert {row[0] for row in matches(run="1")} == {1}
    assert len(matches(words="PLAIN Words")) == 24
    assert matches(words="not in any text") == []
    assert [row[1] for row in matches(order="latest first")][:5] == [12] * 5


@pytest.mark.process
def test_a_run_can_be_hidden_and_a_curve_too(chromium, hostile_page):
    chromium.window(1280, 900)
    chromium.open(hostile_page)
    paths = "document.querySelectorAll('#chart-fig3a_loss path').length"
    chromium.wait(f"{paths} === 2")
    chromium.run("document.querySelector('#runs button').click()")
    assert chromium.run(paths) == 1
    chromium.run("document.querySelector('#chart-fig3a_loss .legend button').click()")
    assert chromium.run(paths) == 0


def test_the_browser_is_there_where_it_must_be():
    """On a CI that installs one, its tests must not be skipped silently."""
    if os.environ.get("CI") != "1" or not os.environ.get("OVR_BROWSER"):
        pytest.skip("only where CI=1 and OVR_BROWSER say that a browser was installed")
    assert browsers.find()
