"""A picture is processed once, and what comes of it is what the plain processor returns."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor
from verl.utils import rollout_trace

from ovr_plugin.trainer.agent_loop import NAME, _tokenised
from ovr_plugin.trainer.rollout_worker import (
    OVRAgentLoopWorker,
    RememberingImageProcessor,
    Worker,
)

PROMPT = "<|vision_start|><|image_pad|><|vision_end|>"


class Counted:
    """The plain image processor; counts its calls."""

    def __init__(self, image_processor):
        self.image_processor, self.n_calls = image_processor, 0

    def __getattr__(self, name):
        return getattr(self.image_processor, name)

    def __call__(self, *args, **kwargs):
        self.n_calls += 1
        return self.image_processor(*args, **kwargs)


@pytest.fixture(scope="module")
def plain(tiny_model_dir):
    return AutoProcessor.from_pretrained(tiny_model_dir)


@pytest.fixture
def remembering(plain):
    processor = copy.copy(plain)
    counted = Counted(plain.image_processor)
    processor.image_processor = RememberingImageProcessor(counted)
    return processor, counted


def picture(width=56, height=84, colour=(200, 30, 30), mode="RGB"):
    return Image.new(mode, (width, height), colour)


def process(processor, *pictures, **kwargs):
    text = [PROMPT * len(pictures) + "?"]
    return processor(text=text, images=list(pictures), return_tensors="pt", **kwargs)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    "pictures",
    [[picture()], [picture(), picture(300, 170)], [picture(20, 20, 128, "L")], [picture()] * 2],
    ids=["one", "two", "grey", "twice"],
)
def test_outputs_are_the_plain_processors(plain, remembering, pictures):
    processor, counted = remembering
    for _ in range(3):
        assert same(process(processor, *pictures), process(plain, *pictures))
    assert counted.n_calls == 1


def test_equal_pictures_of_different_objects_are_one(remembering):
    processor, counted = remembering
    process(processor, picture())
    process(processor, picture())
    assert counted.n_calls == 1


@pytest.mark.parametrize(
    ("pictures", "kwargs"),
    [
        ([picture(colour=(200, 30, 31))], {}),
        ([picture(84, 56)], {}),
        ([picture(), picture()], {}),
        ([picture()], {"max_pixels": 28 * 28 * 4}),
    ],
    ids=["a pixel", "size", "number", "limits"],
)
def test_what_differs_is_processed_anew(plain, remembering, pictures, kwargs):
    processor, counted = remembering
    process(processor, picture())
    assert same(process(processor, *pictures, **kwargs), process(plain, *pictures, **kwargs))
    assert counted.n_calls == 2


def test_a_caller_may_change_what_it_got(plain, remembering):
    processor, _ = remembering
    first = processor.image_processor([picture()], return_tensors="pt")
    del first["pixel_values"]
    assert same(process(processor, picture()), process(plain, picture()))


def test_colours_of_a_palette_are_told_apart(plain, remembering):
    processor, _ = remembering
    for colours in ([200, 30, 30], [30, 30, 200]):
        indexed = Image.new("P", (56, 56))
        indexed.putpalette(colours)
        assert same(process(processor, indexed), process(plain, indexed))


def test_a_processor_can_be_printed_and_copied(plain, remembering):
    processor, _ = remembering
    processor.image_processor = RememberingImageProcessor(plain.image_processor)
    assert processor.to_json_string() == plain.to_json_string()
    copied = copy.deepcopy(processor).image_processor
    assert copied.to_dict() == plain.image_processor.to_dict()


def test_text_without_pictures(plain, remembering):
    processor, counted = remembering
    assert same(processor(text=["?"], return_tensors="pt"), plain(text=["?"], return_tensors="pt"))
    assert counted.n_calls == 0


def test_the_oldest_pictures_go_first(plain):
    counted = Counted(plain.image_processor)
    one = counted.image_processor([picture()], return_tensors="pt")
    n_bytes = sum(value.nbytes for value in one.values())
    processor = RememberingImageProcessor(counted, max_bytes=2 * n_bytes)
    for colour in ("red", "green", "blue", "blue", "green", "red"):
        processor([picture(colour=colour)], return_tensors="pt")
    assert counted.n_calls == 4


def test_threads_share_it(plain):
    processor = RememberingImageProcessor(plain.image_processor)
    expected = plain.image_processor([picture()], return_tensors="pt")
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda _: processor([picture()], return_tensors="pt"), range(20))
        assert all(same(each, expected) for each in found)


def test_all_else_is_the_image_processors(plain):
    processor = RememberingImageProcessor(plain.image_processor)
    assert processor.patch_size == plain.image_processor.patch_size
    assert processor.merge_size == plain.image_processor.merge_size


@pytest.fixture
def worker(remembering, monkeypatch):
    """Of a worker what concerns pictures, and what veRL's own would compute for an output."""
    processor, _ = remembering
    worker = OVRAgentLoopWorker.__new__(OVRAgentLoopWorker)
    worker.processor, worker.tokenizer = processor, processor.tokenizer
    worker.mm_processor_kwargs, worker._multi_modal_inputs = {}, {}
    calls = []
    compute = Worker._compute_multi_modal_inputs
    monkeypatch.setattr(
        Worker,
        "_compute_multi_modal_inputs",
        lambda self, output, ids: calls.append(output) or compute(self, output, ids),
    )
    return worker, compute, calls


def answered(processor, *pictures):
    """An output as veRL's agent loop makes it, and its tokens."""
    ids = process(processor, *pictures)["input_ids"][0]
    return SimpleNamespace(multi_modal_data={"images": pictures}, mm_processor_kwargs=None), ids


def test_scoring_and_storing_a_response_share_its_inputs(plain, worker):
    worker, compute, calls = worker
    output, ids = answered(plain, picture())
    expected = compute(
        SimpleNamespace(**vars(worker), _get_mm_processor_kwargs=lambda _: {}), output, ids
    )
    scored = worker._compute_multi_modal_inputs(output, ids)
    scored.pop("mm_token_type_ids")  # as veRL does for the positions
    stored = worker._compute_multi_modal_inputs(output, ids)
    assert same(stored, expected)
    assert len(calls) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept_of_a_response_that_is_done(plain, worker, fails, monkeypatch):
    worker, _, calls = worker
    output, ids = answered(plain, picture())

    async def postprocess(self, output, validate, **kwargs):
        self._compute_multi_modal_inputs(output, ids)
        if fails:
            raise RuntimeError("no reward")

    monkeypatch.setattr(Worker, "_agent_loop_postprocess", postprocess)
    try:
        asyncio.run(worker._agent_loop_postprocess(output, False))
    except RuntimeError:
        assert fails
    assert not worker._multi_modal_inputs
    worker._compute_multi_modal_inputs(output, ids)
    assert len(calls) == 2


def test_a_response_that_is_not_to_be_traced_is_not(monkeypatch):
    worker = OVRAgentLoopWorker.__new__(OVRAgentLoopWorker)
    traced = []

    async def run(*_, **__):
        traced.append(rollout_trace._trace_enabled.get())

    async def postprocess(*_, **__):
        traced.append(rollout_trace._trace_enabled.get())

    monkeypatch.setattr(rollout_trace.RolloutTraceConfig, "get_backend", lambda: "mlflow")
    monkeypatch.setattr(Worker, "_agent_loop_postprocess", postprocess)
    worker._multi_modal_inputs, worker._loop = {}, SimpleNamespace(run=run)
    told = {"agent_name": NAME, "trace": False}
    asyncio.run(worker._run_agent_loop({}, {"validate": False}, **told))
    assert traced == [False, False]


def test_each_prompt_shares_its_tokens_with_its_own_samples_alone(monkeypatch):
    """Also where no agent loop can be made: it is the sample that fails then, as veRL records."""
    worker = OVRAgentLoopWorker.__new__(OVRAgentLoopWorker)
    seen = {}

    async def sample(uid):
        seen.setdefault(uid, []).append(_tokenised.get())

    async def run_prompt(self, prompt, sampling_params, *, trajectory):
        assert (sampling_params, trajectory) == ({"n": 2}, {"validate": False})
        await asyncio.gather(sample(prompt["uid"]), sample(prompt["uid"]))

    async def both():
        told = ({"n": 2},)
        runs = [
            worker._run_prompt({"uid": uid}, *told, trajectory={"validate": False})
            for uid in ("a", "b")
        ]
        await asyncio.gather(*runs)
        return _tokenised.get()

    monkeypatch.setattr(Worker, "_run_prompt", run_prompt)
    assert asyncio.run(both()) is None
    assert seen["a"][0] is seen["a"][1] is not None
    assert seen["b"][0] is seen["b"][1] is not seen["a"][0]
