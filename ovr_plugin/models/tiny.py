"""A Qwen2.5-VL or Qwen3-VL of four million parameters, made on the spot: texts in, a folder out.

The folder holds what a hub download holds (weights, configs, tokenizer, processor,
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
from ovr_plugin.models.families import FAMILIES, QWEN2_5_VL, QWEN3_VL, Family

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

PADDING, END_OF_TURN = "<|endoftext|>", "<|im_end|>"
# Qwen2.5's special tokens, in its order; Qwen3-VL's are the same.
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
# Qwen2.5-VL's template begins so; Qwen3-VL's has no system turn of its own.
_SYSTEM_TURN = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{ '<|im_start|>system\n" + DEFAULT_SYSTEM + "<|im_end|>\n' }}"
    "{%- endif -%}"
)
# Renders as both templates do: one marker per image or video.
_TURNS = (
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
CHAT_TEMPLATES = {QWEN2_5_VL: _SYSTEM_TURN + _TURNS, QWEN3_VL: _TURNS}
MAX_POSITION_EMBEDDINGS = 4096
PATCH_SIZES = {QWEN2_5_VL: 14, QWEN3_VL: 16}
HIDDEN_SIZE = 128
DECODER = {
    "hidden_size": HIDDEN_SIZE,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": MAX_POSITION_EMBEDDINGS,
}
# Wider than the decoder: a wide layer turns further in a step of Adam, and it is the tower that RL
# has to teach. With 128 the slowest of three seeds took 140 iterations for less than it now learns
# in 100. Cheap: a picture of the quickstart is four patches beside sixty tokens.
TOWER = {"depth": 2, "hidden_size": 256, "intermediate_size": 512, "num_heads": 4}


def make_tiny(
    path: str | Path,
    texts: Iterable[str],
    seed: int = 0,
    vocab_size: int = 1024,
    model_type: str = QWEN2_5_VL.model_type,
) -> Path:
    """Make a random tiny model whose tokenizer was learned from ``texts``.

    Args:
        path: folder to write; made if missing.
        texts: what the tokenizer is trained on; the order does not matter, the content does.
        seed: of the weights.
        vocab_size: upper bound of the BPE vocabulary, special tokens not counted.
        model_type: ``qwen2_5_vl`` or ``qwen3_vl``.

    Returns:
        The folder: weights in float32, tokenizer, processor and generation config.
    """
    import torch

    family = FAMILIES[model_type]
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(texts, vocab_size, family)
    config = make_config(tokenizer, family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.transformers_class("ForConditionalGeneration")(config)
    model.save_pretrained(path)
    make_processor(tokenizer, family).save_pretrained(path)
    _write_generation_config(path, tokenizer)
    return path


def make_tokenizer(
    texts: Iterable[str], vocab_size: int, family: Family = QWEN2_5_VL
) -> Qwen2Tokenizer:
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
        chat_template=CHAT_TEMPLATES[family],
    )


def make_processor(tokenizer: Qwen2Tokenizer, family: Family = QWEN2_5_VL) -> Any:
    """The family's processor around ``tokenizer``: patches of 14 or 16, merged 2 x 2."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLVideoProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    patch_size = PATCH_SIZES[family]
    merged = 2 * patch_size
    sizes = {"shortest_edge": merged * merged, "longest_edge": 256 * merged * merged}
    normal = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3} if family is QWEN3_VL else {}
    video_processor = Qwen3VLVideoProcessor if family is QWEN3_VL else Qwen2VLVideoProcessor
    return family.transformers_class("Processor")(
        image_processor=Qwen2VLImageProcessor(size=sizes, patch_size=patch_size, **normal),
        tokenizer=tokenizer,
        video_processor=video_processor(size=sizes, patch_size=patch_size),
        chat_template=CHAT_TEMPLATES[family],
    )


def make_config(tokenizer: Any, family: Family = QWEN2_5_VL, **text: Any) -> Any:
    """The 7B's or 8B's layout at about 4M parameters; embeddings untied, as in both."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    interleaved = {"mrope_interleaved": True} if family is QWEN3_VL else {}
    return family.transformers_class("Config")(
        text_config={
            "vocab_size": len(tokenizer),  # veRL masks what lies beyond in vLLM, not in training
            **DECODER,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
                **interleaved,
            },
            "bos_token_id": None,
            "eos_token_id": ids[END_OF_TURN],
            "pad_token_id": ids[PADDING],
            **({"head_dim": 32} if family is QWEN3_VL else {}),
            **text,
        },
        vision_config={
            **TOWER,
            "patch_size": PATCH_SIZES[family],
            "out_hidden_size": HIDDEN_SIZE,
            **_vision_layers(family),
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
        dtype="float32",
    )


def _vision_layers(family: Family) -> dict[str, Any]:
    """What the tower's layers look at, and which of them the decoder's first layers see."""
    if family is QWEN3_VL:
        return {"num_position_embeddings": 256, "deepstack_visual_indexes": [0, 1]}
    return {"window_size": 112, "fullatt_block_indexes": [1]}


def _write_generation_config(path: Path, tokenizer: Any) -> None:
    # Qwen's models end a response at either token; the reward's truncation rule reads this list.
    eos = tokenizer.convert_tokens_to_ids([END_OF_TURN, PADDING])
    write_json(
        path / "generation_config.json",
        {"do_sample": True, "eos_token_id": eos, "pad_token_id": eos[1], "temperature": 1.0},
    )
