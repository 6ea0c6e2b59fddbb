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
        "sources[4].columns: missing: 'answer'; there are question, answer, images",
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
        ("seed: 1", "sources: is missing"),
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
        "sources[0].weight: must be positive and finite, not inf",
        "sources[1].weight: must be positive and finite, not nan",
        "sources[2].root: 'hub:' names no data set; it must be hub:ORG/NAME",
        "sources[3].weight: must be positive and finite, not -1",
        "sources[4]: no setting 'rot'",
        "sources[5].root: 'hub: :config' names no data set",
        "seed: must not be negative, not -1",
        "filters.length.max_prompt_chars: must be at least 1",
        "strata[0].weights: must be finite and not negative: nan",
        *(["manifest"] if more else []),
    ):
        assert said in str(raised.value), said
