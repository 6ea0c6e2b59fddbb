"""Losses of rows under a model: against the model's own loss, and through interruptions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.cold_start_tokens import ColdStartTokens
from ovr_plugin.data.files import read_jsonl, write_parquet
from ovr_plugin.data.sample import ColdStartSample
from ovr_plugin.models import sample_loss
from ovr_plugin.models.sample_loss import LossModel, batches, score_files
from ovr_plugin.models.tiny import PADDING

ANSWERS = ["The box is red.", "Let me look again. " * 9, "red", "There are 2 red squares. " * 3]


def row(number: int, response: str) -> ColdStartSample:
    prompt = [{"role": "user", "content": "What colour is the box?" * (1 + number % 3)}]
    return ColdStartSample("toy", prompt, response, id=f"toy#{number}", index=number)


ROWS = [row(number, ANSWERS[number % 4] + " x" * number) for number in range(10)]


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return LossModel.load(str(tiny_model_dir), 256)


@pytest.fixture
def parquet(tmp_path):
    write_parquet(tmp_path / "a.parquet", ROWS[:6], ColdStartSample)
    bad = row(0, "<|im_end|>"), row(0, "far too long " * 400)
    write_parquet(tmp_path / "b.parquet", [*ROWS[6:], *bad], ColdStartSample)
    return [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]


def test_a_loss_is_that_of_the_model_alone_with_the_row(model, tiny_model_dir):
    """transformers' own loss, with labels on the response and the end of its turn."""
    reference = AutoModelForImageTextToText.from_pretrained(tiny_model_dir, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    expected = []
    for sample in ROWS:
        prompt = tokenizer.apply_chat_template(
            sample.prompt, tokenize=False, add_generation_prompt=True
        )
        n_prompt = len(tokenizer(prompt)["input_ids"])
        ids = tokenizer(prompt + sample.response + tokenizer.eos_token, return_tensors="pt")
        labels = ids["input_ids"].clone()
        labels[:, :n_prompt] = -100
        with torch.no_grad():
            expected.append(float(reference.eval()(**ids, labels=labels).loss))
    found = model.losses([model.tokens.encode(sample) for sample in ROWS])  # one padded batch
    assert found == pytest.approx(expected, rel=1e-4)
    assert len({round(loss, 3) for loss in expected}) > 5


def test_logits_in_pieces_give_the_same_loss(model, monkeypatch):
    rows = [model.tokens.encode(sample) for sample in ROWS[:3]]
    whole = model.losses(rows)
    monkeypatch.setattr(sample_loss, "LOGIT_TOKENS", 3)
    assert model.losses(rows) == pytest.approx(whole, rel=1e-5)


def test_batches_hold_every_row_once_within_the_budget(model):
    rows = list(enumerate(model.tokens.encode(sample) for sample in ROWS))
    for budget in (1, 100, 300, 10**6):
        made = list(batches(rows, budget))
        assert sorted(place for batch in made for place, _ in batch) == list(range(len(rows)))
        for batch in made:
            width = max(len(encoded.input_ids) for _, encoded in batch)
            assert len(batch) == 1 or width * len(batch) <= budget
    assert len(made) == 1


@pytest.mark.parametrize("stop_after", [0, 1, 3, 5])
def test_an_interrupted_scoring_goes_on(model, parquet, tmp_path, monkeypatch, stop_after):
    monkeypatch.setattr(sample_loss, "WINDOW", 2)
    out = tmp_path / "losses.jsonl"
    whole = tmp_path / "whole.jsonl"
    score_files(parquet, whole, model, "tiny", 200)

    def interrupt(n_done: int) -> None:
        if n_done > 2 * stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_files(parquet, out, model, "tiny", 200, interrupt)
    with out.open("a") as file:
        file.write('{"file": "a.par')  # killed while it wrote
    with pytest.warns(UserWarning, match="torn"):
        counts = score_files(parquet, out, model, "tiny", 200)
    assert counts["already"] == 2 * stop_after + 2
    assert list(read_jsonl(out)) == list(read_jsonl(whole))


def test_records_name_rows_and_problems(model, parquet, tmp_path):
    out = tmp_path / "losses.jsonl"
    assert score_files(parquet, out, model, "tiny", 200) == {
        "scored": 10,
        "problems": 2,
        "already": 0,
    }
    records = list(read_jsonl(out))
    assert [(record["file"], record["row"]) for record in records] == [
        *((parquet[0], number) for number in range(6)),
        *((parquet[1], number) for number in range(6)),
    ]
    assert [record["id"] for record in records[:10]] == [sample.id for sample in ROWS]
    alone = [model.losses([model.tokens.encode(sample)])[0] for sample in ROWS]
    assert [record["loss"] for record in records[:10]] == pytest.approx(alone, rel=1e-4)
    assert all(record["n_tokens"] > 1 for record in records[:10])
    assert "loss" not in records[10]
    assert "too long" in records[11]["problem"]


def test_results_of_other_settings_are_not_mixed(model, parquet, tmp_path):
    out = tmp_path / "losses.jsonl"
    score_files(parquet[:1], out, model, "tiny", 200)
    with pytest.raises(ValueError, match=r"other settings \(model 'tiny' -> 'large'; files"):
        score_files(parquet, out, model, "large", 200)
    (tmp_path / "losses.jsonl.settings.json").unlink()
    with pytest.raises(ValueError, match="which says what made it"):
        score_files(parquet, out, model, "tiny", 200)


def test_models_that_cap_their_logits_are_refused(tiny_model_dir, tmp_path):
    config = json.loads((tiny_model_dir / "config.json").read_text())
    config["text_config"]["final_logit_softcapping"] = 30.0
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="caps its logits"):
        LossModel.load(str(tmp_path), 256)


def test_on_the_command_line(parquet, tiny_model_dir, tmp_path):
    out = tmp_path / "losses.jsonl"
    arguments = ["loss", *parquet, "--model", str(tiny_model_dir), "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--max-length", "256"])
    assert done.exit_code == 0, done.output
    assert "10 rows scored, 2 that cannot be used, 0 there already" in done.output
    again = CliRunner().invoke(app, [*arguments, "--max-length", "256"])
    assert "0 rows scored, 0 that cannot be used, 12 there already" in again.output
    other = CliRunner().invoke(app, [*arguments, "--max-length", "128"])
    assert other.exit_code == 1
    assert "Not scored:" in other.output


@pytest.mark.gpu
def test_on_a_gpu_in_bfloat16(parquet, tiny_model_dir, tmp_path, model, gpu_env):
    out = tmp_path / "losses.jsonl"
    code = "import torch; assert torch.cuda.is_available(); import ovr_plugin.cli as cli; cli.app()"
    argv = ["loss", *parquet, "--model", str(tiny_model_dir), "--out", str(out)]
    command = [sys.executable, "-c", code, *argv, "--max-length", "256"]
    process = subprocess.run(command, env=gpu_env, capture_output=True, text=True, timeout=180)
    assert process.returncode == 0, process.stderr[-4000:]
    losses = [record["loss"] for record in read_jsonl(out) if "loss" in record]
    exact = model.losses([model.tokens.encode(sample) for sample in ROWS])
    worst = max(abs(loss / true - 1) for loss, true in zip(losses, exact, strict=True))
    print(f"losses differ by up to {worst:.3%} in bfloat16")
    assert 0 < worst < 2**-8


def test_a_base_model_scores_though_its_template_ends_otherwise(tiny_model_dir, tmp_path, model):
    """As Qwen2.5's base models: <|endoftext|> is EOS, and the template writes <|im_end|>."""
    base = tmp_path / "base"
    shutil.copytree(tiny_model_dir, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.eos_token = PADDING
    tokenizer.save_pretrained(base)
    with pytest.raises(ValueError, match="the model would never learn to stop"):
        ColdStartTokens(AutoTokenizer.from_pretrained(base))
    scored = LossModel.load(str(base), 256)
    encoded = scored.tokens.encode(ROWS[0])
    assert encoded.input_ids[-1] == tokenizer.eos_token_id
    assert (
        encoded.input_ids[:-1]
        == model.tokens.encode(ROWS[0]).input_ids[: len(encoded.input_ids) - 1]
    )
    [loss], [trained] = scored.losses([encoded]), model.losses([model.tokens.encode(ROWS[0])])
    assert loss == pytest.approx(trained, rel=0.2)
