"""A checkpoint and a recipe in, a folder that ``vllm serve`` serves as the recipe samples, out.

vLLM takes defaults of sampling from the folder's ``generation_config.json``, and Qwen2.5-VL's own
says top-k 1, temperature 1e-6 and a repetition penalty of 1.05: whoever does not name these in a
request gets them, and none was there in training. So the recipe's sampling is written there, with
the end tokens kept. The chat template is the one that the checkpoint was trained with; it, the
processor and the lengths are only checked and named.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ovr_plugin.data.files import read_json, write_json
from ovr_plugin.platform.vllm_cpu import cpu_build_is_installed

KEPT = ("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version")
NEEDED = {
    "config.json": "the model's configuration",
    "tokenizer_config.json": "the tokenizer's",
    "preprocessor_config.json": "the image processor's",
}
CPU_MEMORY_FRACTION = 0.4  # of the machine's, for the cache of keys and values
TEMPLATES = ("chat_template.jinja", "chat_template.json")


@dataclass(frozen=True)
class Serving:
    """What a recipe says of generation; lengths in tokens."""

    temperature: float
    top_p: float
    top_k: int
    max_model_len: int
    max_pixels: int | None
    limit_mm_per_prompt: dict[str, int]
    enforce_eager: bool
    kv_cache_memory_bytes: int | None
    skip_mm_profiling: bool

    @classmethod
    def of(cls, recipe: str) -> Serving:
        """Read a PPO recipe that the package ships.

        Raises:
            ValueError: there is no such recipe, or it is none of PPO.
        """
        config = _merged(recipe)
        try:
            data, rollout = config["data"], config["actor_rollout_ref"]["rollout"]
        except KeyError as error:
            raise ValueError(f"{recipe} says nothing of generation: no {error}") from None
        engine = rollout.get("engine_kwargs", {}).get("vllm", {})
        length = data["max_prompt_length"] + data["max_response_length"]
        return cls(
            float(rollout["temperature"]),
            float(rollout["top_p"]),
            int(rollout["top_k"]),
            int(rollout.get("max_model_len") or length),
            data.get("max_pixels"),
            dict(engine.get("limit_mm_per_prompt", {})),
            bool(rollout.get("enforce_eager")),
            engine.get("kv_cache_memory_bytes"),
            bool(engine.get("skip_mm_profiling")),
        )

    def generation_config(self, before: dict[str, Any]) -> dict[str, Any]:
        """The folder's generation config with this sampling; tokens that end a response stay."""
        kept = {key: before[key] for key in KEPT if key in before}
        sampling = {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p}
        # 0 is transformers' word for no limit, -1 vLLM's; vLLM reads both.
        return {**kept, **sampling, "top_k": max(self.top_k, 0), "repetition_penalty": 1.0}

    def command(self, checkpoint: Path) -> str:
        """The line that serves it."""
        length = min(self.max_model_len, _longest(checkpoint))  # vLLM refuses more
        words = ["vllm", "serve", str(checkpoint), "--max-model-len", str(length)]
        if self.kv_cache_memory_bytes:
            words += ["--kv-cache-memory-bytes", str(self.kv_cache_memory_bytes)]
        elif cpu_build_is_installed():
            # The default wants 92 % of the machine's memory and ends where less is free.
            words += ["--gpu-memory-utilization", str(CPU_MEMORY_FRACTION)]
        words += ["--enforce-eager"] * self.enforce_eager  # compiling takes longer than answering
        words += ["--skip-mm-profiling"] * self.skip_mm_profiling
        if self.limit_mm_per_prompt:
            words += ["--limit-mm-per-prompt", json.dumps(self.limit_mm_per_prompt)]
        if self.max_pixels:
            words += ["--mm-processor-kwargs", json.dumps({"max_pixels": self.max_pixels})]
        return shlex.join(words)


def prepare_serving(checkpoint: Path, recipe: str) -> Serving:
    """Write the recipe's sampling into a checkpoint's folder; running it twice changes nothing.

    Raises:
        ValueError: the folder is none that can be served; everything that is missing is named.
    """
    serving = Serving.of(recipe)
    if told := _shards(checkpoint):
        raise ValueError(told)
    missing = [
        f"{name} ({what})"
        for name, what in NEEDED.items()
        if not (checkpoint / name).is_file() and not _stands_elsewhere(checkpoint, name)
    ]
    if not any(checkpoint.glob("*.safetensors")):
        missing.append("*.safetensors (weights: export or average the checkpoint first)")
    if not _has_template(checkpoint):
        missing.append(f"a chat template ({' or '.join(TEMPLATES)}): copy it from the base model")
    if missing:
        raise ValueError(f"{checkpoint} cannot be served; it lacks {'; '.join(missing)}")
    _longest(checkpoint)  # readable, before anything is written
    path = checkpoint / "generation_config.json"
    before = _object(path) if path.is_file() else {}
    write_json(path, serving.generation_config(before))
    return serving


def _shards(checkpoint: Path) -> str:
    """What to do with a folder of FSDP shards; '' if it is none."""
    actor = checkpoint / "actor" if (checkpoint / "actor").is_dir() else checkpoint
    is_sharded = (actor / "fsdp_config.json").is_file() or any(actor.glob("model_world_size_*.pt"))
    if not is_sharded:
        return ""
    exported = actor / "huggingface"
    if any(exported.glob("*.safetensors")):
        return f"{checkpoint} holds FSDP shards, and beside them weights: ovr serving {exported}"
    target = f"{checkpoint.resolve().name}-hf"
    merge = ["python", "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    command = shlex.join([*merge, "--local_dir", str(actor), "--target_dir", target])
    return (
        f"{checkpoint} holds FSDP shards, which vLLM does not read; export them first:\n"
        f"  {command}\n  ovr serving {target}\n"
        f"(`ovr average {target} {checkpoint}` exports too, and without loading the model)"
    )


def _longest(checkpoint: Path) -> int:
    """The longest sequence that the model's configuration allows; it may be silent."""
    config = _object(checkpoint / "config.json")
    of_text = config.get("text_config")
    told = (of_text if isinstance(of_text, dict) else config).get("max_position_embeddings")
    return told if isinstance(told, int) else sys.maxsize


def _stands_elsewhere(checkpoint: Path, name: str) -> bool:
    """Transformers 5 writes the image processor's configuration into the processor's."""
    return name == "preprocessor_config.json" and (checkpoint / "processor_config.json").is_file()


def _has_template(checkpoint: Path) -> bool:
    if any((checkpoint / name).is_file() for name in TEMPLATES):
        return True
    path = checkpoint / "tokenizer_config.json"
    return path.is_file() and bool(_object(path).get("chat_template"))


def _object(path: Path) -> dict[str, Any]:
    read = read_json(path)
    if not isinstance(read, dict):
        raise ValueError(f"{path}: {type(read).__name__}, not an object")
    return read


def _merged(recipe: str) -> dict[str, Any]:
    """A recipe over the recipes it names as its defaults; veRL's own are not needed here."""
    import yaml

    folder = files("ovr_plugin.config") / "ovr"
    path = folder / f"{recipe}.yaml"
    if not path.is_file():
        names = sorted(
            each.name[:-5]
            for each in folder.iterdir()
            if each.name.startswith("ppo") and each.name.endswith(".yaml")
        )
        raise ValueError(f"there is no recipe {recipe}; there are {', '.join(names)}")
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    merged: dict[str, Any] = {}
    for name in own.pop("defaults", []):
        if name != "_self_":
            merged = _over(merged, _merged(name))
    return _over(merged, own)


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _over(merged[key], value)
        else:
            merged[key] = value
    return merged
