"""A Qwen2.5-VL of a few million parameters, made on the spot: texts in, a checkpoint folder out.

The folder holds what a hub download of Qwen2.5-VL holds (weights, configs, tokenizer, processor,
chat template), with the same classes, special tokens and attention layout, so that the trainer,
vLLM and the plugin take it for the real thing. The vocabulary is a byte-level BPE learned from the
caller's texts: every string can be encoded, and the words of the task take about one token each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovr_plugin.data.files import write_json

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLProcessor, Qwen2Tokenizer

PADDING, END_OF_TURN = "<|endoftext|>", "<|im_end|>"
# Qwen2.5's special tokens, in its order.
SPECIAL_TOKENS = (
    PADDING,
    "<|im_start|>",
    END_OF_TURN,
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
DEFAULT_SYSTEM = "You are a helpful assistant."
# Renders as Qwen2.5-VL's template does: a default system turn, one marker per image or video.
CHAT_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{ '<|im_start|>system\n" + DEFAULT_SYSTEM + "<|im_end|>\n' }}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif part['type'] == 'video' -%}<|vision_start|><|video_pad|><|vision_end|>"
    "{%- elif 'text' in part -%}{{ part['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{ '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
MAX_POSITION_EMBEDDINGS = 4096
PATCH_SIZE = 14


def make_tiny(
    path: str | Path, texts: Iterable[str], seed: int = 0, vocab_size: int = 1024
) -> Path:
    """Make a random tiny Qwen2.5-VL whose tokenizer was learned from ``texts``.

    Args:
        path: folder to write; made if missing.
        texts: what the tokenizer is trained on; the order does not matter, the content does.
        seed: of the weights.
        vocab_size: upper bound of the BPE vocabulary, special tokens not counted.

    Returns:
        The folder: weights in float32, tokenizer, processor and generation config.
    """
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(texts, vocab_size)
    config = make_config(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.save_pretrained(path)
    make_processor(tokenizer).save_pretrained(path)
    _write_generation_config(path, tokenizer)
    return path


def make_tokenizer(texts: Iterable[str], vocab_size: int) -> Qwen2Tokenizer:
    """Train a byte-level BPE with Qwen2.5's pre-tokeniser and special tokens on ``texts``."""
    from tokenizers import pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    # Empty, it has Qwen's normaliser and pre-tokeniser, so that training splits as encoding will.
    backend = Qwen2Tokenizer(vocab={}, merges=[]).backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(sorted(set(texts)), trainer)
    trained = json.loads(backend.to_str())["model"]
    merges: Any = [tuple(merge) for merge in trained["merges"]]
    return Qwen2Tokenizer(
        vocab=trained["vocab"],
        merges=merges,
        eos_token=END_OF_TURN,
        pad_token=PADDING,
        additional_special_tokens=list(SPECIAL_TOKENS),
        model_max_length=MAX_POSITION_EMBEDDINGS,
        chat_template=CHAT_TEMPLATE,
    )


def make_processor(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLProcessor:
    """Qwen2.5-VL's processor around ``tokenizer``: patches of 14, merged 2 x 2."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    merged = 2 * PATCH_SIZE
    sizes = {"shortest_edge": merged * merged, "longest_edge": 256 * merged * merged}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=sizes, patch_size=PATCH_SIZE),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=sizes, patch_size=PATCH_SIZE),
        chat_template=CHAT_TEMPLATE,
    )


def make_config(tokenizer: Any, **text: Any) -> Qwen2_5_VLConfig:
    """The 7B's layout at about 2M parameters; embeddings untied, as in the 7B."""
    from transformers import Qwen2_5_VLConfig

    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    hidden_size = 128
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),  # veRL masks what lies beyond in vLLM, not in training
            "hidden_size": hidden_size,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": MAX_POSITION_EMBEDDINGS,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
            },
            "bos_token_id": None,
            "eos_token_id": ids[END_OF_TURN],
            "pad_token_id": ids[PADDING],
            **text,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_heads": 4,
            "patch_size": PATCH_SIZE,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "out_hidden_size": hidden_size,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
        dtype="float32",
    )


def _write_generation_config(path: Path, tokenizer: Any) -> None:
    # Qwen2.5-VL ends a response at either token; the reward's truncation rule reads this list.
    eos = tokenizer.convert_tokens_to_ids([END_OF_TURN, PADDING])
    write_json(
        path / "generation_config.json",
        {"do_sample": True, "eos_token_id": eos, "pad_token_id": eos[1], "temperature": 1.0},
    )
