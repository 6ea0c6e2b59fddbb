"""Lengths, references, measured bands, strata; and settings that are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from ovr_plugin.data.curation.filters import FILTERS, Length, Loss, PassRate, Reference, Responses
from ovr_plugin.data.curation.settings import read_settings
from ovr_plugin.data.curation.strata import Stratification
from ovr_plugin.data.files import write_jsonl


def test_over_long_prompts_and_responses(row, answered, tmp_path):
    predicate = Length(max_prompt_chars=200, max_response_chars=50).predicate(tmp_path)
    assert predicate(row("Short?")) is None
    assert predicate(row("x" * 200)).startswith("prompt too long: 2")
    assert predicate(answered("y" * 51)) == "response too long: 51 characters, over 50"


def test_a_reference_that_the_verifier_rejects(row, tmp_path):
    predicate = Reference().predicate(tmp_path)
    assert predicate(row("What?", r"\frac{1}{2}")) is None
    assert "does not accept the reference" in predicate(row("What?", "\\frac{1}{2"))


def test_pass_rates_keep_a_band(row, tmp_path):
    lines = [{"settings": {}}, *({"id": f"t#{n}", "pass_rate": n / 10} for n in range(11))]
    write_jsonl(tmp_path / "rates.jsonl", lines)
    predicate = PassRate("rates.jsonl").predicate(tmp_path)
    kept = [n for n in range(11) if predicate(row("?", id=f"t#{n}")) is None]
    assert kept == list(range(1, 10))
    assert predicate(row("?", id="t#0")) == "pass rate too low: 0, under 0.1"
    assert predicate(row("?", id="t#10")) == "pass rate too high: 1, over 0.9"
    assert predicate(row("?", id="new")) is None
    strict = PassRate("rates.jsonl", missing="drop").predicate(tmp_path)
    assert strict(row("?", id="new")) == "no pass rate: the row was not measured"


def test_abnormally_high_losses_go(answered, tmp_path):
    from dataclasses import replace

    from ovr_plugin.data.curation.row import Row

    losses = [0.5 + n / 1000 for n in range(98)] + [9.0, float("nan")]
    write_jsonl(
        tmp_path / "loss.jsonl", [{"id": f"t#{n}", "loss": x} for n, x in enumerate(losses)]
    )

    def dropped(settings):
        predicate = settings.predicate(tmp_path)
        sample = answered("It is \\boxed{2}").sample
        return [n for n in range(100) if predicate(Row(replace(sample, id=f"t#{n}")))]

    assert dropped(Loss("loss.jsonl", max=2.0)) == [98, 99]
    assert dropped(Loss("loss.jsonl", max_quantile=0.98)) == [97, 98, 99]


@pytest.mark.parametrize(
    "line", ["[1]", '{"id": 3, "pass_rate": 1}', '{"id": "a", "pass_rate": "x"}']
)
def test_a_file_of_something_else(tmp_path, line):
    (tmp_path / "x.jsonl").write_text('{"id": "a", "pass_rate": 0.5}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"line 2 does not hold id and pass_rate"):
        PassRate("x.jsonl").predicate(tmp_path)


def test_only_the_named_patterns(answered, tmp_path):
    predicate = Responses(["refusal"]).predicate(tmp_path)
    assert predicate(answered("<think> no end")) is None
    assert predicate(answered("Sorry, no."))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("length", {"max_prompt_chars": 0}, "max_prompt_chars: must be at least 1, not 0"),
        ("length", {"max_chars": 5}, "no setting 'max_chars'; there are max_prompt_chars"),
        ("length", {"max_prompt_chars": "many"}, "must be an integer, not 'many'"),
        ("length", {"max_prompt_chars": True}, "must be an integer, not True"),
        ("length", [1], "must be a mapping of settings"),
        ("pictures", {"min_side": 0}, "min_side: must be at least 1"),
        ("pictures", {"max_aspect_ratio": 0.5}, "max_aspect_ratio: must be at least 1"),
        ("pass_rate", {}, "file: is missing; it must be text"),
        ("pass_rate", {"file": "x", "min": 0.9, "max": 0.1}, "0 <= min <= max <= 1"),
        ("pass_rate", {"file": "x", "missing": "maybe"}, "missing: must be keep or drop"),
        ("loss", {"file": "x", "max_quantile": 0}, "max_quantile: must be over 0"),
        ("loss", {"file": "x", "max": "big"}, "max: must be a number or null, not 'big'"),
        ("responses", {"patterns": ["loops"]}, "patterns: no 'loops'; there are repetition"),
        ("responses", {"patterns": [1]}, "a list, each text"),
        ("contamination", {"against": [{"files": ["a"]}]}, r"against\[0\].question: is missing"),
        ("contamination", {"against": [], "n": 0}, "n: must be at least 1"),
        ("contamination", {"against": [], "share": 2}, "share: must lie between 0 and 1"),
    ],
)
def test_wrong_settings_are_named_with_their_place(name, given, message):
    errors: list[str] = []
    assert read_settings(FILTERS[name], given, f"filters.{name}", errors) is None
    assert len(errors) == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(errors[0])


def test_all_mistakes_are_collected():
    errors: list[str] = []
    read_settings(FILTERS["length"], {"a": 1, "max_prompt_chars": "x"}, "length", errors)
    assert len(errors) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"by": "mood", "weights": [1]}, "no 'mood'"),
        ({"by": "prompt_chars", "weights": [1, 1]}, "either edges or quantiles"),
        ({"by": "prompt_chars", "weights": [1, 1], "edges": [5], "quantiles": 2}, "either edges"),
        ({"by": "prompt_chars", "weights": [1], "edges": [5]}, "a list of 2, one per part"),
        ({"by": "prompt_chars", "weights": [1, 2, 3], "edges": [5, 2]}, "edges: must rise"),
        ({"by": "prompt_chars", "weights": [1, -1], "edges": [5]}, "from 0 to 1000: -1"),
        ({"by": "format", "weights": [1]}, "must be a mapping of names"),
        ({"by": "loss", "weights": [1, 1], "edges": [5]}, "file: is missing"),
    ],
)
def test_wrong_strata(given, message):
    errors: list[str] = []
    assert read_settings(Stratification, given, "strata[0]", errors) is None
    with pytest.raises(ValueError, match=message):
        raise ValueError(errors[0])


def test_quantiles_are_within_each_source():
    stratum = Stratification("prompt_chars", [1, 1], quantiles=2)
    values = np.array([1, 2, 3, 4, 100, 200, 300, 400, np.nan])
    sources = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert stratum.parts(values, sources).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, -1]


def test_edges_and_names(row, tmp_path):
    stratum = Stratification("pass_rate", [1, 2, 3], edges=[0.25, 0.75], file="r.jsonl")
    parts = stratum.parts(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.zeros(5))
    assert parts.tolist() == [0, 1, 1, 2, 2]
    assert stratum.part_names() == ["x < 0.25", "0.25 <= x < 0.75", "0.75 <= x", "unknown"]
    formats = Stratification("format", {"choice": 0.5, "number": 2})
    measure = formats.measure(tmp_path)
    rows = [row("?", "A", choices=["x", "y"]), row("?", answer_type="number"), row("?", "x")]
    numbers = np.array([formats.number(measure(each)) for each in rows])
    assert [formats.part_weights()[part] for part in formats.parts(numbers, numbers)] == [0.5, 2, 1]
