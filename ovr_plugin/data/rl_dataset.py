"""The RL dataset for veRL's ``data.custom_cls``: parquet files in, rows for the agent loop out.

A row carries the chat messages with pictures by reference (path or encoded bytes) and their pixel
limits, the reference answer and ``extra_info``. A picture is opened only by the agent loop, in
`OVRDataset.process_multi_modal_info`. veRL copies every row once per sampled response, so neither
decoded pictures nor the raw prompt column travel in it (verl issue 7391). No veRL import: the same
class serves scripts and tests.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import Dataset

from ovr_plugin.data.checked import CheckedRows, file_list
from ovr_plugin.data.control_tokens import ControlTokens
from ovr_plugin.data.images import (
    TOKEN_PIXELS,
    ImageRef,
    ImageTokens,
    PixelLimits,
    decode_problem,
    open_image,
    size_of,
)
from ovr_plugin.data.mix import Mix, MixSampler
from ovr_plugin.data.prompt_length import PromptLength, n_bytes, with_image_parts
from ovr_plugin.data.replacement import MAX_BROKEN, Replacement
from ovr_plugin.data.sample import Sample, problems
from ovr_plugin.data.screen import plain_rows, sources_of

# veRL's own default when data.max_prompt_length is not set.
MAX_PROMPT_LENGTH = 1024
CHECK_IMAGES = ("start", "use")


class OVRDataset(Dataset):
    """Text and image prompts with their reference answers.

    All rows are checked at construction (see `CheckedRows`): prompts against ``max_prompt_length``
    with picture tokens counted, no control tokens in the text, and, with ``check_images: start``,
    every picture's header. With ``check_images: use`` a picture is opened, and decoded once for
    trial, when its row is used, and a broken row is replaced by another of its source (see
    `Replacement`): a large set starts at once. A picture whose tokens might matter for the length
    is opened at the start in either case.

    Args:
        data_files: parquet file or files with `ovr_plugin.data.schema.SCHEMA`.
        tokenizer: of the model.
        config: veRL's ``data`` section. Beyond veRL's own keys: ``min_pixels``, ``max_pixels``
            (of every picture whose row has
            none of its own; None leaves it to the processor), ``bad_rows`` (raise | report),
            ``check_images`` (start | use), ``max_broken_rows`` (of replaced ones, before the run
            stops) and ``mix`` (see `ovr_plugin.data.mix.Mix`).
        processor: of the model; None for a text model.
        max_samples: use no more rows than this; -1 for all.

    Raises:
        ValueError: bad rows (policy ``raise``), pictures without a processor, bad pixel limits.
    """

    def __init__(
        self,
        data_files: Any,
        tokenizer: Any,
        config: Any,
        processor: Any = None,
        max_samples: int = -1,
    ):
        self.data_files = file_list(data_files)
        self.config = config
        self.max_samples = max_samples
        self.max_prompt_length = int(config.get("max_prompt_length", MAX_PROMPT_LENGTH))
        self.has_processor = processor is not None
        image_tokens = self._image_tokens(processor)
        self.token_pixels = image_tokens.token_pixels if image_tokens else TOKEN_PIXELS
        self.pixel_limits = _pixel_limits(config, self.token_pixels)
        self.prompt_length = PromptLength(
            tokenizer,
            processor,
            image_tokens,
            config.get("apply_chat_template_kwargs"),
        )
        self.control_tokens = ControlTokens(tokenizer)
        self.check_images = str(config.get("check_images") or "start")
        if self.check_images not in CHECK_IMAGES:
            names = " or ".join(CHECK_IMAGES)
            raise ValueError(f"data.check_images is {self.check_images!r}; it must be {names}")
        self._read()

    def _image_tokens(self, processor: Any) -> ImageTokens | None:
        if processor is None:
            return None
        kwargs = self.config.get("mm_processor_kwargs")
        return ImageTokens(processor.image_processor, kwargs)

    def _read(self) -> None:
        self.rows = CheckedRows(
            self.data_files, Sample, self._problems, self.config, self.max_samples, self._screen
        )
        names, has_images = _concatenated(self.rows.rows.arrow_tables())
        self.sources, self.is_image = names[self.rows.kept], has_images[self.rows.kept]
        _, codes = np.unique(self.sources.astype(str), return_inverse=True)
        self.replacement = Replacement(
            codes * 2 + self.is_image,
            self._problems_in_use,
            self.rows.place,
            int(self.config.get("seed") or 0),
            int(self.config.get("max_broken_rows") or MAX_BROKEN),
        )

    def _screen(self, table: pa.Table) -> np.ndarray:
        return plain_rows(
            table,
            self.control_tokens.tokens,
            n_bytes(self.prompt_length.render([{"role": "user", "content": ""}])),
            self._most_image_tokens,
            self.max_prompt_length,
        )

    def _most_image_tokens(self, own: PixelLimits) -> int | None:
        """A bound for a picture of a row with these limits of its own; None: look at the row."""
        image_tokens, limits = self.prompt_length.image_tokens, own.over(self.pixel_limits)
        if self.check_images == "start" or image_tokens is None:
            return None
        if limits.problem(self.token_pixels):
            return None
        return image_tokens.upper_bound(limits)

    def _problems_in_use(self, item: int) -> list[str]:
        sample = self.rows[item]
        if not sample.images:
            return []
        reasons = self._problems(sample)
        return reasons or [reason for reason in map(decode_problem, sample.images) if reason]

    def mix_sampler(self) -> MixSampler | None:
        """The order of rows that ``data.mix`` asks for; None without it."""
        mix = self.config.get("mix")
        if not mix:
            return None
        return MixSampler(
            self.sources.tolist(),
            self.is_image.tolist(),
            int(self.config["train_batch_size"]),
            Mix.of(mix),
            int(self.config.get("seed") or 0),
        )

    def _problems(self, sample: Sample) -> list[str]:
        found = problems(sample)
        if found:
            return found
        if sample.images and not self.has_processor:
            raise ValueError(
                "the data has images but the model has no processor: its folder lacks the "
                "processor's files, or they could not be loaded (veRL then passes None)"
            )
        found = self.control_tokens.problems(sample.texts())
        limits = sample.pixel_limits.over(self.pixel_limits)
        if sample.images and (impossible := limits.problem(self.token_pixels)):
            return [*found, f"impossible pixel limits: with the run's, {impossible}"]
        found += self._vanishing(sample.images, limits)
        n_tokens = self.prompt_length.exceeds(
            sample.prompt, sample.images, self.max_prompt_length, limits
        )
        if n_tokens:
            limit = self.max_prompt_length
            found.append(f"prompt too long: {n_tokens} tokens, max_prompt_length is {limit}")
        return found

    def _vanishing(self, images: list[ImageRef], limits: PixelLimits) -> list[str]:
        counter = self.prompt_length.image_tokens
        sizes = [size_of(image) for image in images if counter and not counter.count(image, limits)]
        return [
            f"image too elongated for max_pixels: {width} x {height} pixels shrink to nothing"
            for height, width in sizes
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> dict[str, Any]:
        if self.check_images == "use":
            item = self.replacement.good_row(int(item))
        sample = self.rows[item]
        row = sample.to_row()
        return {
            "data_source": row["data_source"],
            "ability": row["ability"],
            "reward_model": row["reward_model"],
            "extra_info": row["extra_info"],
            "raw_prompt": with_image_parts(sample.prompt, self._image_items(sample)),
            "index": sample.index,
            # veRL's batch must hold at least one tensor.
            "dummy_tensor": torch.zeros(1, dtype=torch.uint8),
        }

    def _image_items(self, sample: Sample) -> list[dict[str, Any]]:
        limits = sample.pixel_limits.over(self.pixel_limits)
        return [
            {
                "type": "image",
                "image": image.path if image.data is None else image.data,
                **limits.as_dict(),
            }
            for image in sample.images
        ]

    @classmethod
    async def process_multi_modal_info(
        cls, messages: list[dict[str, Any]], image_patch_size: int, config: Any
    ) -> tuple[list[Any] | None, None, None]:
        """Open and resize the pictures of a row's ``raw_prompt``, as veRL's agent loop asks.

        Runs in a thread, so that the decoding does not hold up the other rollouts of the loop.

        Returns:
            (images, videos, audios): RGB ``PIL.Image``s in order, or None if there are none; the
            other two are always None.
        """
        loop = asyncio.get_running_loop()
        images = await loop.run_in_executor(None, load_images, messages, image_patch_size)
        return images or None, None, None

    def resume_dataset_state(self) -> None:
        """Read the files again; veRL's hook after a dataloader's state was restored."""
        self._read()

    def state_dict(self) -> dict[str, str]:
        """What the dataloader's checkpoint keeps of the dataset: a fingerprint of its rows."""
        return {"fingerprint": self.rows.fingerprint}

    def load_state_dict(self, state: dict[str, str]) -> None:
        """Refuse to resume on other rows: the sampler's position would mean other questions.

        Raises:
            ValueError: the rows are not those of the checkpoint.
        """
        if state.get("fingerprint") != self.rows.fingerprint:
            raise ValueError(
                f"the rows of {', '.join(self.data_files)} are not those of the checkpoint: resume "
                "with the data it was trained on, or remove data.pt from the checkpoint to start "
                "a new pass over the new data"
            )


def _concatenated(tables: list[pa.Table]) -> tuple[np.ndarray, np.ndarray]:
    """data_source and presence of pictures of all rows."""
    parts = [sources_of(table) for table in tables]
    names = np.array([name for names, _ in parts for name in names], dtype=object)
    return names, np.concatenate([has_images for _, has_images in parts])


def _pixel_limits(config: Any, token_pixels: int) -> PixelLimits:
    names = ("min_pixels", "max_pixels")
    given = {name: int(config.get(name)) for name in names if config.get(name) is not None}
    problem = PixelLimits(**given).problem(token_pixels)
    if problem:
        raise ValueError(f"data.{problem}")
    return PixelLimits(**given)


def load_images(messages: list[dict[str, Any]], image_patch_size: int) -> list[Any]:
    """Open the pictures of chat messages and resize them within their items' pixel limits."""
    from qwen_vl_utils.vision_process import fetch_image

    items = [
        part
        for message in messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image"
    ]
    images = []
    for item in items:
        with open_image(_reference(item["image"])) as opened:
            # fetch_image puts RGBA on white and ignores every other kind of transparency.
            hidden = opened.mode in ("LA", "PA") or "transparency" in opened.info
            image = opened.convert("RGBA") if hidden else opened
            images.append(fetch_image({**item, "image": image}, image_patch_size))
    return images


def _reference(image: str | bytes) -> ImageRef:
    return ImageRef(path=image) if isinstance(image, str) else ImageRef(data=image)
