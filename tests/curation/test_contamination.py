"""Contamination: what is in an evaluation set is found, what only sounds like it is not."""

from __future__ import annotations

import pytest

from ovr_plugin.data.curation.contamination import EvaluationIndex, contaminated
from ovr_plugin.data.curation.filters import Against, Contamination, evaluation_rows
from ovr_plugin.data.files import write_json, write_jsonl

TRAINS = (
    "Two trains leave the same station at noon, one due north at $60$ km/h and the other due east "
    "at $80$ km/h. How many kilometres apart are they at three o'clock in the afternoon?"
)
DICE = (
    "Jane rolls three fair dice and multiplies the numbers. The probability that the product is "
    "even is $\\frac{m}{n}$, where m and n are relatively prime positive integers. Find $m+n$."
)
COINS = (
    "A coin is thrown until heads come up twice in a row, and the expected number of throws is "
    "$\\frac{m}{n}$, where m and n are relatively prime positive integers. Find $m+n$."
)


@pytest.fixture
def index(ask):
    return EvaluationIndex.of(
        [ask(TRAINS, id="eval#0"), ask(DICE, id="eval#1"), ask("Factor 91.", id="eval#2")]
    )


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (TRAINS, "eval#0"),
        (TRAINS.upper().replace("$", ""), "eval#0"),
        ("Here is a puzzle from a contest held last year.\n" + TRAINS + " Round down.", "eval#0"),
        (TRAINS.partition(".")[0] + ".", "eval#0"),
        ("factor $91$", "eval#2"),
    ],
)
def test_found(row, index, question, name):
    reason = contaminated(row(question), index, 0.5)
    assert reason
    assert reason.startswith("contaminated, text: ")
    assert reason.endswith(name)


@pytest.mark.parametrize(
    "question", [COINS, "Factor 93.", "Two trains leave at noon.", "", TRAINS[::-1]]
)
def test_not_found(row, index, question):
    assert contaminated(row(question), index, 0.5) is None


def test_share_zero_is_one_shared_ngram_as_open_r1_has_it(row, index):
    assert contaminated(row(COINS), index, 0.0)


def test_an_evaluation_picture_is_found_re_encoded(ask, row, diagram, encoded):
    evaluation = [ask("What is x?", "2", encoded(diagram(n)), id=f"eval#{n}") for n in range(5)]
    index = EvaluationIndex.of(evaluation)
    copied = encoded(diagram(3), "JPEG", quality=70)
    reason = contaminated(row("How large is the marked angle here?", "2", copied), index, 0.5)
    assert reason == "contaminated, picture: it is that of eval#3"
    assert contaminated(row("How large is it?", "2", encoded(diagram(9))), index, 0.5) is None


def test_plain_and_broken_pictures_are_no_contamination(ask, row, encoded):
    from PIL import Image

    from ovr_plugin.data.images import ImageRef

    white = encoded(Image.new("RGB", (100, 100), "white"))
    index = EvaluationIndex.of(
        [ask("What is x?", "2", white), ask("And y?", "2", ImageRef(data=b"x"))]
    )
    assert not len(index.bits)
    assert contaminated(row("How large is the angle?", "2", white), index, 0.5) is None


def test_no_evaluation_rows_find_nothing(row):
    assert contaminated(row(TRAINS), EvaluationIndex.of([]), 0.5) is None


def test_sets_are_read_by_columns_whatever_their_layout(tmp_path, diagram, row):
    (tmp_path / "sets" / "pics").mkdir(parents=True)
    diagram(4).save(tmp_path / "sets" / "pics" / "a.png")
    write_jsonl(
        tmp_path / "sets" / "one.jsonl", [{"problem": TRAINS, "image": "pics/a.png"}, {"x": 1}]
    )
    write_json(tmp_path / "sets" / "two.json", [{"problem": DICE, "image": "pics/gone.png"}])
    of = Against(["sets/*.json*"], "problem", "image")
    rows = list(evaluation_rows(of, tmp_path))
    assert [(each.id, len(each.images)) for each in rows] == [("one.jsonl#0", 1), ("two.json#0", 0)]
    predicate = Contamination([vars(of)]).predicate(tmp_path)
    assert predicate(row(DICE)).endswith("two.json#0")


def test_pictures_of_a_set_may_be_lists_below_another_column(tmp_path, diagram, row, encoded):
    diagram(4).save(tmp_path / "a.png")
    write_jsonl(tmp_path / "set.jsonl", [{"problem": DICE, "x": {"images": ["a.png", "a.png"]}}])
    predicate = Contamination(
        [{"files": ["set.jsonl"], "question": "problem", "image": "x.images"}]
    ).predicate(tmp_path)
    asked = row("How large is the angle?", "2", encoded(diagram(4)))
    assert predicate(asked) == "contaminated, picture: it is that of set.jsonl#0"


@pytest.mark.parametrize(
    ("column", "message"), [("imagee", "no row has one"), ("image", "not there: pics/a.png")]
)
def test_a_set_without_one_of_its_pictures_stops_the_run(tmp_path, column, message):
    write_jsonl(tmp_path / "set.jsonl", [{"problem": DICE, "image": "pics/a.png"}])
    of = {"files": ["set.jsonl"], "question": "problem", "image": column}
    with pytest.raises(ValueError, match=f"not one picture in {column!r}: .*{message}"):
        Contamination([of]).predicate(tmp_path)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        (["nothing/*.jsonl"], FileNotFoundError, "no file matches"),
        (["broken.jsonl"], ValueError, "not valid JSON"),
        (["other.jsonl"], ValueError, "no row has text in 'problem'"),
        (["note.txt"], ValueError, "no table"),
    ],
)
def test_a_set_that_cannot_be_read_stops_the_run(tmp_path, files, error, message):
    (tmp_path / "broken.jsonl").write_text("{")
    (tmp_path / "other.jsonl").write_text('{"question": "?"}\n')
    (tmp_path / "note.txt").write_text("?")
    with pytest.raises(error, match=message):
        Contamination([{"files": files, "question": "problem"}]).predicate(tmp_path)


def test_real_sets_do_not_flag_themselves_as_each_other(shared, ask):
    """MATH500 and AIME 1983-2023 share no problem, and each row of a set is found in itself."""
    raw = shared / "raw"
    math500 = list(evaluation_rows(Against(["math500/test.jsonl"], "problem"), raw))
    from ovr_plugin.data.curation.row import Row

    index = EvaluationIndex.of(math500)
    assert all(contaminated(Row(sample), index, 0.5) for sample in math500)
