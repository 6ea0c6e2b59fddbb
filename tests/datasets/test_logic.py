"""Generated puzzles: one answer each, found two ways; the same rows every time; good rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ovr_plugin.data.logic import FAMILIES, LEVELS, family_names, generate, logic_row, make_puzzle
from ovr_plugin.data.logic.puzzle import Family, Puzzle
from ovr_plugin.data.logic.road_labels import label_places
from ovr_plugin.data.prepare import Manifest, Source, prepare
from ovr_plugin.data.sample import problems
from ovr_plugin.reward import grade


def test_there_are_enough_families():
    assert len(family_names()) >= 10
    pictured = {name for name in FAMILIES if logic_row(name, 1, 0, 0).images}
    assert len(pictured) >= 3


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("level", [1, 3, 5])
def test_the_solver_finds_the_answer_and_no_other_at_nearly_every_first_try(name, level):
    family, n_agreed = FAMILIES[name], 0
    for seed in range(4):
        puzzle = family.make(np.random.default_rng(seed), level)
        answers = family.solve(puzzle.data)
        assert puzzle.answer in answers
        n_agreed += len(answers) == 1
    assert n_agreed >= 2


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_are_good_accepted_and_told_apart(name):
    rows = [logic_row(name, level, 7, number) for number in range(2) for level in LEVELS]
    for row in rows:
        assert problems(row, decode_images=True) == []
        assert (
            grade(f"\\boxed{{{row.ground_truth}}}", row.ground_truth, row.extra_info()).score == 1
        )
        assert grade("\\boxed{nobody}", row.ground_truth, row.extra_info()).score == 0
    assert len({row.id for row in rows}) == len(rows)
    contents = {
        (row.prompt[0]["content"], row.images[0].data if row.images else b"") for row in rows
    }
    assert len(contents) == len(rows)
    assert rows == [logic_row(name, level, 7, number) for number in range(2) for level in LEVELS]
    assert max(Counter(row.ground_truth for row in rows).values()) <= 8


def test_levels_go_in_turn_and_a_longer_list_begins_with_the_shorter():
    few = list(generate(["recurrence", "maze"], 3, [2, 4], seed=1))
    assert [row.id for row in few[:3]] == [
        f"logic/recurrence-{n}-1#{i}" for i, n in enumerate((2, 4, 2))
    ]
    more = list(generate(["recurrence"], 9, [2, 4], seed=1))
    assert more[:3] == few[:3]


def test_a_family_whose_solver_disagrees_is_a_mistake():
    def ambiguous(data):
        return {"1", "2"}

    family = Family("wrong", lambda rng, level: Puzzle("?", "1", {}), ambiguous)
    with pytest.raises(RuntimeError, match="wrong: no unique answer in 50 puzzles of level 1"):
        make_puzzle(family, 1, 0, 0)


def test_the_length_of_a_road_stands_on_that_road_alone():
    """Between a number's middle and any other road, town or number there is visible room."""
    rng = np.random.default_rng(3)
    n_maps = 0
    for _ in range(60):
        n = int(rng.integers(5, 10))
        towns = rng.uniform(20, 430, (n, 2))
        pairs = {(min(p), max(p)) for p in (rng.permutation(n)[:2].tolist() for _ in range(n + 2))}
        roads = sorted(pairs)
        places = label_places(towns, roads)
        if places is None:  # too crowded: such a map is not drawn
            continue
        n_maps += 1
        # Each road as the two thousand points that it is drawn with.
        along = np.linspace(0, 1, 2000)[:, None]
        lines = [towns[a] + along * (towns[b] - towns[a]) for a, b in roads]
        for own, place in enumerate(places):
            to_roads = [np.linalg.norm(line - place, axis=1).min() for line in lines]
            assert to_roads.pop(own) < 0.2
            assert min(to_roads) >= 12
            assert np.linalg.norm(towns - place, axis=1).min() >= 29
            to_numbers = np.linalg.norm(np.array(places) - place, axis=1)
            assert np.delete(to_numbers, own).min() >= 24
    assert n_maps > 5


def test_a_manifest_makes_them(tmp_path):
    manifest = Manifest([Source(logic=["recurrence", "colour_ring"], n=20)], val_fraction=0.1)
    report = prepare(manifest, tmp_path)
    assert report["sources"]["logic"]["read"] == 40
    assert report["sources"]["logic"]["good"] >= 36


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source(logic=["sudoku"]), "no 'sudoku'; there are all, knights_and_knaves"),
        (Source(logic=["all"], n=0), "n: must be at least 1"),
        (Source(logic=["all"], difficulty=[6]), "difficulty: must be levels from 1 to 5"),
    ],
)
def test_wrong_settings(tmp_path, source, message):
    with pytest.raises(ValueError, match=message):
        prepare(Manifest([source]), tmp_path)
