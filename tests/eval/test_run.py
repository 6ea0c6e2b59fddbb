"""`ovr eval` against a server that answers, fails, hangs or talks rubbish: files and numbers."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.files import read_json, read_jsonl

sys.path.insert(0, str(Path(__file__).parent.parent / "endpoint"))
from fake_server import completion, fake_server

N_ITEMS = 12


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sums from 1 + 0 on: a problem's answer can be told from its text."""
    path = tmp_path / "data/math500/test.jsonl"
    path.parent.mkdir(parents=True)
    rows = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(N_ITEMS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "data"


def number(body: dict) -> int:
    return int(re.search(r"What is (\d+) ", str(body["messages"]))[1])


def right(body: dict, _: int = 0) -> tuple:
    return 200, completion(f"So \\boxed{{{number(body) + 1}}}")


def evaluate(server, data: Path, out: Path, *options: str, names=("math500",)):
    arguments = ["eval", *names, "--url", server.url, "--data", str(data), "--out", str(out)]
    return CliRunner().invoke(app, [*arguments, *options])


def test_all_right(data, tmp_path):
    with fake_server(right) as server:
        ran = evaluate(server, data, tmp_path / "out", "-n", "2", "--temperature", "0.5")
    assert ran.exit_code == 0, ran.output
    found = read_json(tmp_path / "out/math500/result.json")
    low = 100 * N_ITEMS / (N_ITEMS + 1.96**2)  # Wilson's: a bootstrap has no doubt here
    assert found["avg@2"] == {"value": 100.0, "low": pytest.approx(low, abs=0.01), "high": 100.0}
    assert found["rates"] == {"correct": 100.0}
    assert found["per item"]["pass@2"]["value"] == found["per item"]["maj@2"]["value"] == 100
    assert (found["n_items"], found["n_missing"]) == (N_ITEMS, 0)
    assert found["settings"]["temperature"] == 0.5
    assert found["settings"]["seed"] == 0
    assert found["tokens"]["sum"] == 5 * 2 * N_ITEMS
    assert found["throughput"]["responses"] == 2 * N_ITEMS
    graded = list(read_jsonl(tmp_path / "out/math500/graded.jsonl"))
    assert {line["outcome"] for line in graded} == {"correct"}
    assert len({line["seed"] for line in responses(tmp_path / "out")}) == 2 * N_ITEMS
    assert {body["seed"] for body in server.bodies} == {
        line["seed"] for line in responses(tmp_path / "out")
    }
    assert all(body["temperature"] == 0.5 for body in server.bodies)
    table = (tmp_path / "out/table.md").read_text()
    assert "| MATH500 | 67.4 | - | 95.3 | 100.0 | 75.8 to 100.0 | 12 x 2 |" in table
    assert "temperature 0.5" in table
    assert "| MATH500 | pass@2 | 100.0 |" in table
    assert "| MATH500 | maj@2 | 100.0 |" in table
    assert "maj@2" in ran.output


def responses(out: Path) -> list[dict]:
    return list(read_jsonl(out / "math500/responses.jsonl"))[1:]


def test_seeds_do_not_depend_on_what_was_asked_before(data, tmp_path):
    with fake_server(right) as server:
        evaluate(server, data, tmp_path / "one", "-n", "2")
        evaluate(server, data, tmp_path / "two")
        evaluate(server, data, tmp_path / "two", "-n", "2")
    for one, two in zip(
        *(
            sorted(responses(tmp_path / name), key=lambda line: line["id"])
            for name in ("one", "two")
        ),
        strict=True,
    ):
        assert (one["id"], one["seed"]) == (two["id"], two["seed"])
    with fake_server(right) as server:
        evaluate(server, data, tmp_path / "three", "--seed", "-1")
    assert "seed" not in server.bodies[0]


def test_failures_cost_the_samples_they_hit_and_are_named_and_asked_again(data, tmp_path):
    """Item 3 is refused, 4 hangs, 5 answers rubbish, 6 fails; the others are answered."""

    def behave(body, _):
        deeds = {
            3: (400, "too long"),
            4: server.hang,
            5: (200, b"<html>rubbish"),
            6: (500, "out of memory"),
        }
        return deeds.get(number(body)) or right(body)

    options = ("--timeout", "0.5", "--tries", "2")
    with fake_server(behave) as server:
        ran = evaluate(server, data, tmp_path / "out", *options)
    assert ran.exit_code == 2, ran.output
    found = read_json(tmp_path / "out/math500/result.json")
    assert found["n_missing"] == 4
    assert found["avg@1"]["value"] == 100
    failed = list(read_jsonl(tmp_path / "out/math500/responses.jsonl.failed.jsonl"))
    reasons = {line["id"]: line["reason"] for line in failed}
    assert "refused: 400" in reasons["math500/test.jsonl#3 sample 0"]
    assert "timeout" in reasons["math500/test.jsonl#4 sample 0"]
    assert "rubbish" in reasons["math500/test.jsonl#5 sample 0"]
    assert "server error: 500" in reasons["math500/test.jsonl#6 sample 0"]
    assert "4 missing" in (tmp_path / "out/table.md").read_text()
    assert "4 samples are missing" in ran.output
    with fake_server(right) as server:
        again = evaluate(server, data, tmp_path / "out", *options)
    assert again.exit_code == 0, again.output
    assert sorted(map(number, server.bodies)) == [3, 4, 5, 6]
    assert read_json(tmp_path / "out/math500/result.json")["n_missing"] == 0


def test_a_sample_that_stands_twice_counts_once_and_half_a_line_not_at_all(data, tmp_path):
    """As after two runs at once, or of a file that was put together by hand."""
    file = tmp_path / "out/math500/responses.jsonl"
    with fake_server(right) as server:
        evaluate(server, data, tmp_path / "out")
        head, *lines = file.read_text().splitlines()
        half = json.dumps({"id": json.loads(lines[0])["id"]})
        file.write_text("\n".join([head, half, *lines[1:], *lines[1:]]) + "\n")
        ran = evaluate(server, data, tmp_path / "out", "--grade-only")
        assert ran.exit_code == 2, ran.output
        assert "1 samples are missing" in ran.output
        assert len(list(read_jsonl(file.with_name("graded.jsonl")))) == N_ITEMS - 1
        server.bodies.clear()
        assert evaluate(server, data, tmp_path / "out").exit_code == 0
    assert len(server.bodies) == 1
    assert read_json(tmp_path / "out/math500/result.json")["n_missing"] == 0


def test_an_endpoint_that_is_gone_ends_the_run_in_good_order_and_loses_nothing(data, tmp_path):
    """Of two benchmarks the first is half done: its table is there, and how to go on is said."""
    (data / "aime24").symlink_to(data / "math500")

    def behave(body, n_seen):
        return right(body) if n_seen < 5 else (502, "nobody here")

    out, names = tmp_path / "out", ("math500", "aime24")
    with fake_server(behave) as server:
        ran = evaluate(server, data, out, "--concurrency", "1", "--patience", "0.5", names=names)
    told = " ".join(ran.output.split())
    assert ran.exit_code == 1
    assert "nobody was there any more for 0.5 s" in told
    assert "7 samples are missing: none failed, 7 were not asked" in told
    assert "Start the server again and repeat the command" in told
    found = read_json(out / "math500/result.json")
    assert (found["n_missing"], found["throughput"]["responses"]) == (N_ITEMS - 5, 5)
    assert "7 missing" in (out / "table.md").read_text()
    with fake_server(right) as server:
        assert evaluate(server, data, out, names=names).exit_code == 0
    assert len(server.bodies) == 2 * N_ITEMS - 5
    assert read_json(out / "math500/result.json")["throughput"]["responses"] == N_ITEMS


def test_a_server_that_is_started_anew_under_the_run_costs_no_sample(data, tmp_path, monkeypatch):
    monkeypatch.setattr("ovr_plugin.endpoint.client.MAX_ABSENT_PAUSE_S", 0.05)

    def behave(body, n_seen):
        return (503, "loading") if 5 <= n_seen < 60 else right(body)

    with fake_server(behave) as server:
        ran = evaluate(server, data, tmp_path / "out", "--tries", "1", "--concurrency", "4")
    assert ran.exit_code == 0, ran.output


def test_silence_is_told_while_it_lasts_and_when_it_is_over(data, tmp_path, monkeypatch):
    monkeypatch.setattr("ovr_plugin.cli.stalls.FIRST_S", 0.2)
    with fake_server(lambda body, n: server.hang if n < 12 else right(body)) as server:
        ran = evaluate(server, data, tmp_path / "out", "--timeout", "1")
    assert ran.exit_code == 0, ran.output
    told = " ".join(ran.output.split())
    silent = re.search(r"no answer for \d s to any of 12 requests; no try has failed so far", told)
    assert silent, told
    assert "answers again" in told


def test_truncated_and_unanswered_are_told_apart(data, tmp_path):
    def behave(body, _):
        i = number(body)
        if i < 3:  # cut off after the right box: still 0, as in training
            return 200, completion(f"\\boxed{{{i + 1}}}", finish_reason="length")
        return (200, completion("I do not know")) if i < 6 else right(body)

    with fake_server(behave) as server:
        evaluate(server, data, tmp_path / "out")
    rates = read_json(tmp_path / "out/math500/result.json")["rates"]
    assert rates == {"correct": 50.0, "no_answer": 25.0, "truncated": 25.0}
    table = (tmp_path / "out/table.md").read_text()
    assert "| MATH500 | 12 | 25.0 % | 25.0 % | 0.0 % | 5 | 5 |" in table


def test_the_protocol_says_all_that_a_score_depends_on(data, tmp_path):
    """Also what is not set, other settings of the request, and that not all items were asked."""
    with fake_server(right) as server:
        evaluate(server, data, tmp_path / "all")
        evaluate(server, data, tmp_path / "some", "--limit", "3", "--extra", '{"top_k": 20}')
    protocols = [(tmp_path / name / "table.md").read_text() for name in ("all", "some")]
    everything = "Protocol: model tiny, temperature 1.0, top_p 1.0, max_tokens not set, seed 0, n 1"
    assert protocols[0].splitlines()[0] == everything
    assert protocols[1].splitlines()[0] == f"{everything}, top_k 20, limit 3"


def test_the_majority_counts_equal_answers_as_one(data, tmp_path):
    """Of five samples two are right; wrong ones agree with each other only up to spelling."""

    def behave(body, _):
        i = number(body)
        texts = [f"{i + 1}", f"{i + 1}.0", r"\frac{1}{7}", "1/7", "-3"]
        behave.seen[i] = behave.seen.get(i, -1) + 1
        return 200, completion(f"\\boxed{{{texts[behave.seen[i]]}}}")

    behave.seen = {}
    with fake_server(behave) as server:
        evaluate(server, data, tmp_path / "out", "-n", "5", "--limit", "3")
    per_item = read_json(tmp_path / "out/math500/result.json")["per item"]
    assert per_item["pass@1"]["value"] == pytest.approx(40)
    assert per_item["pass@4"]["value"] == pytest.approx(100)
    assert per_item["maj@5"]["value"] == pytest.approx(50)  # 2 : 2 : 1


def test_other_settings_need_another_folder(data, tmp_path):
    with fake_server(right) as server:
        evaluate(server, data, tmp_path / "out")
        ran = evaluate(server, data, tmp_path / "out", "--temperature", "0.2")
    assert ran.exit_code == 1
    assert "temperature was 1.0, is 0.2" in ran.output


def test_all_that_cannot_be_asked_is_named_before_anything_is_asked(data, tmp_path):
    wrong = tmp_path / "data/pope"
    wrong.mkdir()
    (wrong / "rows.jsonl").write_text("{}\n")
    with fake_server(right) as server:
        ran = evaluate(server, data, tmp_path / "out", names=("math500", "aime24", "pope"))
        assert not server.bodies
    told = " ".join(ran.output.split())
    assert ran.exit_code == 1
    assert "aime24: " in told
    assert "pope: " in told
    assert "These can be asked: math500" in told


def test_of_a_suite_those_are_asked_whose_rows_are_there(data, tmp_path):
    with fake_server(right) as server:
        ran = evaluate(server, data, tmp_path / "out", names=["text"])
        assert len(server.bodies) == N_ITEMS
        named = evaluate(server, data, tmp_path / "out2", names=["text", "aime24"])
        nothing = evaluate(server, tmp_path, tmp_path / "out3", names=["text"])
    told = " ".join(ran.output.split())
    assert ran.exit_code == 2, told
    assert "5 benchmarks were not asked, as they have no rows here: aime24: " in told
    where = f"hf download --repo-type dataset TIGER-Lab/MMLU-Pro --local-dir {data}/mmlu_pro"
    assert where in told
    assert read_json(tmp_path / "out/math500/result.json")["avg@1"]["value"] == 100
    assert [ran.exit_code for ran in (named, nothing)] == [1, 1]
    assert "These can be asked: math500" in named.output
    assert "math500: " in nothing.output


def test_rows_that_went_away_are_told_when_their_responses_are_graded(data, tmp_path):
    with fake_server(right) as server:
        evaluate(server, data, tmp_path / "out")
        (data / "math500/test.jsonl").unlink()
        ran = evaluate(server, data, tmp_path / "out", "--grade-only")
        of_suite = evaluate(server, data, tmp_path / "out", "--grade-only", names=["text"])
    assert [ran.exit_code for ran in (ran, of_suite)] == [1, 1]
    assert "Not graded: " in ran.output
    assert "math500: " in of_suite.output
    assert read_json(tmp_path / "out/results.json")[0]["avg@1"]["value"] == 100


@pytest.mark.parametrize(
    ("name", "meant"),
    [("math-500", "math500"), ("MathVista", "mathvista"), ("aime2024", "aime24"), ("txt", "text")],
)
def test_a_name_that_is_nearly_one_is_told_what_was_meant(name, meant):
    ran = CliRunner().invoke(app, ["benchmarks", name])
    assert ran.exit_code == 1
    assert f"no benchmark named {name} (perhaps {meant}" in " ".join(ran.output.split())


def test_a_picture_that_is_not_there_leaves_its_group_incomplete(tmp_path):
    """Of two pictures of MME one is missing: its pair is left out of accuracy+, and counted."""
    from PIL import Image

    folder = tmp_path / "data/mme/count"
    folder.mkdir(parents=True)
    Image.new("RGB", (28, 28), "red").save(folder / "1.png")
    for name in "12":
        (folder / f"{name}.txt").write_text("Is it red?\tYes\nIs it blue?\tNo\n")
    with fake_server([(200, completion(r"\boxed{yes}"))]) as server:
        ran = evaluate(server, tmp_path / "data", tmp_path / "out", names=["mme"])
    found = read_json(tmp_path / "out/mme/result.json")
    assert (found["n_items"], found["n_missing"], found["n_incomplete_groups"]) == (2, 0, 1)
    assert found["bad rows"]["n"] == 2
    assert "the picture is not there" in found["bad rows"]["examples"][0]
    assert "1 groups that are scored as one lack an answer or a row" in " ".join(ran.output.split())


def test_a_variant_without_its_picture_takes_its_question_out_of_the_worst_case(tmp_path):
    from PIL import Image

    for variant, i in ((1, 0), (1, 1), (2, 0), (2, 1)):
        folder = tmp_path / f"data/dynamath/sample_variant{variant}"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        if (variant, i) != (2, 1):
            Image.new("RGB", (28, 28), "red").save(folder / f"images/{i}.png")
        rows = [
            {"id": str(n), "question": f"{n}?", "ground_truth": "1", "image": f"images/{n}.png"}
            for n in range(2)
        ]
        (folder / "rows.json").write_text(json.dumps(rows))
    with fake_server([(200, completion(r"\boxed{1}"))]) as server:
        evaluate(server, tmp_path / "data", tmp_path / "out", names=["dynamath"])
    found = read_json(tmp_path / "out/dynamath/result.json")
    assert (found["n_items"], found["n_incomplete_groups"]) == (3, 1)
    assert found["metrics"]["worst case"]["low"] == pytest.approx(20.65, abs=0.01)  # Wilson, of one


def test_nobody_there_is_said_soon(data, tmp_path, monkeypatch):
    with fake_server(right) as server:
        pass  # closed: nothing listens there any more
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    ran = evaluate(server, data, tmp_path / "out")
    assert ran.exit_code == 1
    assert "no connection" in ran.output
    assert sum(pauses) <= 8


def test_mistakes_on_the_command_line_are_named(data, tmp_path):
    with fake_server(right) as server:
        unknown = evaluate(server, data, tmp_path / "out", names=["maths"])
        extra = evaluate(server, data, tmp_path / "out", "--extra", "[1]")
        missing = evaluate(server, data, tmp_path / "out", names=["aime24"])
        empty = tmp_path / "empty/math500"
        empty.mkdir(parents=True)
        (empty / "test.jsonl").write_text('{"problem": "?"}\n')
        bad = evaluate(server, tmp_path / "empty", tmp_path / "out")
        serves = evaluate(server, data, tmp_path / "out2", "--grade-only")
    assert "no benchmark named maths" in unknown.output
    assert "--extra is not a JSON object" in extra.output
    assert "aime24: no such folder" in " ".join(missing.output.split())
    assert "no row is an item; of 1 bad rows the first is" in " ".join(bad.output.split())
    assert {ran.exit_code for ran in (unknown, missing, bad, serves)} == {1}


def test_a_limit_keeps_units_whole(real_data, tmp_path):
    from ovr_plugin.eval.benchmarks import all_benchmarks
    from ovr_plugin.eval.responses import Questions

    questions = Questions(all_benchmarks()["wemath"], real_data, limit=20)
    items = list(questions.items())
    assert 17 <= len(items) <= 20
    problems = {item.facts["problem"] for item in items}
    for problem in problems:
        of_it = [item for item in items if item.facts["problem"] == problem]
        assert len(of_it) == of_it[0].facts["n_steps"] + 1
    assert [i.id for i in items] == [i.id for i in questions.items()]


def test_pictures_are_sent(real_data, tmp_path):
    with fake_server([(200, completion(r"\boxed{A}"))]) as server:
        ran = evaluate(server, real_data, tmp_path / "out", "--limit", "2", names=["logicvista"])
    assert ran.exit_code == 0, ran.output
    parts = server.bodies[0]["messages"][-1]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "\\boxed{}" in parts[1]["text"]


def test_the_rows_as_verl_s_validation_data(data, tmp_path):
    from ovr_plugin.data.files import read_parquet
    from ovr_plugin.data.sample import Sample, problems

    command = [
        "benchmarks",
        "math500",
        "--data",
        str(data),
        "--parquet",
        str(tmp_path / "v.parquet"),
    ]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    rows = list(read_parquet(tmp_path / "v.parquet", Sample))
    assert [row.index for row in rows] == list(range(N_ITEMS))
    assert {row.data_source for row in rows} == {"math500"}
    assert [found for row in rows for found in problems(row)] == []
    command[3] = str(tmp_path / "nowhere")
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 1
    assert "Not written" in ran.output


def test_rows_that_are_not_written_for_validation_are_named(data, tmp_path):
    file = data / "math500/test.jsonl"
    written = [CliRunner().invoke(app, _parquet(data, tmp_path / "good.parquet"))]
    file.write_text(file.read_text() + '{"problem": "?"}\n')
    written.append(CliRunner().invoke(app, _parquet(data, tmp_path / "some.parquet")))
    file.write_text('{"problem": "?"}\n')
    written.append(CliRunner().invoke(app, _parquet(data, tmp_path / "none.parquet")))
    assert [ran.exit_code for ran in written] == [0, 2, 1]
    assert "math500: 1 rows could not be used" in written[1].output
    assert "no row can be used" in written[2].output
    assert not (tmp_path / "none.parquet").exists()


def _parquet(data: Path, file: Path) -> list[str]:
    return ["benchmarks", "math500", "--data", str(data), "--parquet", str(file)]


def test_the_list_of_benchmarks():
    from ovr_plugin.eval.benchmarks import all_benchmarks

    listed = CliRunner().invoke(app, ["benchmarks"], env={"COLUMNS": "80"}).output
    for name, benchmark in all_benchmarks().items():
        [line] = [line for line in listed.splitlines() if line.split()[:1] == [name]]
        assert line.split()[1] == str(benchmark.version)
        assert all(source.hub in line for source in benchmark.sources[:1]), "not folded"


def test_files_of_another_split_are_named(tmp_path):
    folder = tmp_path / "mathverse/data"
    folder.mkdir(parents=True)
    row = {"problem_version": "Text Only", "question_type": "free-form", "answer": "1"}
    (folder / "testmini_text_only.json").write_text(json.dumps([{**row, "question": "?"}]))
    command = ["benchmarks", "mathverse", "--data", str(tmp_path), "--parquet", str(tmp_path / "x")]
    told = " ".join(CliRunner().invoke(app, command).output.split())
    assert "(data/testmini_text_only.json) hold none of the split or setting of MathVerse" in told
