"""Manifests: every shipped one is read, and every mistake is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ovr_plugin.data.manifest import load_manifest

SHIPPED = Path(__file__).parents[2] / "examples" / "manifests"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_manifest_is_right_but_for_files_that_are_not_there(path):
    try:
        manifest = load_manifest(path)
    except ValueError as error:
        mistakes = str(error).splitlines()[1:]
        assert mistakes
        assert all(line.endswith("is not there") for line in mistakes)
    else:
        assert manifest.problems() == []


def test_all_mistakes_are_said_at_once(tmp_path):
    given = {
        "stage": "rl",
        "seed": "x",
        "sources": [
            {"reader": "orz", "rot": "a"},
            {"reader": "nothing", "root": "b", "limit": 0, "max_pixels": 784},
            {"reader": "columns", "root": "."},
            {"reader": "orz", "root": ".", "columns": {"question": "q"}},
            {"reader": "columns", "root": ".", "name": "own", "columns": {"question": "q"}},
        ],
        "filters": {"length": {"max_prompt_chars": 0}, "loss": {"file": "l"}},
        "strata": [{"by": "mood", "weights": [1]}],
    }
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump({**given, "seed": 0}))
    with pytest.raises(ValueError, match="mistakes") as raised:
        load_manifest(path)
    for said in (
        "sources[0]: no setting 'rot'",
        "no 'nothing'",
        "limit: must be at least 1",
        "sources[2].columns: is missing; it must name the table's columns",
        "sources[3].columns: only the reader 'columns' takes them",
        "sources[4].columns.answer: is missing; it must be text",
        "sources[1]: max_pixels 784 is below 3136",
        "filters.length.max_prompt_chars: must be at least 1",
        "filters.loss: is not for stage rl",
        "strata[0].by: no 'mood'",
    ):
        assert said in str(raised.value), said
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(ValueError, match="seed: must be an integer, not 'x'"):
        load_manifest(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [", "not readable YAML"),
        ("- 1", "must be a mapping of settings"),
        ("seed: 1", "sources: no source given"),
        ("sources: [{reader: orz, root: gone}]", "gone is not there"),
        ("sources: []", "no source given"),
    ],
)
def test_a_wrong_file(tmp_path, text, message):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_manifest(tmp_path / "m.yaml")


@pytest.mark.parametrize("more", ["", "sed: 1", "val_fraction: x", "5: 1"])
def test_values_that_no_run_can_use_are_said_with_the_others(tmp_path, more):
    (tmp_path / "m.yaml").write_text(
        f"""
sources:
- {{reader: orz, root: ., weight: .inf}}
- {{reader: orz, root: ., name: b, weight: .nan}}
- {{reader: orz, root: 'hub:', name: c}}
- {{reader: orz, root: ., name: d, weight: -1}}
- {{reader: orz, rot: .}}
- {{reader: orz, root: 'hub: :config', name: e}}
seed: -1
filters: {{length: {{max_prompt_chars: 0}}}}
strata: [{{by: modality, weights: {{text: .nan}}}}]
{more}
"""
    )
    with pytest.raises(ValueError, match="mistakes") as raised:
        load_manifest(tmp_path / "m.yaml")
    for said in (
        "sources[0].weight: must be positive and at most 1000, not inf",
        "sources[1].weight: must be positive and at most 1000, not nan",
        "sources[2].root: 'hub:' names no data set; it must be hub:ORG/NAME",
        "sources[3].weight: must be positive and at most 1000, not -1",
        "sources[4]: no setting 'rot'",
        "sources[5].root: 'hub: :config' names no data set",
        "seed: must not be negative, not -1",
        "filters.length.max_prompt_chars: must be at least 1",
        "strata[0].weights: must be from 0 to 1000: nan",
        *(["manifest"] if more else []),
    ):
        assert said in str(raised.value), said


def mistakes(tmp_path, text):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(ValueError, match="mistake") as raised:
        load_manifest(tmp_path / "m.yaml")
    return [line.strip().replace(f"{tmp_path}/", "") for line in str(raised.value).splitlines()[1:]]


def test_keys_given_twice_are_mistakes_and_aliases_are_not(tmp_path):
    (tmp_path / "a.jsonl").touch()
    text = """
        seed: 1
        sources:
          - &one {reader: orz, root: a.jsonl, weight: 2, name: b, weight: 3}
        filters: {length: {}, length: {}}
        sources:
          - {<<: &more {reader: orz, root: a.jsonl}, name: c}
          - {<<: *more, name: d}
    """
    assert mistakes(tmp_path, text) == [
        "line 4: 'weight' is given twice, first in line 4",
        "line 5: 'length' is given twice, first in line 5",
        "line 6: 'sources' is given twice, first in line 3",
    ]


def test_one_wrong_key_hides_no_other_mistake_in_its_source(tmp_path):
    """Of the same source, of others, of filters and strata; files that are not there as well."""
    (tmp_path / "own.jsonl").touch()
    found = mistakes(
        tmp_path,
        """
stage: rl
sources:
- {reader: orz, root: gone, wieght: 2, weight: -1, limit: 0, max_pixels: 5}
- {reader: 5, root: also_gone, limit: 0}
- {reader: nothing, root: 7, weight: heavy, n: 0}
- just text
- {reader: columns, root: own.jsonl, columns: {question: 5, answr: a, tolerance: x}, limit: 0}
- {logic: [mase], root: own.jsonl, n: 0, difficulty: 3}
filters:
  length: {max_prompt_chars: 0, max_words: 5}
  pass_rate: {file: rates.jsonl, missing: maybe, min: 2, nim: 1}
  contamination: {n: 0, against: [{files: [sets/*.jsonl], question: q}, {files: [own.jsonl]}]}
strata:
- {by: prompt_chars, weights: [1], edges: high, quantils: 2, file: strata.jsonl}
- 5
""",
    )
    expected = """
        sources[0]: no setting 'wieght'; there are reader, root,
        sources[0].weight: must be positive
        sources[0].limit: must be at least 1
        sources[0]: max_pixels 5 is below 3136
        sources[0]: gone is not there
        sources[1].reader: must be text or null, not 5
        sources[1].limit: must be at least 1
        sources[2].reader: no 'nothing'; there are
        sources[2].root: must be text or null, not 7
        sources[2].weight: must be a number, not 'heavy'
        sources[3]: must be a mapping of settings, not 'just text'
        sources[4].columns: no setting 'answr'; there are question, answer,
        sources[4].columns.question: must be text, not 5
        sources[4].columns.answer: is missing
        sources[4].columns.tolerance: must be a number or null
        sources[4].limit: must be at least 1
        sources[5]: root goes with a reader
        sources[5].logic: no 'mase'; there are
        sources[5].n: must be at least 1
        sources[5].difficulty: must be a list, each an integer, not 3
        filters.length: no setting 'max_words'
        filters.length.max_prompt_chars: must be at least 1
        filters.pass_rate: no setting 'nim'
        filters.pass_rate.missing: must be keep or drop
        filters.pass_rate: must have 0 <= min <= max
        filters.pass_rate.file: rates.jsonl is not there
        filters.contamination.n: must be at least 1
        filters.contamination.against[0].files: sets/*.jsonl is not there
        filters.contamination.against[1].question: is missing
        strata[0]: no setting 'quantils'
        strata[0].edges: must be a list, each a number, not 'high'
        strata[0].file: strata.jsonl is not there
        strata[1]: must be a mapping of settings, not 5
    """
    beginnings = [line.strip() for line in expected.strip().splitlines()]
    for line in beginnings:
        assert any(each.startswith(line) for each in found), line
    assert len(found) == len(beginnings), found


def test_a_wrong_stage_hides_nothing_else(tmp_path):
    found = mistakes(
        tmp_path,
        "{stage: sft, seed: -1, sources: [{reader: nothing, root: gone}, {reader: limo, root: .}], "
        "filters: {loss: {file: gone.jsonl, max_quantile: 0}}}",
    )
    assert len(found) == 6
    assert found[0] == "stage: must be rl or cold_start, not 'sft'"


def test_all_files_that_are_not_there_are_named_at_once(tmp_path):
    (tmp_path / "there.jsonl").touch()
    (tmp_path / "b.parquet").symlink_to("b.parquet")  # leads to itself
    found = mistakes(
        tmp_path,
        """
sources: [{reader: orz, root: a}, {parquet: b.parquet}, {reader: orz, root: ., name: c}]
filters:
  pass_rate: {file: c.jsonl}
  contamination:
    against:
    - {files: [there.jsonl, d/*.jsonl], question: q}
    - {files: [e.parquet], question: q}
strata: [{by: pass_rate, file: f.jsonl, weights: [1, 1], quantiles: 2}]
""",
    )
    assert found == [
        "sources[0]: a is not there",
        "sources[1]: b.parquet is not there",
        "filters.pass_rate.file: c.jsonl is not there",
        "strata[0].file: f.jsonl is not there",
        "filters.contamination.against[0].files: d/*.jsonl is not there",
        "filters.contamination.against[1].files: e.parquet is not there",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("name: ../../evil", ".name: must be letters, digits and ._+-, not '../../evil'"),
        ("name: a/b", ".name: must be letters"),
        ("name: .", ".name: must be letters"),
        ("name: .hidden", ".name: must be letters"),
        ('name: "a\\nb"', ".name: must be letters"),
        ("weight: 1.0e+9", ".weight: must be positive and at most 1000, not 1000000000.0"),
        ("columns: {data_source: a/b}", ".columns.data_source: must have no slash: 'a/b'"),
        ("columns: {tolerance: .nan}", ".columns.tolerance: must be finite and not negative"),
        ("columns: {tolerance: -1}", ".columns.tolerance: must be finite and not negative"),
    ],
)
def test_values_that_would_do_harm_are_refused(tmp_path, source, message):
    """A name is part of a folder's name; a slash ends it in ids; a weight fills the memory."""
    source = source.replace("{", "{question: q, answer: a, ")
    if not source.startswith("columns"):
        source += ", columns: {question: q, answer: a}"
    [found] = mistakes(tmp_path, f"sources: [{{reader: columns, root: ., {source}}}]")
    assert found.startswith(f"sources[0]{message}")


@pytest.mark.parametrize("pattern", ["a**b", ""])
def test_a_pattern_that_is_none(tmp_path, pattern):
    against = f"{{against: [{{files: ['{pattern}'], question: q}}]}}"
    [found] = mistakes(
        tmp_path, f"{{sources: [{{logic: [maze]}}], filters: {{contamination: {against}}}}}"
    )
    assert found.startswith("filters.contamination.against[0].files: ")
