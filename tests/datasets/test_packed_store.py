"""Packs on disk and as the SFT trainer's items, against the rows they were made of."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data import packed_store
from ovr_plugin.data.cold_start_tokens import ColdStartTokens
from ovr_plugin.data.files import read_json
from ovr_plugin.data.packed_dataset import OVRPackedDataset
from ovr_plugin.data.packed_store import PackedStore, build_store
from ovr_plugin.data.sft_dataset import OVRColdStartDataset
from ovr_plugin.data.toy import toy_cold_start_rows
from ovr_plugin.models.tiny import make_tokenizer

CAPACITY = 200
PAIRS = list(toy_cold_start_rows(40))


@pytest.fixture
def tokens(tokenizer, processor):
    return ColdStartTokens(tokenizer, processor, CAPACITY)


@pytest.fixture
def store(parquet, tokens, tmp_path):
    build_store([parquet(*PAIRS)], tokens, tmp_path / "packs", rows_per_part=7)
    return tmp_path / "packs"


@pytest.fixture
def dataset(tokenizer, processor):
    def open_(folder, processor=processor, max_samples=-1, **config):
        return OVRPackedDataset(str(folder), tokenizer, config, processor, max_samples)

    return open_


def samples_of(item: dict[str, torch.Tensor]) -> list[tuple[list[int], list[int]]]:
    """The samples of a pack, split where the positions start again: (ids, mask)."""
    text = item["position_ids"][0] if item["position_ids"].dim() == 2 else item["position_ids"]
    cuts = [*(text == 0).nonzero().flatten().tolist(), len(text)]
    ids, mask = item["input_ids"].tolist(), item["loss_mask"].tolist()
    return [(ids[a:b], mask[a:b]) for a, b in pairwise(cuts)]


@pytest.mark.parametrize("with_processor", [True, False])
def test_packs_hold_exactly_the_samples_of_the_unpacked_dataset(
    parquet, tokenizer, processor, tmp_path, with_processor, config, dataset
):
    chosen = processor if with_processor else None
    path = parquet(*PAIRS)
    build_store(
        [path], ColdStartTokens(tokenizer, chosen, CAPACITY), tmp_path / "p", rows_per_part=9
    )
    packed = dataset(tmp_path / "p", chosen)
    flat = OVRColdStartDataset(path, tokenizer, config(max_length=CAPACITY), chosen)
    wanted = [(row["input_ids"].tolist(), row["loss_mask"].tolist()) for row in flat]
    found = []
    for item in packed:
        assert len(item["input_ids"]) <= CAPACITY
        assert item["position_ids"].shape[-1] == len(item["input_ids"]) == len(item["loss_mask"])
        found += samples_of(item)
    assert sorted(found) == sorted(wanted)
    assert len(packed) < len(wanted) / 2
    if with_processor:
        assert all(torch.equal(row, item["position_ids"][0]) for row in item["position_ids"])


def test_no_loss_across_a_border(store, dataset):
    """A sample's first token is its prompt's, so that no sample is asked to predict the next."""
    for item in dataset(store):
        for _, mask in samples_of(item):
            assert mask[0] == 0
            assert sum(mask) > 0


def test_one_pass_and_many_parts_give_the_same_packs(parquet, tokens, store, tmp_path):
    other = tmp_path / "one part"
    build_store([parquet(*PAIRS)], tokens, other)
    for name in ("packs.npy", "pack_starts.npy"):
        assert (other / name).read_bytes() == (store / name).read_bytes()
    many, one = PackedStore(store), PackedStore(other)
    assert (many.info["n_parts"], one.info["n_parts"]) == (6, 1)
    for number in range(len(one)):
        for a, b in zip(one[number], many[number], strict=True):
            assert np.array_equal(a.tokens, b.tokens)
            assert a.n_prompt == b.n_prompt


def test_interrupted_it_goes_on_and_ends_the_same(parquet, tokens, store, tmp_path, monkeypatch):
    path, folder = parquet(*PAIRS), tmp_path / "again"

    def killed(done: int) -> None:
        if done >= 21:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store([path], tokens, folder, rows_per_part=7, progress=killed)
    with pytest.raises(ValueError, match="a store that was not finished: make it with `ovr pack`"):
        PackedStore(folder)
    # A part that was cut off while it was written is made again.
    (folder / "parts" / "00002.bad.json").unlink()
    written = []
    monkeypatch.setattr(
        packed_store, "_write_part", lambda stem, *_: written.append(stem.name) or _write(stem, *_)
    )
    build_store([path], tokens, folder, rows_per_part=7)
    assert written == ["00002", "00003", "00004", "00005"]
    for file in sorted(store.rglob("*.npy")):
        assert file.read_bytes() == (folder / file.relative_to(store)).read_bytes()


_write = packed_store._write_part


def test_other_files_or_another_length_are_refused(parquet, tokens, store, tokenizer, processor):
    path = parquet(*PAIRS)
    with pytest.raises(ValueError, match="was begun with other max_length; choose another folder"):
        build_store([path], ColdStartTokens(tokenizer, processor, 300), store, rows_per_part=7)
    other = parquet(*PAIRS[:3], name="other.parquet")
    with pytest.raises(ValueError, match="was begun with other files, rows_per_part"):
        build_store([other], tokens, store)


def test_files_in_another_order_or_twice_are_refused(parquet, tokens, tmp_path):
    """What was done of one file would be taken for another's, and rows come twice or not at all."""
    a, b = (parquet(*PAIRS[i : i + 3], name=f"{i}.parquet") for i in (0, 3))

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store([a, b], tokens, tmp_path / "p", rows_per_part=3, progress=killed)
    with pytest.raises(ValueError, match="was begun with other order of files"):
        build_store([b, a], tokens, tmp_path / "p", rows_per_part=3)
    assert build_store([a, b], tokens, tmp_path / "p", rows_per_part=3)["n_samples"] == 6
    with pytest.raises(ValueError, match=r"given more than once: .*0\.parquet"):
        build_store([a, b, a], tokens, tmp_path / "q")


def test_bad_rows_are_named_and_left_out_only_when_told(parquet, tokens, tmp_path):
    bad = [
        replace(PAIRS[0], response=""),
        replace(PAIRS[1], response="stop <|im_end|> here"),
        replace(PAIRS[2], response="word " * CAPACITY),
    ]
    path = parquet(PAIRS[3], *bad, PAIRS[4])
    with pytest.raises(ValueError, match="3 of 5 rows cannot be used") as raised:
        build_store([path], tokens, tmp_path / "p", rows_per_part=2)
    for reason in ("empty text: response", "control token in the text", "row too long"):
        assert reason in str(raised.value)
    assert "--bad-rows report" in str(raised.value)
    info = build_store([path], tokens, tmp_path / "p", rows_per_part=2, bad_rows="report")
    assert (info["n_samples"], info["n_bad_rows"]) == (2, 3)
    listed = [
        (row["file"], row["row"])
        for part in sorted((tmp_path / "p" / "parts").glob("*.bad.json"))
        for row in read_json(part)
    ]
    assert listed == [(path, 1), (path, 2), (path, 3)]
    only_bad = parquet(*bad, name="bad.parquet")
    with pytest.raises(ValueError, match="no usable row for"):
        build_store([only_bad], tokens, tmp_path / "q", bad_rows="report")


def test_what_the_trainer_cannot_use_is_refused(store, dataset, tokenizer, processor, tmp_path):
    with pytest.raises(ValueError, match="holds no store of packed samples: make it with `ovr pa"):
        dataset(tmp_path)
    with pytest.raises(ValueError, match=r"data\.max_length is 100, packs hold up to 200"):
        dataset(store, max_length=100)
    with pytest.raises(ValueError, match=r"one folder made by `ovr pack`, not 2"):
        OVRPackedDataset([str(store), str(store)], tokenizer)
    with pytest.raises(ValueError, match="made with another tokenizer or chat template"):
        OVRPackedDataset(str(store), make_tokenizer(["other words"], 400), None, processor)


def test_verl_loads_the_class_from_the_config(store, tokenizer, processor):
    from omegaconf import OmegaConf
    from verl.trainer.sft_trainer import create_sft_dataset
    from verl.utils.dataset.dataset_utils import SFTTensorCollator

    name = {"path": "pkg://ovr_plugin.data.packed_dataset", "name": "OVRPackedDataset"}
    settings = OmegaConf.create({"custom_cls": name, "max_length": CAPACITY})
    data = create_sft_dataset(str(store), settings, tokenizer, processor, max_samples=3)
    assert type(data).__name__ == "OVRPackedDataset"
    batch = SFTTensorCollator("no_padding")([data[item] for item in range(3)])
    assert batch["input_ids"].offsets().diff().tolist() == [
        len(data[item]["input_ids"]) for item in range(3)
    ]
    assert batch["position_ids"].unbind()[0].shape[0] == 4


def test_max_samples_and_worker_processes(store, dataset):
    assert len(dataset(store, max_samples=2)) == 2
    assert len(dataset(store, max_samples=10**6)) == len(dataset(store))
    opened = dataset(store)
    _ = opened[0]  # maps the file
    copy = pickle.loads(pickle.dumps(opened))  # noqa: S301 - our own bytes, as a data loader sends
    assert len(pickle.dumps(opened)) < 10 * len(pickle.dumps(opened.store.packs)) + 2 * 10**5
    assert torch.equal(copy[0]["input_ids"], opened[0]["input_ids"])


def test_the_command(parquet, tmp_path, tiny_model_dir):
    out = tmp_path / "packs"
    arguments = ["pack", parquet(*PAIRS), "--model", str(tiny_model_dir), "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--max-length", "400"])
    assert done.exit_code == 0, done.output
    info = read_json(out / "store.json")
    assert done.stdout.startswith(f"40 samples, {info['n_tokens']:,} tokens in {info['n_packs']} ")
    assert f"data.train_files={out}" in done.stdout
    assert Path(out / "packs.npy").is_file()
    refused = CliRunner().invoke(app, [*arguments, "--bad-rows", "ignore"])
    assert refused.exit_code == 1
    assert "--bad-rows is 'ignore'; it must be raise or report" in refused.output
    again = CliRunner().invoke(app, [*arguments, "--max-length", "300"])
    assert "begun with other max_length" in again.output
