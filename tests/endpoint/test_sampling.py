"""Pass rates and distillation against a fake model, by the commands that people type."""

from __future__ import annotations

import base64

import pytest
from fake_server import completion, fake_server
from PIL import Image
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.curation.filters import PassRate
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.files import read_jsonl, read_parquet, write_parquet
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.sample import ColdStartSample, Sample
from ovr_plugin.data.sampling import distilled_rows
from ovr_plugin.endpoint.health import Health
from ovr_plugin.endpoint.jobs import read_results


@pytest.fixture
def rows(tmp_path):
    """Six questions; the sixth with a picture."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    image = ImageRef(path=str(tmp_path / "a.png"))
    samples = [
        Sample(
            "s",
            question_prompt(f"Number {n}?", n_images=n == 5),
            str(n),
            [image] * (n == 5),
            id=f"s/f#{n}",
        )
        for n in range(6)
    ]
    write_parquet(tmp_path / "rows.parquet", samples, Sample)
    return samples


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def number_of(body):
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    return int(text.partition("Number ")[2].partition("?")[0])


def right_n_times(body, _):
    """Row n is solved n times of 4."""
    n = number_of(body)
    return 200, completion(*(f"\\boxed{{{n if place < n else -1}}}" for place in range(4)))


def test_pass_rates_are_measured_and_filter_the_rows(rows, tmp_path):
    with fake_server(right_n_times) as server:
        done = run(
            "pass-rate",
            tmp_path / "rows.parquet",
            "--url",
            server.url,
            "--n",
            4,
            "--out",
            tmp_path / "rates.jsonl",
            "--price",
            1,
            2,
        )
    assert done.exit_code == 0, done.output
    assert "6 rows answered now, 0 before, 0 failed; 60 + 120 tokens, 0 retries" in done.output
    rates = {line["id"]: line["pass_rate"] for line in read_results(tmp_path / "rates.jsonl")}
    assert rates == {f"s/f#{n}": min(n, 4) / 4 for n in range(6)}
    predicate = PassRate("rates.jsonl").predicate(tmp_path)
    assert [n for n, sample in enumerate(rows) if predicate(Row(sample)) is None] == [1, 2, 3]
    with_picture = next(body for body in server.bodies if number_of(body) == 5)
    url = with_picture["messages"][-1]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == (tmp_path / "a.png").read_bytes()


def test_a_dead_endpoint_stops_and_the_same_command_goes_on(rows, tmp_path, monkeypatch):
    command = [
        "pass-rate",
        tmp_path / "rows.parquet",
        "--n",
        4,
        "--out",
        tmp_path / "r.jsonl",
        "--concurrency",
        1,
    ]
    monkeypatch.setattr(
        "ovr_plugin.endpoint.client.Health", lambda url, n, _: Health(url, n, patience_s=0.0)
    )
    with fake_server(lambda b, n: right_n_times(b, n) if n < 3 else (502, b"gone")) as server:
        done = run(*command, "--url", server.url)
    assert done.exit_code == 1
    assert "nobody was there any more" in done.output
    with fake_server(right_n_times) as server:
        done = run(*command, "--url", server.url)
    assert "3 rows answered now, 3 before" in done.output
    assert sorted(map(number_of, server.bodies)) == [3, 4, 5]


def test_only_accepted_responses_become_rows_unless_labelled(rows, tmp_path):
    def teacher(body, _):
        n = number_of(body)
        if n == 2:
            return 400, b"too long"
        cut = {"finish_reason": "length"} if n == 3 else {}
        answer = n if n != 4 else 99
        return 200, completion(f"So \\boxed{{{answer}}}", reasoning_content="Hm.", **cut)

    command = ["distill", tmp_path / "rows.parquet", "--out", tmp_path / "d.jsonl"]
    with fake_server(teacher) as server:
        done = run(*command, "--url", server.url)
        assert done.exit_code == 0, done.output
        assert "2 failed" in done.output
        accepted = list(read_parquet(tmp_path / "d.parquet", ColdStartSample))
        done = run(*command, "--url", server.url, "--keep-wrong")
    assert [row.id for row in accepted] == ["s/f#0:0", "s/f#1:0"]
    assert 5 not in map(number_of, server.bodies)
    why = {line["id"]: line["reason"] for line in read_jsonl(tmp_path / "d.jsonl.failed.jsonl")}
    assert why["s/f#5"] == "not asked: it has pictures, and the cold start is text only"
    assert accepted[1].response == "<think>\nHm.\n</think>\n\nSo \\boxed{1}"
    assert accepted[1].prompt == rows[1].prompt
    labelled = [row.id for row in distilled_rows(tmp_path / "d.jsonl", accepted_only=False)]
    assert "s/f#4:0:wrong" in labelled
    assert "s/f#3:0:truncated" in labelled


@pytest.mark.parametrize("out", ["rows.jsonl", "d.parquet", "./rows.parquet"])
def test_distilled_rows_are_not_written_over_the_questions_or_the_responses(
    rows, tmp_path, monkeypatch, out
):
    before = (tmp_path / "rows.parquet").read_bytes()
    monkeypatch.chdir(tmp_path)
    with fake_server(right_n_times) as server:
        done = run("distill", tmp_path / "rows.parquet", "--out", out, "--url", server.url)
    assert done.exit_code == 2
    assert "would be written over" in done.output
    assert not server.bodies
    assert (tmp_path / "rows.parquet").read_bytes() == before


def test_a_file_of_another_model_is_refused(rows, tmp_path):
    command = ["pass-rate", tmp_path / "rows.parquet", "--out", tmp_path / "r.jsonl", "--n", 4]
    with fake_server(right_n_times, ("a",)) as server:
        run(*command, "--url", server.url)
    with fake_server(right_n_times, ("b",)) as server:
        done = run(*command, "--url", server.url)
    assert done.exit_code == 1
    assert "model was 'a', is 'b'" in done.output


def test_a_picture_that_went_away_costs_its_row(rows, tmp_path):
    (tmp_path / "a.png").unlink()
    with fake_server(right_n_times) as server:
        done = run(
            "pass-rate",
            tmp_path / "rows.parquet",
            "--url",
            server.url,
            "--n",
            4,
            "--out",
            tmp_path / "r.jsonl",
        )
    assert "5 rows answered now, 0 before, 1 failed" in done.output
