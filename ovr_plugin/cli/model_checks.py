"""What ``ovr doctor --model FOLDER`` asks of a checkpoint, before hours are spent on it.

In: a folder in the layout of a Qwen2.5-VL or Qwen3-VL download. Out: one ``Check`` each. Upstream
forgives too much: veRL's ``hf_processor`` turns every error into "no processor", which silently
loses images and M-RoPE, and transformers makes an empty tokenizer where its files are missing. So
everything is loaded here by the class it should be and asked a question. Weights are compared by
name and shape on the meta device; none is read.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ovr_plugin.cli.checks import Check
from ovr_plugin.models.families import FAMILIES, QWEN2_5_VL, TITLES, Family

BASE = QWEN2_5_VL.base
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SENTENCE = "Is 2 + 2 = 4?"
# config.json's name of an id -> the token that Qwen's tokenizer has for it.
IMAGE_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
COPY = "BASE: the folder this one was copied from, or whose model it was trained from."


def check_model(model: str) -> list[Check]:
    """Run every check on ``model``; a check whose ground is missing is left out."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return [_not_a_folder(model)]
    config = check_config(folder)
    try:
        from transformers.utils import logging
    except ImportError as error:
        advice = "Weights, tokenizer and processor cannot be looked at; see transformers above."
        return [config, Check("model", "fail", _cause(error), advice)]
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    files = [config, check_weight_files(folder)]
    if all(check.status == "ok" for check in files):
        files.append(check_backbone(folder))
    return [*files, *_check_texts(folder)]


def _check_texts(folder: Path) -> list[Check]:
    from transformers import AutoProcessor, AutoTokenizer

    processor = check_processor(_load(AutoProcessor, folder), folder)
    tokenizer = _load(AutoTokenizer, folder)
    check = check_tokenizer(tokenizer, folder)
    if check.status == "fail":
        return [check, processor]
    return [
        check,
        processor,
        check_image_tokens(tokenizer, folder),
        check_generation_config(tokenizer, folder),
    ]


def _load(auto_class: Any, folder: Path) -> Any:
    """Return what the class loads, or the exception, of whatever kind damaged files provoke."""
    try:
        return auto_class.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        return error


def _not_a_folder(model: str) -> Check:
    if Path(model).expanduser().exists():
        advice, command = "Give the folder that holds config.json, not a file in it.", ""
    else:
        advice = "The checks read local folders only. If this is a name on the hub, download it:"
        name = model if model.count("/") == 1 and model[0] not in "./~" else BASE
        command = _download(name)
    return Check("model", "fail", f"{model} is not a local folder", advice, command)


def check_config(folder: Path) -> Check:
    """Check that config.json is there and names a family that OVR's classes fit."""
    config = _read_json(folder / "config.json")
    if isinstance(config, str):
        return Check("config.json", "fail", config, COPY, _copy(folder, "config.json"))
    model_type = config.get("model_type")
    if model_type in FAMILIES:
        return Check("config.json", "ok", model_type)
    advice = f"OVR is made for {TITLES} (model_type {' or '.join(FAMILIES)}). Use one, for example:"
    command = _download(BASE)
    return Check("config.json", "fail", f"model_type is {model_type!r}", advice, command)


def check_weight_files(folder: Path) -> Check:
    """Check that every safetensors file is there and whole, by its index and its header."""
    files = _list_weight_files(folder)
    if isinstance(files, Check):
        return files
    errors = [f"{file.name}: {error}" for file in files if (error := _broken(file))]
    if not errors:
        size = sum(file.stat().st_size for file in files) / 1e9
        return Check("weight files", "ok", f"{len(files)} safetensors, {size:.2f} GB")
    return Check(
        "weight files",
        "fail",
        "; ".join(errors),
        f"Copy or download these files again; of a cold start, export it again. {COPY}",
        f"rsync -P BASE/*.safetensors {_quote(folder)}/",
    )


def _list_weight_files(folder: Path) -> list[Path] | Check:
    if (folder / INDEX).is_file():
        index = _read_json(folder / INDEX)
        named = index if isinstance(index, str) else index.get("weight_map")
        if isinstance(named, dict) and named:
            return [folder / name for name in sorted({str(file) for file in named.values()})]
        found = named if isinstance(named, str) else f"{INDEX} names no file"
        return Check("weight files", "fail", found, COPY, _copy(folder, INDEX))
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if list(folder.glob("model_world_size_*.pt")):
        return Check(
            "weight files",
            "fail",
            "shards of veRL's FSDP checkpoint",
            "Merge them; the export lies in the other folder then:",
            f"python -m verl.model_merger merge --backend fsdp --local_dir {_quote(folder)} "
            f"--target_dir {_quote(folder)}-hf",
        )
    advice = "The folder needs the model's weights as safetensors. Copy them, or download anew:"
    command = f"hf download {BASE} --local-dir {_quote(folder)}  # or the model meant"
    return Check("weight files", "fail", f"no {SINGLE}, no {INDEX}", advice, command)


def _broken(file: Path) -> str:
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        return "missing"
    try:
        with safe_open(file, framework="numpy"):
            return ""
    except (SafetensorError, OSError) as error:
        return f"broken ({error})"


def check_backbone(folder: Path) -> Check:
    """Check names and shapes of the weights against the model that config.json describes."""
    model_class = _family(folder).transformers_class("ForConditionalGeneration")
    try:
        _, loaded = model_class.from_pretrained(
            folder,
            device_map="meta",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            local_files_only=True,
        )
    except Exception as error:  # whatever a damaged config provokes; recorded as the finding
        return Check("weights", "fail", _cause(error), COPY, _copy(folder, "config.json"))
    missing = sorted(loaded["missing_keys"])
    reshaped = sorted(str(name) for name, *_ in loaded["mismatched_keys"])
    if not missing and not reshaped:
        return Check("weights", "ok", "complete, of the shapes in config.json")
    found = [
        f"{len(names)} {what} ({names[0]}{', ...' if len(names) > 1 else ''})"
        for what, names in (("missing", missing), ("of another shape", reshaped))
        if names
    ]
    advice = (
        "transformers would fill these with random numbers. Copy all weights and config.json from "
        f"one source; of a cold start, export it again. {COPY}"
    )
    command = f"rsync -P BASE/*.safetensors BASE/*.json {_quote(folder)}/"
    return Check("weights", "fail", ", ".join(found), advice, command)


def check_tokenizer(tokenizer: Any, folder: Path) -> Check:
    """Check that the tokenizer encodes text, has a chat template, and ends turns with its eos."""
    error = _first_error(
        lambda: _cause(tokenizer) if isinstance(tokenizer, Exception) else "",
        lambda: _round_trip_error(tokenizer),
        lambda: "" if tokenizer.chat_template else "no chat template",
        lambda: _end_of_turn_error(tokenizer),
    )
    if not error:
        return Check("tokenizer", "ok", f"{len(tokenizer)} tokens, chat template")
    command = _copy(folder, "tokenizer*", "vocab.json", "merges.txt", "chat_template*")
    return Check("tokenizer", "fail", error, f"Copy those there are of these; {COPY}", command)


def _first_error(*tests: Callable[[], str]) -> str:
    """Return what the first failing test says, an exception counting as a failure; else ''."""
    for test in tests:
        try:
            error = test()
        except Exception as raised:  # templates and files are others' code
            error = _cause(raised)
        if error:
            return error
    return ""


def _round_trip_error(tokenizer: Any) -> str:
    decoded = tokenizer.decode(tokenizer.encode(SENTENCE))
    if decoded == SENTENCE:
        return ""
    return (
        f"{len(tokenizer)} tokens, and {SENTENCE!r} comes back as {decoded!r}: transformers makes "
        "an empty tokenizer where tokenizer.json is missing"
    )


def _end_of_turn_error(tokenizer: Any) -> str:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    if text.rstrip().endswith(tokenizer.eos_token):
        return ""
    return (
        f"the chat template ends a turn with {text[-20:]!r}, not with eos {tokenizer.eos_token!r}"
    )


def check_processor(processor: Any, folder: Path) -> Check:
    """Check that the processor loads as the family's and marks one image once."""
    found, wanted = type(processor).__name__, f"{_family(folder).prefix}Processor"
    error = _first_error(
        lambda: _cause(processor) if isinstance(processor, Exception) else "",
        lambda: "" if found == wanted else f"it is a {found}",
        lambda: _image_marker_error(processor),
    )
    if not error:
        return Check("processor", "ok", found)
    return Check(
        "processor",
        "fail",
        error,
        "veRL would go on without a processor, and lose the images and M-RoPE without a word. "
        f"Copy those there are of these; {COPY}",
        _copy(folder, "*processor_config.json", "chat_template*"),
    )


def _image_marker_error(processor: Any) -> str:
    if not processor.chat_template:
        return "no chat template"
    content = [{"type": "image"}, {"type": "text", "text": "a"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    n_markers = text.count(processor.image_token)
    return "" if n_markers == 1 else f"the chat template marks one image {n_markers} times"


def check_image_tokens(tokenizer: Any, folder: Path) -> Check:
    """Check that config.json and the tokenizer mean the same ids, and that all ids have a row."""
    config = _read_json(folder / "config.json")
    config = {} if isinstance(config, str) else config
    wrong = [
        f"{name} is {config.get(name)}, {token} is {tokenizer.convert_tokens_to_ids(token)}"
        for name, token in IMAGE_TOKENS.items()
        if config.get(name) != tokenizer.convert_tokens_to_ids(token)
    ]
    # Hub checkpoints have the text model's fields at the top, transformers 5 nests them.
    n_rows = {**config, **config.get("text_config", {})}.get("vocab_size")
    if isinstance(n_rows, int) and n_rows < len(tokenizer):
        wrong.append(f"vocab_size is {n_rows}, the tokenizer has {len(tokenizer)} tokens")
    if not wrong:
        return Check("image token ids", "ok", "config.json and tokenizer agree")
    advice = f"config.json and tokenizer are of two models; images would go astray. {COPY}"
    command = _copy(folder, "config.json", "tokenizer*")
    return Check("image token ids", "fail", "; ".join(wrong), advice, command)


def check_generation_config(tokenizer: Any, folder: Path) -> Check:
    """Check that generation_config.json ends a response where the tokenizer does."""
    name = "generation_config.json"
    config = _read_json(folder / name)
    eos = None if isinstance(config, str) else config.get("eos_token_id")
    listed = eos if isinstance(eos, list) else [eos]
    found = config if isinstance(config, str) else f"eos_token_id {eos}"
    if tokenizer.eos_token_id in listed:
        return Check(name, "ok", found)
    return Check(
        name,
        "warn",
        f"{found}; the tokenizer's eos is {tokenizer.eos_token_id} ({tokenizer.eos_token})",
        f"Generation outside veRL would run past the end of a response. {COPY}",
        _copy(folder, name),
    )


def _family(folder: Path) -> Family:
    """What config.json says, or Qwen2.5-VL where it says nothing that is known."""
    config = _read_json(folder / "config.json")
    model_type = "" if isinstance(config, str) else str(config.get("model_type"))
    return FAMILIES.get(model_type, QWEN2_5_VL)


def _read_json(file: Path) -> dict[str, Any] | str:
    """Return the object in the file, or what is wrong with it."""
    if not file.is_file():
        return f"{file.name} is missing"
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        return f"{file.name} is no JSON: {error}"
    return content if isinstance(content, dict) else f"{file.name} holds no JSON object"


def _copy(folder: Path, *names: str) -> str:
    return " ".join(["cp", *(f"BASE/{name}" for name in names), f"{_quote(folder)}/"])


def _download(name: str) -> str:
    return f"hf download {shlex.quote(name)} --local-dir {shlex.quote(name.split('/')[-1])}"


def _quote(folder: Path) -> str:
    return shlex.quote(str(folder))


def _cause(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"
