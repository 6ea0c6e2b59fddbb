"""Adapters in the hosts themselves: the examples, run with each host that a registry has."""

from __future__ import annotations

import pytest

from ovr_plugin.reward import Outcome, grade

pytestmark = pytest.mark.process
LEFT_OUT = None


@pytest.fixture(scope="module")
def scores(toy_rows):
    """The toy rows' scores; a row that is left out counts as ``left_out``."""

    def expected(left_out):
        return [left_out if row.score is None else row.score for row in toy_rows.TOY_ROWS]

    return expected


def test_the_toy_rows_score_as_they_say(toy_rows):
    for row in toy_rows.TOY_ROWS:
        graded = grade(row.response, row.answer, {**row.facts, "truncated": row.cut_off})
        left_out = graded.outcome is Outcome.BAD_REFERENCE
        assert (LEFT_OUT if left_out else graded.score) == row.score, (row, graded)


@pytest.mark.parametrize(("host", "told"), [("trl", True), ("trl_0_27", False)])
def test_a_model_learns_in_trl(run_example, host, told):
    """GRPO and RLOO, with texts and with messages, in the present release and in 0.27."""
    trained = run_example("with_trl.py", *(["--chat"] if told else []), host=host)
    assert [run["trainer"] for run in trained] == ["grpo", "rloo"]
    for run in trained:
        first, last = run["first"], run["last"]
        rewarded = [step["rewards/ovr_correctness/mean"] for step in (first, last)]
        assert rewarded[0] < 0.2 < 0.8 < rewarded[1], run
        for step in (first, last):
            counted = {key: value for key, value in step.items() if key.startswith("ovr/")}
            assert bool(counted) == told, "0.27 has no log_metric"
            if not told:
                continue
            assert sum(counted.values()) == pytest.approx(1)
            assert counted["ovr/bad_reference"] > 0
            # TRL's own count of responses that do not end in an end token or padding.
            bad = counted["ovr/bad_reference"]
            cut_off = step["completions/clipped_ratio"]
            assert cut_off - bad <= counted["ovr/truncated"] <= cut_off


def test_ms_swift(run_example, scores):
    [run] = run_example("with_ms_swift.py", host="ms_swift")
    assert run == {"name": "CorrectnessORM", "scores": scores(LEFT_OUT)}


def test_openrlhf(run_example, scores):
    [run] = run_example("with_openrlhf.py", host="openrlhf")
    assert run["scores"] == scores(0.0)
    assert run["bad_reference"] == [float(score is LEFT_OUT) for score in scores(LEFT_OUT)]


def test_areal(run_example, scores):
    [run] = run_example("with_areal.py", host="areal")
    assert run["scores"] == scores(0.0)


def test_verifiers_legacy(run_example, scores):
    [run] = run_example("with_verifiers_legacy.py", host="verifiers_legacy")
    assert run["scores"] == run["metrics"] == scores(0.0)


def test_verifiers_v1(run_example, scores):
    [run] = run_example("with_verifiers_v1.py", host="verifiers_v1")
    assert run["scores"] == scores(0.0)
    assert run["bad_reference"] == [float(score is LEFT_OUT) for score in scores(LEFT_OUT)]


# -- no registry has these: the examples make the call that the host makes


def test_easyr1(run_example, scores):
    [run] = run_example("with_easyr1.py")
    assert run["type"] == "batch"
    assert run["scores"] == run["sequential"] == scores(0.0)
    assert run["bad_reference"] == [float(score is LEFT_OUT) for score in scores(LEFT_OUT)]


def test_mm_eureka(run_example, scores, toy_rows):
    [run] = run_example("with_mm_eureka.py")
    # It ends every response with an end token: those that were cut off cannot be told.
    told = [
        1.0 if row.cut_off else score
        for row, score in zip(toy_rows.TOY_ROWS, scores(0.0), strict=True)
    ]
    assert run["scores"] == run["accuracy_rewards"] == told
    assert sum(run["bad_reference"]) == 1


def test_slime(run_example, scores):
    [run] = run_example("with_slime.py")
    assert run["scores"] == run["group"] == scores(0.0)
    assert run["outcomes"][-3:] == ["truncated", "no_answer", "bad_reference"]


def test_open_r1(run_example, scores):
    [run] = run_example("with_open_r1.py")
    assert run == {"name": "accuracy_reward", "scores": scores(LEFT_OUT)}


def test_nemo_rl(run_example, scores, toy_rows):
    [run] = run_example("with_nemo_rl.py")
    assert run["actor"] == [True, True]
    assert run["scores"] == scores(0.0)
    metrics, n_rows = run["metrics"], len(toy_rows.TOY_ROWS)
    assert metrics["accuracy"] == pytest.approx(sum(scores(0.0)) / n_rows)
    assert metrics["fraction_of_samples_properly_ended"] == pytest.approx(1 - 1 / n_rows)
    assert metrics["ovr/bad_reference"] == pytest.approx(1 / n_rows)
    assert sum(value for key, value in metrics.items() if key.startswith("ovr/")) == 1
    assert run["answers"][0] == "42"
    assert run["answers"][-2] is None
