"""The RL dataset: what veRL's own dataset gives for the same file, and what it does better."""

from __future__ import annotations

import asyncio
import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ovr_plugin.data.files import read_json
from ovr_plugin.data.images import ImageRef, ImageTokens, PixelLimits
from ovr_plugin.data.rl_dataset import OVRDataset, load_images
from ovr_plugin.data.toy import toy_rows

PATCH_SIZE = 14


@pytest.fixture
def mixed(make, png, parquet):
    """Text rows and rows with one or two pictures, as paths and as bytes, in one file."""
    path, large = png(), png(300, 170)
    data = ImageRef(data=open(path.path, "rb").read())
    return parquet(
        make(index=0),
        make("<image>What colour is the box?", images=[path], index=1),
        make("Is <image> like <image>?", images=[large, data], index=2),
        make("<image>Which box?", images=[png(90, 60)], index=3),
        make("<image>How many?", images=[png(20, 20, "L")], index=4, choices=["1", "2"],
             ground_truth="B"),
        *(replace(row, min_pixels=None) for row in toy_rows(4)),  # veRL has no limits of a row
    )  # fmt: skip


@pytest.fixture
def dataset(tokenizer, processor, config):
    def build(files, **keys):
        max_samples = keys.pop("max_samples", -1)
        return OVRDataset(
            data_files=files,
            tokenizer=tokenizer,
            processor=processor,
            config=config(**keys),
            max_samples=max_samples,
        )

    return build


def pictures(cls, row, config=None):
    return asyncio.run(
        cls.process_multi_modal_info(
            list(row["raw_prompt"]), image_patch_size=PATCH_SIZE, config=config
        )
    )


def prompt_ids(builder, cls, row):
    """What the agent loop makes of a row: open the pictures, render, tokenize."""
    images, videos, audios = pictures(cls, row)
    return builder.build_initial_tokens(
        list(row["raw_prompt"]), images=images, videos=videos, audios=audios
    )


@pytest.fixture(scope="module")
def builder(tokenizer, processor):
    from verl.utils.tokenizer.continuous_token import QwenVLContinuousTokenBuilder

    return QwenVLContinuousTokenBuilder(tokenizer, processor)


@pytest.fixture
def stock(tokenizer, processor, config):
    """veRL's own dataset over the same file."""
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    def build(file, **keys):
        settings = OmegaConf.create(config(filter_overlong_prompts_workers=None, **keys))
        return RLHFDataset([file], tokenizer, settings, processor)

    return build


def test_stock_dataset_reads_the_same_file_and_gives_the_same_prompts(
    mixed, dataset, stock, builder
):
    from verl.utils.dataset.rl_dataset import RLHFDataset

    ours, theirs = dataset(mixed), stock(mixed)
    assert len(ours) == len(theirs) == 9
    for our_row, their_row in zip(ours, theirs, strict=True):
        our_images, _, _ = pictures(OVRDataset, our_row)
        their_images, _, _ = pictures(RLHFDataset, their_row)
        for our_image, their_image in zip(our_images or [], their_images or [], strict=True):
            assert np.array_equal(our_image, their_image)
        assert prompt_ids(builder, OVRDataset, our_row) == prompt_ids(
            builder, RLHFDataset, their_row
        )
        for key in ("data_source", "ability", "reward_model", "extra_info", "index"):
            assert our_row[key] == their_row[key]


def test_same_choice_of_max_samples_as_the_stock_dataset(parquet, dataset, stock, make):
    file = parquet(*(make(f"What is {n} + 1?", index=n) for n in range(50)))
    keys = {"shuffle": True, "seed": 7}
    ours = [row["index"] for row in dataset(file, max_samples=5, **keys)]
    theirs = stock(file, **keys)
    theirs.max_samples = 5
    theirs._read_files_and_tokenize()
    assert ours == [row["index"] for row in theirs]
    assert [row["index"] for row in dataset(file, max_samples=5)] == [0, 1, 2, 3, 4]


def test_lengths_are_those_of_the_agent_loop(mixed, dataset, builder):
    data = dataset(mixed, max_pixels=28 * 28 * 16)
    for item in range(len(data)):
        n_tokens = len(prompt_ids(builder, OVRDataset, data[item]))
        sample = data.rows[item]
        count, limits = data.prompt_length.exceeds, data.pixel_limits
        assert count(sample.prompt, sample.images, n_tokens, limits) == 0
        assert count(sample.prompt, sample.images, n_tokens - 1, limits) == n_tokens


SIZES = [(1, 1), (10, 5), (27, 29), (28, 28), (56, 55), (57, 300), (42, 42), (1, 200), (2000, 1500)]
THIN = [(999, 5), (14, 1400)]
SMALL = {"max_pixels": 28 * 28 * 9}
CASES = [(size, limits) for size in SIZES for limits in ({}, SMALL, {"min_pixels": 28 * 28 * 30})]


@pytest.mark.parametrize(("size", "limits"), [*CASES, *((size, {}) for size in THIN)])
def test_picture_tokens_are_the_processors(make, png, parquet, dataset, builder, size, limits):
    sample = make("<image>?", images=[png(*size)])
    data = dataset(parquet(sample), max_prompt_length=100_000, **limits)
    n_tokens = len(prompt_ids(builder, OVRDataset, data[0]))
    count, limits = data.prompt_length.exceeds, data.pixel_limits
    assert count(sample.prompt, sample.images, n_tokens, limits) == 0
    assert count(sample.prompt, sample.images, n_tokens - 1, limits) == n_tokens


@pytest.mark.parametrize(
    "given",
    [
        {"max_pixels": 28 * 28 * 10},  # alone, it is nothing to the processor
        {"min_pixels": 28 * 28 * 60},
        {"min_pixels": 28 * 28 * 12, "max_pixels": 28 * 28 * 20},
        {"size": {"shortest_edge": 28 * 28 * 12, "longest_edge": 28 * 28 * 20}},
    ],
)
@pytest.mark.parametrize("size", [(20, 20), (400, 300), (2000, 28)])
def test_picture_tokens_follow_the_processors_keywords(png, processor, given, size):
    tokens = ImageTokens(processor.image_processor, given)
    image = png(*size)
    content = [{"type": "image", "image": image.path}]
    opened = load_images([{"role": "user", "content": content}], PATCH_SIZE)
    (grid,) = processor.image_processor(opened, return_tensors="pt", **given)["image_grid_thw"]
    assert tokens.count(image, PixelLimits()) == int(grid.prod()) // 4
    assert tokens.upper_bound(PixelLimits()) >= int(grid.prod()) // 4


@pytest.mark.parametrize("size", THIN)
def test_picture_that_max_pixels_shrinks_to_nothing(make, png, parquet, dataset, size):
    file = parquet(make(), make("<image>?", images=[png(*size)]))
    with pytest.raises(ValueError, match="row 1: image too elongated for max_pixels: ") as raised:
        dataset(file, **SMALL)
    assert f"{size[0]} x {size[1]} pixels" in str(raised.value)
    # What would have happened in mid-run:
    row = dataset(file)[1]
    row["raw_prompt"][0]["content"][0].update(SMALL)
    with pytest.raises(ValueError, match="height and width must be > 0"):
        pictures(OVRDataset, row)


def test_transparent_picture_is_put_on_white(make, png, parquet, dataset):
    clear = png(56, 56, "RGBA")  # (128, 0, 0) at opacity 0
    (image,), _, _ = pictures(OVRDataset, dataset(parquet(make("<image>?", images=[clear])))[0])
    assert (np.asarray(image) == 255).all()


def test_pixel_limits_come_from_the_config_and_act(make, png, parquet, dataset):
    file = parquet(make("<image>?", images=[png(560, 560)]))
    small = dataset(file, max_pixels=28 * 28 * 4, max_prompt_length=1000)
    (item,) = (part for part in small[0]["raw_prompt"][0]["content"] if part["type"] == "image")
    assert item["max_pixels"] == 28 * 28 * 4
    assert "min_pixels" not in item
    (image,), _, _ = pictures(OVRDataset, small[0])
    assert image.size == (56, 56)


@pytest.mark.parametrize("limits", [{"min_pixels": 100, "max_pixels": 99}, {"max_pixels": 0}])
def test_impossible_pixel_limits(make, parquet, dataset, limits):
    with pytest.raises(ValueError, match=r"data\.m.*(leave no picture|must be a positive)"):
        dataset(parquet(make()), **limits)


def test_rows_carry_references_not_pixels(mixed, dataset):
    data = dataset(mixed)
    for row in data:
        assert "prompt" not in row
        assert "images" not in row
    items = [
        part["image"]
        for row in data
        for message in row["raw_prompt"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image"
    ]
    assert {type(item) for item in items} == {str, bytes}


def test_row_of_a_path_is_small_however_large_the_picture(make, png, parquet, dataset):
    file = parquet(make("<image>?", images=[png(1500, 1500)]))
    assert len(pickle.dumps(dataset(file, max_prompt_length=5000)[0])) < 2000


def test_pictures_are_not_decoded_before_their_use(mixed, dataset, monkeypatch):
    def fail(*arguments, **keywords):
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    data = dataset(mixed)
    rows = [data[item] for item in range(len(data))]
    with pytest.raises(AssertionError, match="decoded"):
        pictures(OVRDataset, rows[1])


def test_text_rows_have_no_pictures(make, parquet, dataset):
    row = dataset(parquet(make()))[0]
    assert row["raw_prompt"] == [{"role": "user", "content": "What is 1 + 1?"}]
    assert pictures(OVRDataset, row) == (None, None, None)


def test_batches_go_through_verls_collation(mixed, dataset):
    from verl.utils.dataset.rl_dataset import collate_fn
    from verl.utils.tensordict_utils import get_tensordict

    data = dataset(mixed)
    batch = get_tensordict(collate_fn([data[item] for item in range(len(data))]))
    assert len(batch) == 9
    assert list(batch["index"])[:5] == [0, 1, 2, 3, 4]
    assert batch["dummy_tensor"].shape == (9, 1)


def test_verl_loads_the_class_from_the_config(mixed, tokenizer, processor, config):
    from omegaconf import OmegaConf
    from verl.trainer.ppo.utils import create_rl_dataset

    name = {"path": "pkg://ovr_plugin.data.rl_dataset", "name": "OVRDataset"}
    settings = OmegaConf.create(config(custom_cls=name))
    data = create_rl_dataset(OmegaConf.create([mixed]), settings, tokenizer, processor)
    assert type(data).__name__ == "OVRDataset"
    assert len(data) == 9


def test_several_files_and_a_home_folder(make, parquet, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    parquet(make(index=1), name="a.parquet")
    parquet(make(index=2), name="b.parquet")
    data = dataset(["~/a.parquet", str(tmp_path / "b.parquet")])
    assert [row["index"] for row in data] == [1, 2]


@pytest.fixture
def faulty(make, png, parquet, tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    return parquet(
        make(index=0),
        make("<image>?", index=1),
        make("<image>?", images=[ImageRef(path=str(tmp_path / "broken.png"))], index=2),
        make("word " * 300, index=3),
        make("<image>?", images=[png(560, 560)], index=4),
        make("What is <|image_pad|>?", index=5),
        make(ground_truth="", index=6),
        make(index=7),
    )


REASONS = [
    (1, "placeholders and images differ: 1 <image>, 0 images"),
    (2, "unreadable image: "),
    (3, "prompt too long: "),
    (4, "prompt too long: 2"),
    (5, "control token in the text: <|image_pad|>"),
    (6, "no reference answer"),
]


def test_all_bad_rows_are_reported_at_once(faulty, dataset):
    with pytest.raises(ValueError, match="6 bad rows beside 2 good ones") as raised:
        dataset(faulty)
    message = str(raised.value)
    for row, reason in REASONS:
        assert f"{faulty}, row {row}: {reason}" in message
    assert "data.bad_rows=report" in message
    assert f"{faulty}.bad_rows.json" in message


def test_bad_rows_can_be_left_out(faulty, dataset, caplog):
    data = dataset(faulty, bad_rows="report")
    assert [row["index"] for row in data] == [0, 7]
    reported = read_json(f"{faulty}.bad_rows.json")
    assert [(bad["file"], bad["row"]) for bad in reported] == [(faulty, row) for row, _ in REASONS]
    for bad, (_, reason) in zip(reported, REASONS, strict=True):
        assert bad["reason"].startswith(reason)
    assert "6 bad rows beside 2 good ones" in caplog.text


def test_long_list_of_bad_rows_is_cut_in_the_message_only(make, parquet, dataset):
    file = parquet(make(), *(make(ground_truth="") for _ in range(15)))
    with pytest.raises(ValueError, match=r"\.\.\. and 5 more"):
        dataset(file)
    assert len(read_json(f"{file}.bad_rows.json")) == 15


def test_report_that_cannot_be_written_does_not_stop_the_run(
    make, parquet, dataset, caplog, monkeypatch
):
    file = parquet(make(), make(ground_truth=""))

    def read_only(path, data):
        raise PermissionError("read-only file system")

    monkeypatch.setattr("ovr_plugin.data.checked.write_json", read_only)
    assert len(dataset(file, bad_rows="report")) == 1
    assert "could not be written: read-only file system" in caplog.text
    assert "no reference answer" in caplog.text


def test_no_good_row_at_all(make, parquet, dataset):
    with pytest.raises(ValueError, match=r"no usable row in .*data\.parquet"):
        dataset(parquet(make(ground_truth="")), bad_rows="report")


def test_unknown_policy(make, parquet, dataset):
    with pytest.raises(
        ValueError, match=r"data\.bad_rows is 'drop'; it must be one of raise, report"
    ):
        dataset(parquet(make()), bad_rows="drop")


@pytest.mark.parametrize("files", [None, []])
def test_no_file(dataset, files):
    with pytest.raises(ValueError, match="no data file is given"):
        dataset(files)


def test_images_without_a_processor(make, png, parquet, tokenizer, config):
    file = parquet(make("<image>?", images=[png()]))
    with pytest.raises(ValueError, match="the model has no processor"):
        OVRDataset(file, tokenizer, config(bad_rows="report"))
    text = parquet(make(), name="text.parquet")
    assert len(OVRDataset(text, tokenizer, config())) == 1


def test_long_text_of_few_tokens_is_counted_not_guessed(parquet, dataset, make):
    text = "What colour is the box? " * 30
    sample = make(text)
    data = dataset(parquet(sample), max_prompt_length=256)
    assert len(text) > 256
    assert data.prompt_length.upper_bound(sample.prompt) > 256
    assert data.prompt_length.text_tokens(sample.prompt) <= 256


@pytest.mark.parametrize(
    "text",
    ["plain", "\u0958" * 50, "\u00e9\u4e2d" * 40, "e\u0301" * 40, "\U0001f600 \n\t" * 20, "\ufb1d"],
)
def test_bytes_bound_the_tokens(make, parquet, dataset, text):
    length = dataset(parquet(make())).prompt_length
    prompt = [{"role": "user", "content": text}]
    assert length.text_tokens(prompt) <= length.upper_bound(prompt)


def loader(data, n_workers):
    from torchdata.stateful_dataloader import StatefulDataLoader
    from torchdata.stateful_dataloader.sampler import RandomSampler

    generator = torch.Generator()
    generator.manual_seed(1)
    return StatefulDataLoader(
        data,
        batch_size=4,
        num_workers=n_workers,
        collate_fn=lambda rows: [row["index"] for row in rows],
        sampler=RandomSampler(data, generator=generator),
    )


@pytest.mark.parametrize("n_workers", [0, 1])
def test_resumed_pass_continues_where_it_stopped(make, parquet, dataset, n_workers):
    file = parquet(*(make(f"What is {n} + 1?", index=n) for n in range(24)))
    first = loader(dataset(file), n_workers)
    batches = iter(first)
    seen = [next(batches) for _ in range(3)]
    state = first.state_dict()
    rest = list(batches)

    resumed = loader(dataset(file), n_workers)
    resumed.load_state_dict(state)
    assert list(resumed) == rest
    assert sorted(index for batch in seen + rest for index in batch) == list(range(24))


def test_resuming_on_other_rows_is_refused(make, parquet, dataset):
    rows = [make(f"What is {n} + 1?", index=n) for n in range(24)]
    first = loader(dataset(parquet(*rows)), 0)
    next(iter(first))
    state = first.state_dict()
    rows[5] = make("What is 100 + 1?", index=5)
    changed = loader(dataset(parquet(*rows, name="changed.parquet")), 0)
    changed.load_state_dict(state)
    with pytest.raises(ValueError, match="are not those of the checkpoint"):
        next(iter(changed))


def test_resume_hook_and_pickling_keep_the_rows(mixed, dataset):
    data = dataset(mixed)
    before = [data[item]["raw_prompt"] for item in range(len(data))]
    data.resume_dataset_state()
    assert [data[item]["raw_prompt"] for item in range(len(data))] == before
    copy = pickle.loads(pickle.dumps(data))  # noqa: S301
    assert [copy[item]["raw_prompt"] for item in range(len(copy))] == before


def test_module_does_not_import_verl(run_python):
    code = "import ovr_plugin.data.rl_dataset, sys; assert 'verl' not in sys.modules"
    result = run_python(code, VERL_USE_EXTERNAL_PLUGINS="none")
    assert result.returncode == 0, result.stderr


def test_corrupt_pixels_raise_when_the_picture_is_used(make, parquet, dataset):
    buffer = io.BytesIO()
    Image.effect_noise((80, 80), 50).save(buffer, "PNG")
    cut = ImageRef(data=buffer.getvalue()[:2000])
    row = dataset(parquet(make("<image>?", images=[cut])))[0]
    with pytest.raises(OSError, match="truncated"):
        pictures(OVRDataset, row)
