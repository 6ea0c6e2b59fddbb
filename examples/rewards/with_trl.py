r"""Train a toy model with TRL until it answers right; rewarded by `CorrectnessReward`.

usage: python examples/rewards/with_trl.py [--trainers grpo rloo] [--chat] [--steps 30]

TRL has to be installed beside the plugin (seen with 1.16.0 and with 0.27.0). The model is made on
the spot: of its few words two are answers, so that a random one is right now and then and learns
within seconds on a CPU. Prints each trainer's metrics of the first and the last step as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from ovr_plugin.adapters.trl import CorrectnessReward

WORDS = ("<pad>", "<eos>", "<unk>", "so", "One?", "Two?", "Colour?")
ANSWERS = (r"\boxed{1}", r"\boxed{2}", r"\boxed{red}")
# The reference, and what else is known of the answer, in columns of the data set.
ROWS = (
    {"prompt": "One?", "answer": "1.01", "choices": None, "tolerance": 0.05},
    {"prompt": "Two?", "answer": "2", "choices": None, "tolerance": None},
    {"prompt": "Colour?", "answer": "B", "choices": ["blue", "red"], "tolerance": None},
    {"prompt": "One?", "answer": None, "choices": None, "tolerance": None},  # left out
)
MAX_COMPLETION_LENGTH = 4
TRAINERS = ("grpo", "rloo")


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A word is a token."""
    vocabulary = {word: i for i, word in enumerate(WORDS + ANSWERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        chat_template="{% for message in messages %}{{ message['content'] }} {% endfor %}",
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    """A random Qwen2 with some thousand parameters."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config)


def train(trainer: str, chat: bool, n_steps: int) -> list[dict[str, float]]:
    """Train and return each step's metrics."""
    tokenizer = make_tokenizer()
    make_config, make_trainer = {
        "grpo": (trl.GRPOConfig, trl.GRPOTrainer),
        "rloo": (trl.RLOOConfig, trl.RLOOTrainer),
    }[trainer]
    rows = [dict(row) for row in ROWS]
    if chat:
        for row in rows:
            row["prompt"] = [{"role": "user", "content": row["prompt"]}]
    with tempfile.TemporaryDirectory() as folder:
        args = make_config(
            output_dir=folder,
            per_device_train_batch_size=64,
            num_generations=16,
            max_completion_length=MAX_COMPLETION_LENGTH,
            max_steps=n_steps,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            beta=0.0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            seed=1,
            disable_tqdm=True,
        )
        run = make_trainer(
            model=make_model(tokenizer),
            processing_class=tokenizer,
            reward_funcs=CorrectnessReward(
                eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
                max_completion_length=MAX_COMPLETION_LENGTH,
            ),
            args=args,
            train_dataset=Dataset.from_list(rows),
        )
        run.train()
    return [entry for entry in run.state.log_history if "reward" in entry]


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=TRAINERS)
    parser.add_argument("--chat", action="store_true", help="prompts are messages, not texts")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)  # more only get into each other's way at this size
    for trainer in args.trainers:
        steps = train(trainer, args.chat, args.steps)
        print(json.dumps({"trainer": trainer, "first": steps[0], "last": steps[-1]}))


if __name__ == "__main__":
    main()
