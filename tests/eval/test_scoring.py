"""Official protocols on answers made up for them; the expected numbers are counted by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest

from ovr_plugin.data.sample import Sample
from ovr_plugin.eval.benchmarks import all_benchmarks
from ovr_plugin.eval.grading import Graded
from ovr_plugin.eval.paper_table import notes
from ovr_plugin.eval.results import result
from ovr_plugin.eval.scoring import Item, Scored, Scoring, says
from ovr_plugin.reward import grade


def scored(score: float, reference: str = "1", answer: str = "", **facts) -> Scored:
    scored.n = getattr(scored, "n", 0) + 1
    sample = Sample("test", [{"role": "user", "content": "?"}], reference, id=f"item{scored.n}")
    return Scored(Item(sample, facts), score, answer)


def test_accuracy_and_its_parts():
    scoring = all_benchmarks()["math500"].scoring
    answers = [scored(1, level="level 1"), scored(0, level="level 1"), scored(1, level="level 5")]
    found = scoring.metrics(answers)
    assert found == pytest.approx(
        {"accuracy": 200 / 3, "accuracy, level 1": 50, "accuracy, level 5": 100}
    )


def test_dynamath_counts_a_question_only_if_every_variant_is_right():
    scoring = all_benchmarks()["dynamath"].scoring
    answers = [scored(float(v != 3), question="a", variant=v) for v in range(10)]
    answers += [scored(1, question="b", variant=v) for v in range(10)]
    found = scoring.metrics(answers)
    assert found == pytest.approx({"average": 95, "worst case": 50})


def wemath(problem: str, multi: bool, *steps: bool) -> list[Scored]:
    facts = {"problem": problem, "n_steps": len(steps)}
    parts = [scored(float(s), step=str(i), **facts) for i, s in enumerate(steps, start=1)]
    return [*parts, scored(float(multi), step="multi", **facts)]


def test_wemath_every_outcome_of_a_problem_is_in_one_dimension():
    """All 8 + 16 outcomes, against the definitions of the paper of We-Math by counting."""
    outcomes = [*product([False, True], repeat=3), *product([False, True], repeat=4)]
    answers = [s for i, outcome in enumerate(outcomes) for s in wemath(str(i), *outcome)]
    strict = Counter(
        ("CM" if all(steps) else "RM") if multi else ("IG" if all(steps) else "IK")
        for multi, *steps in outcomes
    )
    loose = Counter("CM" if any(steps) else "RM" for multi, *steps in outcomes if multi)
    found = all_benchmarks()["wemath"].scoring.metrics(answers)
    n = len(outcomes)
    assert found["insufficient knowledge"] == pytest.approx(100 * strict["IK"] / n)
    assert found["inadequate generalization"] == pytest.approx(100 * strict["IG"] / n)
    assert found["complete mastery, strict"] == pytest.approx(100 * strict["CM"] / n)
    rote = strict["RM"] / (strict["RM"] + strict["CM"])
    assert found["rote memorization, strict"] == pytest.approx(100 * rote)
    assert found["complete mastery, loose"] == pytest.approx(100 * loose["CM"] / n)
    # VLMEvalKit's form of the score: all problems minus what is lost.
    for name, counts in (("strict", strict), ("loose", loose)):
        lost = 0.5 * strict["IG"] + counts["RM"] + strict["IK"]
        assert found[name] == pytest.approx(100 * (n - lost) / n)


def test_wemath_without_all_parts_of_a_problem_it_has_no_dimension():
    found = all_benchmarks()["wemath"].scoring.metrics(wemath("1", True, True, True)[:-1])
    assert found == {"accuracy, one step": 100.0}


def mme(task: str, picture: int, *scores: float) -> list[Scored]:
    return [scored(score, task=task, picture=picture) for score in scores]


def test_mme_all_right_is_2000_and_800():
    from ovr_plugin.eval.benchmarks.mme import COGNITION, PERCEPTION

    answers = [a for task in PERCEPTION + COGNITION for p in (1, 2) for a in mme(task, p, 1, 1)]
    found = all_benchmarks()["mme"].scoring.metrics(answers)
    assert found["perception"] == pytest.approx(2000)
    assert found["cognition"] == pytest.approx(800)
    # One wrong answer of four costs its task a quarter of accuracy and half of accuracy+.
    wrong = [scored(0.0, **answers[0].item.facts), *answers[1:]]
    assert all_benchmarks()["mme"].scoring.metrics(wrong)["perception"] == pytest.approx(1925)


def test_mme_without_all_tasks_has_no_total():
    found = all_benchmarks()["mme"].scoring.metrics(mme("color", 1, 1, 0))
    assert found == {"color, accuracy": 50.0, "color, accuracy+": 0.0}


def hallusion(figure: str, question: str, score: float, has_picture: bool = True) -> Scored:
    group = {"category": "VS", "subcategory": "map", "set": "1"}
    facts = {"figure": figure, "question": question, "has_picture": has_picture}
    return scored(score, **group, **facts)


def test_hallusionbench_groups():
    """Two figures x two questions, one answer wrong; and a text question, wrong too."""
    answers = [hallusion("1", "a", 1), hallusion("1", "b", 1)]
    answers += [hallusion("2", "a", 0), hallusion("2", "b", 1)]
    answers.append(hallusion("0", "b", 0, has_picture=False))
    found = all_benchmarks()["hallusionbench"].scoring.metrics(answers)
    assert found["aAcc"] == 75
    assert found["fAcc"] == 50
    assert found["qAcc"] == 50
    assert found["mean"] == pytest.approx((75 + 50 + 50) / 3)
    assert found["aAcc, text questions too"] == 60
    assert found["fAcc, text questions too"] == pytest.approx(100 / 3)
    assert found["qAcc, text questions too"] == 0


def test_pope_f1():
    """3 of 4 yes found, one no taken for yes, one answer neither: P = 3/4, R = 3/4."""
    yes = [scored(1, "yes", "yes")] * 3 + [scored(0, "yes", "No")]
    no = [scored(0, "no", "Yes."), scored(1, "no", "no"), scored(0, "no", "maybe"), scored(0, "no")]
    answers = [
        Scored(Item(a.item.sample, {"category": "random"}), a.score, a.answer) for a in yes + no
    ]
    found = Scoring(
        "F1", unit=lambda item: id(item), parts=all_benchmarks()["pope"].scoring.parts
    ).metrics(answers)
    assert found["precision"] == found["recall"] == found["F1"] == 75
    assert found["F1, random"] == 75
    assert found["accuracy"] == 50
    assert found["yes"] == 50


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("yes", True), ("Yes.", True), ("no", False), ("", False), ("x" * 5000, False), ("}{", False)],
)
def test_says(answer, expected):
    assert says(answer, "yes") is expected


def test_mmbench_is_right_only_under_every_rotation():
    scoring = all_benchmarks()["mmbench_en"].scoring
    answers = [scored(1, question="a"), scored(1, question="a"), scored(0, question="b")]
    assert scoring.metrics([*answers, scored(1, question="b")]) == {"accuracy": 50}


def missing(answer: Scored) -> Scored:
    return replace(answer, score=0.0, missing=True)


@pytest.mark.parametrize("i", range(10))
def test_a_group_that_lacks_an_answer_has_no_score_as_one(i):
    """It may have been wrong: counted by the others alone, a failing endpoint would score more."""
    scoring = all_benchmarks()["dynamath"].scoring
    known = [scored(1, question="b"), scored(0, question="c")]
    answers = [scored(1, question="a", variant=v) for v in range(10)]
    answers[i] = missing(answers[i])
    assert scoring.metrics([*answers, *known]) == pytest.approx(
        {"average": 200 / 3, "worst case": 50}
    )
    scoring = all_benchmarks()["mmbench_en"].scoring
    assert scoring.metrics([*answers, *known]) == {"accuracy": 50}
    scoring = all_benchmarks()["wemath"].scoring
    whole, part = wemath("1", False, True, True), wemath("2", True, True, True)
    part[i % 3] = missing(part[i % 3])
    assert scoring.metrics(whole + part)["strict"] == scoring.metrics(whole)["strict"] == 50
    scoring = all_benchmarks()["mme"].scoring
    half = [*mme("color", 1, 1), missing(*mme("color", 1, 1)), *mme("color", 2, 1, 0)]
    assert scoring.metrics(half) == {
        "color, accuracy": pytest.approx(200 / 3),
        "color, accuracy+": 0,
    }


def test_hallusionbench_counts_figures_and_pairs_only_if_every_answer_came():
    answers = [hallusion("1", "a", 1), hallusion("1", "b", 1)]
    answers += [missing(hallusion("2", "a", 0)), hallusion("2", "b", 0)]
    text = hallusion("0", "b", 1, has_picture=False)
    found = all_benchmarks()["hallusionbench"].scoring.metrics([*answers, missing(text)])
    assert found["aAcc"] == pytest.approx(200 / 3)
    assert found["fAcc"] == 100  # the first alone
    assert found["qAcc"] == 0  # b alone
    assert "qAcc, text questions too" not in found


def test_a_result_leaves_incomplete_groups_out_and_counts_them():
    benchmark = all_benchmarks()["dynamath"]
    items = [scored(1, question=q, variant=v).item for q in "abc" for v in range(3)]
    right, wrong = grade(r"\boxed{1}", "1"), grade(r"\boxed{2}", "1")
    graded = [
        Graded(item, sample, wrong if item.facts["question"] == "b" else right, 1, 0.1)
        for sample in (0, 1)
        for item in items
        if (item.facts["question"], item.facts["variant"]) != ("a", sample)
        and (item.facts["question"], sample) != ("c", 0)
    ]
    found = result(benchmark, graded, items, 2)
    assert (found["n_missing"], found["n_incomplete_groups"]) == (5, 3)
    assert found["metrics"]["worst case"]["value"] == pytest.approx((0 + 50) / 2)
    assert "3 groups that are scored as one lack an answer" in " ".join(notes([found]))


def test_mathverse_versions():
    from ovr_plugin.eval.benchmarks.mathverse import VERSIONS

    scoring = all_benchmarks()["mathverse_all"].scoring
    answers = [scored(float(i < 2), version=v, problem="1") for i, v in enumerate(VERSIONS)]
    assert scoring.metrics(answers)["mean of versions"] == pytest.approx(40)
    assert "mean of versions" not in scoring.metrics(answers[1:])


def test_a_sum_of_scores_that_lacks_one_is_not_defined_and_said_to_be():
    from ovr_plugin.eval.benchmarks.mathverse import VERSIONS

    benchmark = all_benchmarks()["mathverse_all"]
    items = [scored(1, version=version, problem="1").item for version in VERSIONS[:-1]]
    graded = [Graded(item, 0, grade(r"\boxed{1}", "1"), 1, 0.1) for item in items]
    found = result(benchmark, graded, items, 1)
    assert found["avg@1"] is None
    assert found["metrics"]["Text Lite"]["value"] == 100
    assert "mean of versions is not defined without Vision Only" in " ".join(notes([found]))


def test_mmmu_pro_is_the_mean_of_its_settings():
    scoring = all_benchmarks()["mmmu_pro"].scoring
    answers = [scored(1, setting="standard")] * 3 + [scored(0, setting="standard")]
    assert scoring.metrics([*answers, scored(0, setting="vision")])["mean of settings"] == 37.5
