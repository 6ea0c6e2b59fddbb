"""Averages of checkpoints: against float64, through real FSDP shards, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from ovr_plugin.checkpoint.average import average
from ovr_plugin.checkpoint.layout import CheckpointError, canonical_name, open_checkpoint
from ovr_plugin.cli import app

SCRIPT = Path(__file__).with_name("write_shards.py")


@pytest.fixture
def make(tmp_path):
    """Write a checkpoint of given tensors; returns its folder."""

    def write(name: str, tensors: dict[str, torch.Tensor], **config: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps({"hidden_size": 8, **config}))
        return folder

    return write


def weights(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a.weight": (7, 5), "b.bias": (3,), "scale": (), "none": (0, 4)}
    return {
        name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_average_is_that_of_float64_rounded_once(make, tmp_path, dtype, n):
    made = [weights(seed, dtype) for seed in range(n)]
    folders = [make(f"c{seed}", tensors) for seed, tensors in enumerate(made)]
    found = load_file(average(folders, tmp_path / "out") / "model.safetensors")
    assert found.keys() == made[0].keys()
    for name, tensor in found.items():
        exact = torch.stack([tensors[name].double() for tensors in made]).mean(0)
        assert (tensor.dtype, tensor.shape) == (dtype, exact.shape)
        tolerance = torch.finfo(dtype).eps * exact.abs() + n * torch.finfo(torch.float32).eps
        assert ((tensor.double() - exact).abs() <= tolerance).all()


def test_bfloat16_is_not_summed_in_bfloat16(make, tmp_path):
    """256 + 1 + 1 + 1 in bfloat16 stays 256."""
    values = [256.0, 1.0, 1.0, 1.0]
    folders = [
        make(f"c{i}", {"w": torch.tensor([value]).bfloat16()}) for i, value in enumerate(values)
    ]
    [found] = load_file(average(folders, tmp_path / "out") / "model.safetensors").values()
    assert found.item() == torch.tensor(64.75).bfloat16().item()


def test_large_tensors_cross_blocks_and_files(make, tmp_path, monkeypatch):
    monkeypatch.setattr("ovr_plugin.checkpoint.average.BLOCK_ELEMENTS", 10)
    made = [weights(seed) for seed in range(2)]
    folders = [make(f"c{seed}", tensors) for seed, tensors in enumerate(made)]
    out = average(folders, tmp_path / "out", max_file_bytes=60)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == (35 + 3 + 1) * 4
    assert sorted(set(index["weight_map"].values())) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    found = {}
    for name, file in index["weight_map"].items():
        found[name] = load_file(out / file)[name]
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (made[0][name] + made[1][name]) / 2)
    assert open_checkpoint(out).tensors.keys() == found.keys()  # read back, index and all


def test_numbers_that_are_no_floats_must_agree(make, tmp_path):
    one = make("one", {"ids": torch.arange(3), "w": torch.ones(1)})
    two = make("two", {"ids": torch.arange(3), "w": torch.zeros(1)})
    found = load_file(average([one, two], tmp_path / "out") / "model.safetensors")
    assert torch.equal(found["ids"], torch.arange(3))
    other = make("other", {"ids": torch.ones(3, dtype=torch.int64), "w": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=rf"ids differs and is no float in {other}"):
        average([one, other], tmp_path / "bad")


def test_everything_that_does_not_match_is_named(make, tmp_path):
    one = make("one", {"a": torch.zeros(2), "b": torch.zeros(2), "c": torch.zeros(2)}, layers=2)
    two = make("two", {"a": torch.zeros(3), "c": torch.zeros(2), "d": torch.zeros(2)}, layers=3)
    with pytest.raises(CheckpointError) as raised:
        average([one, two], tmp_path / "out")
    assert str(raised.value).splitlines()[1:] == [
        f"  layers is 2 in {one} and 3 in {two}",
        f"  {two} lacks b",
        f"  {one} lacks d",
        f"  a is (2,) in {one} and (3,) in {two}",
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_named_and_nothing_is_left(make, tmp_path, value):
    good = make("good", {"a": torch.ones(4), "b": torch.ones(4)})
    bad = make("bad", {"a": torch.ones(4), "b": torch.tensor([1.0, value, 1.0, 1.0])})
    with pytest.raises(CheckpointError, match=f"b has values that are not finite in {bad}$"):
        average([good, bad], tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_float16_that_would_overflow_is_refused(make, tmp_path):
    folders = [make(f"c{i}", {"w": torch.tensor([1e5])}) for i in range(2)]
    with pytest.raises(CheckpointError, match="w has values beyond the range of F16"):
        average(folders, tmp_path / "out", dtype="float16")
    out = average(folders, tmp_path / "out", dtype="bfloat16")
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"


def test_what_is_no_checkpoint_is_refused(make, tmp_path):
    good, fine = (make(name, {"a": torch.ones(4)}) for name in ("good", "fine"))
    with pytest.raises(CheckpointError, match="an average takes two checkpoints or more"):
        average([good], tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"dtype must be auto, bfloat16.*not .int8."):
        average([good, fine], tmp_path / "out", dtype="int8")
    with pytest.raises(CheckpointError, match=r"neither config\.json .* nor fsdp_config\.json"):
        average([good, tmp_path / "nowhere"], tmp_path / "out")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds no safetensors; export it with"):
        average([good, bare], tmp_path / "out")
    (bare / "model.safetensors.index.json").write_text('{"weight_map": {"a": "x.safetensors"}}')
    with pytest.raises(CheckpointError, match=r"bare is incomplete: x\.safetensors not there"):
        average([good, bare], tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="out exists already; choose another folder"):
        average([good, good], tmp_path / "out")
    odd, too = (make(n, {"a": torch.ones(4).to(torch.float8_e5m2)}) for n in ("odd", "too"))
    with pytest.raises(CheckpointError, match="of a type that has no average: F8_E5M2"):
        average([odd, too], tmp_path / "fresh")


@pytest.mark.parametrize("n_bytes", [4, 40, -4])
def test_a_file_that_was_cut_off_is_refused(make, tmp_path, n_bytes):
    good = make("good", weights(0))
    cut = make("cut", weights(0))
    data = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(data[:n_bytes])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is cut off"):
        average([good, cut], tmp_path / "out")


def test_old_and_new_names_of_a_weight_are_one(tiny_model_dir):
    """Against transformers' own reading: the canonical names are those of the loaded model."""
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(tiny_model_dir)
    names = set(open_checkpoint(tiny_model_dir).tensors)
    assert names == set(model.state_dict()) - set(model._tied_weights_keys or ()) or (
        names == set(model.state_dict())
    )
    assert canonical_name("visual.merger.x") == "model.visual.merger.x"
    assert canonical_name("model.norm.weight") == "model.language_model.norm.weight"


@pytest.fixture(scope="module")
def trained(warm_python, tiny_model_dir, tmp_path_factory):
    """Four checkpoints of one model with unlike weights: 1 rank, 2, 4 as 2 x 2, and HF."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    root = tmp_path_factory.mktemp("trained")
    folders = []
    for number, (n_ranks, n_replicas) in enumerate([(1, 1), (2, 1), (4, 2), (0, 0)]):
        torch.manual_seed(number)
        model = AutoModelForImageTextToText.from_pretrained(tiny_model_dir)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        source = root / f"hf{number}"
        model.save_pretrained(source)
        AutoProcessor.from_pretrained(tiny_model_dir).save_pretrained(source)
        folders.append((source, root / f"global_step_{number}" if n_ranks else source))
        if n_ranks:
            command = [
                *(warm_python, "-m", "torch.distributed.run", "--standalone"),
                *(f"--nproc_per_node={n_ranks}", str(SCRIPT)),
                *(str(source), str(folders[-1][1]), str(n_replicas)),
            ]
            env = {
                **os.environ,
                "PYTHON_EXEC": warm_python,
                "OMP_NUM_THREADS": "1",
                "VERL_USE_EXTERNAL_PLUGINS": "none",
            }
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)
            assert done.returncode == 0, done.stderr[-3000:]
    return folders


@pytest.mark.process
def test_shards_are_averaged_directly_and_the_result_loads(trained, tmp_path):
    """FSDP shards of 1, 2 and 2 x 2 ranks and an HF folder, against the models themselves."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    out = average([folder for _, folder in trained], tmp_path / "out", dtype="float32")
    model = AutoModelForImageTextToText.from_pretrained(out)
    states = [AutoModelForImageTextToText.from_pretrained(hf).state_dict() for hf, _ in trained]
    for name, weight in model.state_dict().items():
        exact = torch.stack([state[name].double() for state in states]).mean(0)
        torch.testing.assert_close(weight.double(), exact, rtol=0, atol=1e-6, msg=name)
    assert AutoProcessor.from_pretrained(out).tokenizer.chat_template
    assert (out / "generation_config.json").is_file()


@pytest.mark.process
def test_shards_become_bfloat16_unless_told_otherwise(trained, tmp_path):
    out = average([trained[0][1], trained[1][1]], tmp_path / "out")
    found = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.process
def test_shards_that_are_incomplete_are_refused(trained, tmp_path):
    good, two_ranks = trained[0][1], trained[1][1]
    half = tmp_path / "global_step_9"
    shutil.copytree(two_ranks, half)
    missing = half / "actor" / "model_world_size_2_rank_1.pt"
    data = missing.read_bytes()
    missing.unlink()
    with pytest.raises(CheckpointError, match=r"incomplete: model_world_size_2_rank_1\.pt not"):
        average([good, half], tmp_path / "out")
    missing.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"rank_1\.pt cannot be read, perhaps it is cut off"):
        average([good, half], tmp_path / "out")
    shutil.copy(half / "actor" / "model_world_size_2_rank_0.pt", missing)
    with pytest.raises(CheckpointError, match=r"the shards of .*embed_tokens.* do not make up"):
        average([good, half], tmp_path / "out")  # the first half twice, of 341 rows
    shutil.rmtree(half / "actor" / "huggingface")
    with pytest.raises(CheckpointError, match=r"incomplete: huggingface/config\.json not there"):
        average([good, half], tmp_path / "out")


def test_the_command(make, tmp_path):
    folders = [str(make(f"c{seed}", weights(seed))) for seed in range(2)]
    runner = CliRunner()
    done = runner.invoke(app, ["average", str(tmp_path / "out"), *folders])
    assert (done.exit_code, done.stdout) == (
        0,
        f"The average of 2 checkpoints is in {tmp_path / 'out'}\n",
    )
    again = runner.invoke(app, ["average", str(tmp_path / "out"), *folders])
    assert again.exit_code == 1
    assert "exists already" in again.output


def save_model(model, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def test_a_model_of_text_alone_keeps_its_names(tmp_path):
    """Qwen2.5-VL's new names are not those of its language model by itself."""
    from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 20}
    models = [Qwen2ForCausalLM(Qwen2Config(**sizes, **heads)) for _ in range(2)]
    folders = [save_model(model, tmp_path / f"{i}") for i, model in enumerate(models)]
    loaded, info = AutoModelForCausalLM.from_pretrained(
        average(folders, tmp_path / "out"), output_loading_info=True
    )
    assert not [*info["missing_keys"], *info["unexpected_keys"]]
    one, other = (model.model.norm.weight + model.lm_head.weight.sum(0) for model in models)
    found = loaded.model.norm.weight + loaded.lm_head.weight.sum(0)
    torch.testing.assert_close(found, (one + other) / 2)


def test_tied_embeddings_may_be_stored_once_or_twice(make, tmp_path):
    embeddings = {"model.language_model.embed_tokens.weight": torch.ones(4, 2)}
    settings = {"model_type": "qwen2_5_vl", "tie_word_embeddings": True}
    once = make("once", {"model.embed_tokens.weight": torch.zeros(4, 2)}, **settings)
    twice = make("twice", {**embeddings, "lm_head.weight": torch.ones(4, 2)}, **settings)
    found = load_file(average([once, twice], tmp_path / "out") / "model.safetensors")
    assert found.keys() == embeddings.keys()
    untied = {"tie_word_embeddings": False}
    one = make("one", {"embed_tokens.weight": torch.ones(2)}, **untied)
    two = make(
        "two", {"embed_tokens.weight": torch.ones(2), "lm_head.weight": torch.ones(1)}, **untied
    )
    with pytest.raises(CheckpointError, match=r"one lacks lm_head\.weight"):
        average([one, two], tmp_path / "refused")


@pytest.mark.parametrize("order", [1, -1])
def test_unlike_types_become_float32_and_the_configuration_says_so(make, tmp_path, order):
    half = make("half", {"a": torch.ones(3, dtype=torch.bfloat16)}, dtype="bfloat16")
    full = make("full", {"a": torch.full((3,), 1 + 2**-20)}, dtype="float32")
    out = average([half, full][::order], tmp_path / "out")
    assert load_file(out / "model.safetensors")["a"].tolist() == [1 + 2**-21] * 3
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"


def test_a_sum_beyond_float32_is_refused(make, tmp_path):
    folders = [make(f"c{i}", {"a": torch.full((2,), 3e38)}) for i in range(2)]
    with pytest.raises(CheckpointError, match="a has values beyond the range of F32"):
        average(folders, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_checkpoint_counts_once(make, tmp_path):
    good = make("good", weights(0))
    with pytest.raises(CheckpointError, match="good is given 2 times"):
        average([good, tmp_path / "good" / "." / ".." / "good"], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "config.json: not valid JSON"),
        ("config.json", b"[]", "config.json is no JSON object"),
        ("model.safetensors.index.json", b"{}", "has no weight_map"),
        (
            "model.safetensors.index.json",
            b'{"weight_map": {"b": "model.safetensors"}}',
            "is incomplete: no file of it holds b",
        ),
        ("model.safetensors", b"\x02" + bytes(7) + b"{{", "is no safetensors file"),
        ("model.safetensors", b"\x02" + bytes(7) + b"[]", "its header is no JSON object"),
        ("model.safetensors", b"\x08" + bytes(7) + b'{"a": 1}', "a is 1"),
        ("config.json", b'{"text_config": 3}', "text_config is None in"),
        ("fsdp_config.json", b"{}", "fsdp_config.json has no world_size"),
        ("fsdp_config.json", b'{"world_size": 1}', "rank_0.pt cannot be read"),
    ],
)
def test_broken_files_are_named(make, tmp_path, name, content, message):
    """By the command too, whose message takes no path for markup."""
    good, bad = make("good", {"a": torch.ones(4)}), make("b[red]ad", {"a": torch.ones(4)})
    (bad / "huggingface").mkdir()
    shutil.copy(good / "config.json", bad / "huggingface")
    (bad / "model_world_size_1_rank_0.pt").write_bytes(b"no zip archive")
    (bad / name).write_bytes(content)
    done = CliRunner().invoke(app, ["average", str(tmp_path / "out"), str(good), str(bad)])
    assert (done.exit_code, message in done.output) == (1, True), done.output
    assert "b[red]ad" in done.output


@pytest.mark.parametrize(
    "entry", [{"shape": [4], "data_offsets": [0, 8]}, {"shape": [-2, -2], "data_offsets": [0, 16]}]
)
def test_a_tensor_whose_bytes_do_not_make_up_its_shape_is_refused(make, tmp_path, entry):
    good, bad = make("good", {"a": torch.ones(4)}), make("bad", {"a": torch.ones(4)})
    header = json.dumps({"a": {"dtype": "F32", **entry}}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(16)
    (bad / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="the bytes of a do not make up F32"):
        average([good, bad], tmp_path / "out")


@pytest.mark.parametrize(
    ("state", "message"),
    [([torch.ones(4)], "holds no weights by name"), ({"a": {"b": 1}}, "a is no tensor")],
)
def test_shards_that_hold_something_else_are_refused(make, tmp_path, state, message):
    bad = make("bad", {"a": torch.ones(4)})
    (bad / "huggingface").mkdir()
    shutil.copy(bad / "config.json", bad / "huggingface")
    (bad / "fsdp_config.json").write_text('{"world_size": 1}')
    torch.save(state, bad / "model_world_size_1_rank_0.pt")
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(bad)


def test_folders_of_others_stay(make, tmp_path):
    """One that is called out.partial may be a checkpoint, and a link leads elsewhere."""
    folders = [make("out.partial", weights(0)), make("c1", weights(1))]
    average(folders, tmp_path / "out")
    assert load_file(folders[0] / "model.safetensors").keys() == weights(0).keys()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="link exists already"):
        average(folders, tmp_path / "link")


def test_a_full_disk_is_seen_before_the_work(make, tmp_path, monkeypatch):
    """What is said to be needed is what the result takes, but for what changes in config.json."""
    folders = [make(f"c{seed}", weights(seed), dtype="float32") for seed in range(2)]
    taken = sum(path.stat().st_size for path in average(folders, tmp_path / "whole").iterdir())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=taken))
    average(folders, tmp_path / "fits")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=taken - 1))
    read = []
    with pytest.raises(OSError, match=rf"no room for .*: {taken} bytes needed, {taken - 1} free"):
        average(folders, tmp_path / "out", progress=lambda *done: read.append(done))
    assert not read
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c0", "c1", "fits", "whole"]
    refused = CliRunner().invoke(app, ["average", str(tmp_path / "out"), *map(str, folders)])
    assert refused.exit_code == 1
    assert f"{taken} bytes needed" in refused.output
