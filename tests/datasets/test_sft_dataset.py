"""The cold-start dataset against veRL's MultiTurnSFTDataset on the same conversations."""

from __future__ import annotations

import copy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ovr_plugin.data.files import read_json
from ovr_plugin.data.sample import ColdStartSample
from ovr_plugin.data.sft_dataset import OVRColdStartDataset
from ovr_plugin.data.toy import toy_cold_start_rows

USER = {"role": "user", "content": "What is 1 + 1?"}
CONVERSATIONS = [
    *toy_cold_start_rows(6),
    ColdStartSample("test", [{"role": "system", "content": "Be brief."}, USER], "\\boxed{2}"),
    ColdStartSample("test", [USER], "<think>\nOne and one.\n\n</think>\n\n2\u00e9\u4e2d\n"),
    ColdStartSample(
        "test", [USER, {"role": "assistant", "content": "2"}, USER], " Again: \\boxed{2}"
    ),
]


@pytest.fixture
def dataset(tokenizer, processor, config):
    def build(files, processor=processor, max_samples=-1, **keys):
        return OVRColdStartDataset(
            parquet_files=files,
            tokenizer=tokenizer,
            config=config(max_length=200, pad_mode="no_padding", **keys),
            processor=processor,
            max_samples=max_samples,
        )

    return build


@pytest.fixture
def stock(tokenizer, processor, tmp_path):
    """veRL's dataset over the same conversations, in its own layout."""
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    def build(pairs, processor=processor):
        conversations = [
            [*pair.prompt, {"role": "assistant", "content": pair.response}] for pair in pairs
        ]
        path = str(tmp_path / "messages.parquet")
        pq.write_table(pa.table({"messages": conversations}), path)
        settings = {"pad_mode": "no_padding", "max_length": 200}
        return MultiTurnSFTDataset(path, tokenizer, settings, processor)

    return build


@pytest.mark.parametrize("with_processor", [True, False])
def test_same_tokens_and_positions_as_verl_and_the_mask_but_for_the_last_newline(
    parquet, dataset, stock, tokenizer, processor, with_processor
):
    chosen = processor if with_processor else None
    ours = dataset(parquet(*CONVERSATIONS), processor=chosen)
    theirs = stock(CONVERSATIONS, processor=chosen)
    newline = tokenizer("\n")["input_ids"]
    for pair, our_row, their_row in zip(CONVERSATIONS, ours, theirs, strict=True):
        assert torch.equal(our_row["input_ids"], their_row["input_ids"])
        assert torch.equal(our_row["position_ids"], their_row["position_ids"])
        assert our_row["input_ids"][-1:].tolist() == newline
        their_mask = their_row["loss_mask"].clone()
        their_mask[-1] = 0  # they learn the newline after the end of the turn
        if len(pair.prompt) > 2:  # they also learn the assistant's earlier turns
            their_mask[: -our_row["loss_mask"].sum() - 1] = 0
        assert torch.equal(our_row["loss_mask"], their_mask)
        assert set(our_row) == set(their_row)
        assert our_row["loss_mask"].dtype == their_row["loss_mask"].dtype


def test_loss_is_on_the_response_and_its_end(parquet, dataset, tokenizer):
    for pair, row in zip(CONVERSATIONS, dataset(parquet(*CONVERSATIONS)), strict=True):
        learned = row["input_ids"][row["loss_mask"].bool()]
        assert tokenizer.decode(learned) == pair.response + "<|im_end|>"
        assert learned[-1] == tokenizer.eos_token_id


def test_prompt_is_what_the_rl_stage_will_show(
    parquet, dataset, tokenizer, processor, config, make
):
    from ovr_plugin.data.rl_dataset import OVRDataset

    pair = toy_cold_start_rows(1)[0]
    row = dataset(parquet(pair))[0]
    n_prompt = int(row["loss_mask"].argmax())
    rl_file = parquet(make(pair.prompt[0]["content"]), name="rl.parquet")
    rl = OVRDataset(rl_file, tokenizer, config(), processor)
    rendered = rl.prompt_length.render(rl[0]["raw_prompt"])
    assert row["input_ids"][:n_prompt].tolist() == tokenizer(rendered)["input_ids"]


def test_positions_have_four_rows_with_the_processor_and_none_without(parquet, dataset):
    file = parquet(*toy_cold_start_rows(1))
    length = len(dataset(file)[0]["input_ids"])
    assert dataset(file)[0]["position_ids"].shape == (4, length)
    assert dataset(file, processor=None)[0]["position_ids"].shape == (length,)


def test_batches_go_through_verls_collator(parquet, dataset):
    from verl.utils.dataset.dataset_utils import SFTTensorCollator

    data = dataset(parquet(*toy_cold_start_rows(4)))
    batch = SFTTensorCollator("no_padding")([data[item] for item in range(4)])
    lengths = [len(data[item]["input_ids"]) for item in range(4)]
    assert batch["input_ids"].offsets().diff().tolist() == lengths


def test_verl_loads_the_class_from_the_config(parquet, tokenizer, processor, config):
    from omegaconf import OmegaConf
    from verl.trainer.sft_trainer import create_sft_dataset

    name = {"path": "pkg://ovr_plugin.data.sft_dataset", "name": "OVRColdStartDataset"}
    settings = OmegaConf.create(config(custom_cls=name, max_length=200, truncation="error"))
    file = parquet(*toy_cold_start_rows(4))
    data = create_sft_dataset(file, settings, tokenizer, processor, max_samples=3)
    assert type(data).__name__ == "OVRColdStartDataset"
    assert len(data) == 3


@pytest.fixture
def faulty(parquet, pair):
    return parquet(
        pair(),
        pair(response="word " * 300),
        pair(response="stop<|im_end|>\n<|im_start|>user"),
        pair(content=" "),
        pair(response="The box is red. " * 25),
    )


def test_bad_rows_stop_the_start_of_a_run(faulty, dataset):
    with pytest.raises(ValueError, match="3 bad rows beside 2 good ones") as raised:
        dataset(faulty)
    message = str(raised.value)
    assert f"{faulty}, row 1: row too long: " in message
    assert "tokens, max_length is 200" in message
    assert f"{faulty}, row 2: control token in the text: <|im_end|>" in message
    assert f"{faulty}, row 3: empty text: message 0" in message


def test_bad_rows_can_be_left_out(faulty, dataset):
    data = dataset(faulty, bad_rows="report")
    assert len(data) == 2
    assert all(len(row["input_ids"]) <= 200 for row in (data[0], data[1]))
    assert [bad["row"] for bad in read_json(f"{faulty}.bad_rows.json")] == [1, 2, 3]


def test_longest_row_allowed_is_exactly_max_length(parquet, pair, tokenizer, processor, config):
    file = parquet(pair(response="The box is red. " * 25))
    settings = {"bad_rows": "raise"}
    free = OVRColdStartDataset(file, tokenizer, config(max_length=1000), processor)
    length = len(free[0]["input_ids"])
    assert len(OVRColdStartDataset(file, tokenizer, config(max_length=length), processor)) == 1
    with pytest.raises(ValueError, match=f"{length} tokens, max_length is {length - 1}"):
        OVRColdStartDataset(file, tokenizer, config(max_length=length - 1, **settings), processor)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pad_mode": "right"}, "data.pad_mode is 'right'"),
        ({"truncation": "right"}, "data.truncation is 'right'; a cut response never ends"),
    ],
)
def test_unsupported_settings(parquet, tokenizer, config, keys, message):
    with pytest.raises(ValueError, match=message):
        OVRColdStartDataset(parquet(*toy_cold_start_rows(1)), tokenizer, config(**keys))


def test_template_that_does_not_end_with_eos(parquet, tokenizer, config):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.eos_token = tokenizer.pad_token
    with pytest.raises(ValueError, match=r"EOS token '<\|endoftext\|>' but with '<\|im_end\|>"):
        OVRColdStartDataset(parquet(*toy_cold_start_rows(1)), tokenizer, config())


def test_works_without_a_config(parquet, tokenizer):
    assert len(OVRColdStartDataset(parquet(*toy_cold_start_rows(2)), tokenizer)) == 2
