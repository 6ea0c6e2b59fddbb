"""Labelled answers made to break verifiers: hacks, odd formats, options, words, mathematics."""

from __future__ import annotations

from pathlib import Path

from report_cases import read_rows, report

from ovr_plugin.reward import Pool


def test_adversarial_answers(shared: Path) -> None:
    # The towers and megabytes of "robust" cost their time limit each; test_pool has such answers.
    cases = read_rows(shared / "cases" / "adversarial.jsonl.gz")
    rows = [row for row in cases if row["tag"] != "robust"]
    with Pool(n_workers=2, timeout_s=30) as pool:
        headline, conventions = report(rows, pool)
    assert headline.n_rows > 150
    assert headline.accuracy >= 0.96, headline.missed
    assert headline.false_positives == 0, headline.missed
    assert conventions.outcomes["error"] + headline.outcomes["error"] == 0


def test_options_of_real_outputs(shared: Path) -> None:
    """GPT-4o on MMMU-Pro, ten options; math-verify reads "A. 12" as 12."""
    with Pool(n_workers=2) as pool:
        headline, _ = report(read_rows(shared / "cases" / "mmmu_pro_gpt4o.jsonl.gz"), pool)
    assert headline.n_rows > 100
    assert headline.accuracy >= 0.98, headline.missed
