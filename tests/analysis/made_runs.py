"""Runs as the trainers leave them, and what `ovr report` makes of them."""

from __future__ import annotations

import base64
import gzip
import json
import re

from typer.testing import CliRunner

from ovr_plugin.analysis.report.charts import charts_of
from ovr_plugin.analysis.report.rollouts import sample_rollouts
from ovr_plugin.analysis.report.runs import read_run
from ovr_plugin.cli import app
from ovr_plugin.data.files import write_jsonl
from ovr_plugin.trainer.rollouts import Rollout, rollout_metrics


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
    sampled = sample_rollouts(runs, 1000).rollouts
    return {chart.id: chart for chart in charts_of(runs, sampled)}, runs
