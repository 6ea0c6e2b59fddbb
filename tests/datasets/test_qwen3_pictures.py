"""Pictures of a Qwen3-VL, whose tokens are 32 pixels wide: counts, limits, prompts, packs."""

from __future__ import annotations

import asyncio

import pytest
from PIL import Image
from qwen_vl_utils.vision_process import smart_resize

from ovr_plugin.data.images import ImageTokens, PixelLimits
from ovr_plugin.data.rl_dataset import OVRDataset
from ovr_plugin.data.sft_dataset import OVRColdStartDataset
from ovr_plugin.data.toy import toy_texts
from ovr_plugin.models.families import QWEN3_VL
from ovr_plugin.models.tiny import make_processor, make_tokenizer

TOKEN = 32 * 32
# preprocessor_config.json of Qwen/Qwen3-VL-8B-Instruct
PUBLISHED = {"shortest_edge": 65536, "longest_edge": 16777216}
SIDES = (1, 15, 16, 31, 32, 33, 47, 48, 49, 63, 80, 100, 200, 333)
LIMITS = [{}, {"max_pixels": 9 * TOKEN}, {"min_pixels": 30 * TOKEN}, {"max_pixels": 24 * 784}]


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(toy_texts(64), 1024, QWEN3_VL)


@pytest.fixture(scope="module")
def processor(tokenizer):
    return make_processor(tokenizer, QWEN3_VL)


@pytest.fixture(params=["tiny", "published"])
def image_processor(request, processor):
    from transformers import Qwen2VLImageProcessor

    if request.param == "tiny":
        return processor.image_processor
    settings = {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen2VLImageProcessor(size=dict(PUBLISHED), **settings)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_counts_are_the_processors_for_every_size(image_processor, limits):
    counter, given = ImageTokens(image_processor), PixelLimits(**limits)
    assert counter.token_pixels == TOKEN
    met = set()
    for height in SIDES:
        for width in SIDES:
            if max(height, width) > 200 * min(height, width):
                continue
            n_tokens = counter._count(height, width, given)
            assert n_tokens <= counter.upper_bound(given)
            size = smart_resize(height, width, 32, given.min_pixels, given.max_pixels)
            if not all(size):
                assert n_tokens == 0
            elif size not in met:
                met.add(size)
                picture = Image.new("RGB", size[::-1])
                made = image_processor(images=[picture], return_tensors="pt")
                assert n_tokens == int(made["image_grid_thw"].prod()) // 4, (height, width)
    assert len(met) > 5


def test_a_rows_prompt_is_as_long_as_counted(make, png, parquet, config, tokenizer, processor):
    """As veRL's agent loop makes it: its builder, its patch size, our pictures."""
    from verl.utils.tokenizer.continuous_token import QwenVLContinuousTokenBuilder

    sizes = [(56, 56), (300, 170), (33, 1000), (640, 480)]
    samples = [make("<image>What?", images=[png(*size)]) for size in sizes]
    keys = {"max_prompt_length": 2000, "max_pixels": 40 * TOKEN}
    data = OVRDataset(parquet(*samples), tokenizer, config(**keys), processor)
    builder = QwenVLContinuousTokenBuilder(tokenizer, processor)
    for row, sample in zip(data, data.rows, strict=True):
        messages, patch_size = list(row["raw_prompt"]), processor.image_processor.patch_size
        images, videos, audios = asyncio.run(
            OVRDataset.process_multi_modal_info(messages, patch_size, None)
        )
        assert all(side % 32 == 0 for image in images for side in image.size)
        ids = builder.build_initial_tokens(messages, images=images, videos=videos, audios=audios)
        exceeds, limits = data.prompt_length.exceeds, data.pixel_limits
        assert exceeds(sample.prompt, sample.images, len(ids), limits) == 0
        assert exceeds(sample.prompt, sample.images, len(ids) - 1, limits) == len(ids)


def test_the_librarys_lower_limit_is_of_its_patches(make, parquet, config, tokenizer, processor):
    for max_pixels in (3136, 4095):  # four tokens of Qwen2.5-VL, not of Qwen3-VL
        with pytest.raises(ValueError, match=rf"data\.max_pixels {max_pixels} is below 4096"):
            OVRDataset(parquet(make()), tokenizer, config(max_pixels=max_pixels), processor)
    assert len(OVRDataset(parquet(make()), tokenizer, config(max_pixels=4096), processor)) == 1


def test_cold_start_rows_have_four_rows_of_positions(pair, parquet, config, tokenizer, processor):
    """Text, time, height, width, as the engine wants them of either family; no system turn."""
    data = OVRColdStartDataset(parquet(pair()), tokenizer, config(max_length=100), processor)
    assert data[0]["position_ids"].shape == (4, len(data[0]["input_ids"]))
    assert tokenizer.decode(data[0]["input_ids"]).startswith("<|im_start|>user")
