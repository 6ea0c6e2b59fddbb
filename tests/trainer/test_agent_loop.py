"""One prompt in, one response out: the real agent loop with the server replaced by its answers."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from transformers import AutoProcessor
from verl.experimental.agent_loop import agent_loop as verl_agent_loop
from verl.workers.rollout.replica import TokenOutput

from ovr_plugin.data.files import write_json, write_parquet
from ovr_plugin.data.rl_dataset import OVRDataset
from ovr_plugin.data.sample import Sample
from ovr_plugin.data.toy import toy_rows
from ovr_plugin.trainer.agent_loop import (
    MAX_TOKENS,
    NAME,
    eos_token_ids,
    is_truncated,
    stop_strings_of,
    tokenising_once,
)
from ovr_plugin.trainer.text_scores import repetition

RESPONSE_LENGTH = 6


class Server:
    """Where veRL's client of the vLLM servers would be: notes what is asked, gives its answer."""

    def __init__(self, token_ids, log_probs=None):
        self.output = TokenOutput(
            token_ids=token_ids, log_probs=log_probs, extra_fields={"min_global_steps": 1}
        )
        self.requests = []

    async def generate(self, **request):
        self.requests.append(request)
        return self.output


@pytest.fixture(scope="module")
def processor(tiny_model_dir):
    return AutoProcessor.from_pretrained(tiny_model_dir)


@pytest.fixture(scope="module")
def rows(tiny_model_dir, processor, tmp_path_factory):
    """One row of text and one with a picture, as the data loader serves them."""
    folder = tmp_path_factory.mktemp("rows")
    write_parquet(folder / "toy.parquet", toy_rows(2), Sample)
    dataset = OVRDataset(
        str(folder / "toy.parquet"),
        processor.tokenizer,
        {"max_prompt_length": 512, "cache_dir": str(folder / "cache")},
        processor,
    )
    return {row["extra_info"]["modality"]: row for row in dataset}


def make_loop(config, server, processor):
    return instantiate(
        verl_agent_loop._agent_loop_registry[NAME],
        trainer_config=verl_agent_loop.DictConfigWrap(config),
        server_manager=server,
        tokenizer=processor.tokenizer,
        processor=processor,
        hf_model_type="qwen2_5_vl",
        dataset_cls=OVRDataset,
        data_config=verl_agent_loop.DictConfigWrap(config.data),
    )


def make_config(path, response_length=RESPONSE_LENGTH, ovr=None):
    return OmegaConf.create(
        {
            "actor_rollout_ref": {
                "model": {"path": str(path)},
                "rollout": {"prompt_length": 512, "response_length": response_length},
            },
            "data": {"seed": 42},
            "ovr": ovr or {},
        }
    )


@pytest.fixture
def run(tiny_model_dir, processor, rows):
    """Make the loop as veRL's worker does, by its registered name, and run it on one row."""

    def answer(
        token_ids,
        modality="text",
        log_probs=None,
        sampling_params=None,
        response_length=RESPONSE_LENGTH,
        ovr=None,
        **fields,
    ):
        config = make_config(tiny_model_dir, response_length, ovr)
        server = Server(token_ids, log_probs)
        params = {"temperature": 1.0} if sampling_params is None else sampling_params

        async def go():
            loop = make_loop(config, server, processor)
            return await loop.run(params, **rows[modality], **fields)

        return asyncio.run(go()), server

    return answer


@pytest.fixture(scope="module")
def ids(processor):
    tokenizer = processor.tokenizer
    end, padding = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    word = tokenizer.encode("red")[0]
    return SimpleNamespace(end=end, padding=padding, word=word)


@pytest.mark.parametrize(
    ("response", "truncated"),
    [
        (["word", "end"], False),
        (["word", "padding"], False),  # the generation config's second end token
        (["end"], False),
        (["word"], True),
        (["word", "end", "word"], True),
        (["word"] * (RESPONSE_LENGTH - 1) + ["end"], False),  # it ended exactly on the limit
        (["word"] * RESPONSE_LENGTH, True),
        (["word"] * RESPONSE_LENGTH + ["end"], True),  # veRL cuts what is beyond the limit
        ([], True),
    ],
)
@pytest.mark.parametrize("modality", ["text", "image"])
def test_a_response_was_cut_unless_it_ends_in_an_end_token(response, truncated, modality, run, ids):
    output, _ = run([getattr(ids, name) for name in response], modality)
    assert output.extra_fields["truncated"] is truncated
    assert output.extra_fields["min_global_steps"] == 1


def test_a_response_is_passed_on_as_the_server_gave_it(run, ids):
    given = [ids.word, ids.word, ids.end]
    output, _ = run(given, log_probs=[-0.5, -1.0, -2.0])
    assert output.response_ids == given
    assert output.response_mask == [1, 1, 1]
    assert output.response_logprobs == [-0.5, -1.0, -2.0]


@pytest.mark.parametrize(("asked", "logprobs"), [(True, [0.0]), (False, None)])
def test_an_empty_response_gets_one_masked_token(asked, logprobs, run, ids):
    """veRL puts the score on the last token, and wants log-probs of every row once of any."""
    output, _ = run([], log_probs=[], sampling_params={"logprobs": asked})
    assert output.response_ids == [ids.end]
    assert output.response_mask == [0]
    assert output.response_logprobs == logprobs
    output.reward_score = 1.0
    fields = output.as_dict()
    assert fields["rm_scores"].tolist() == [1.0]
    assert ("rollout_log_probs" in fields) is asked


@pytest.mark.parametrize("modality", ["text", "image"])
def test_the_server_gets_the_prompt_that_the_processor_makes(modality, run, rows, processor, ids):
    output, server = run([ids.end], modality)
    [request] = server.requests
    messages = rows[modality]["raw_prompt"]
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    images = request["image_data"]
    expected = processor(text=[text], images=images)["input_ids"][0]
    assert request["prompt_ids"] == output.prompt_ids == list(expected)
    n_image_tokens = list(expected).count(processor.image_token_id)
    if modality == "image":
        assert [image.size for image in images] == [(28, 28)]
        assert n_image_tokens == 1
    else:
        assert images is None
        assert n_image_tokens == 0


def test_the_limit_in_force_reaches_the_server(run, ids):
    params = {"temperature": 0.7}
    _, server = run([ids.end], sampling_params=params, **{MAX_TOKENS: 24})
    assert server.requests[0]["sampling_params"] == {"temperature": 0.7, "max_tokens": 24}
    assert params == {"temperature": 0.7}, "the caller's settings serve other rows too"


def test_without_a_limit_the_server_decides(run, ids):
    _, server = run([ids.end], sampling_params={"temperature": 0.7})
    assert server.requests[0]["sampling_params"] == {"temperature": 0.7}


@pytest.mark.parametrize(
    ("generation_config", "expected"),
    [
        ({"eos_token_id": [7, 9]}, {2, 7, 9}),
        ({"eos_token_id": 7}, {2, 7}),
        ({"eos_token_id": 2}, {2}),
        ({}, {2}),
    ],
)
def test_end_tokens_are_the_tokenizers_and_the_generation_configs(
    generation_config, expected, tmp_path: Path
):
    write_json(tmp_path / "generation_config.json", generation_config)
    assert eos_token_ids(SimpleNamespace(eos_token_id=2), str(tmp_path)) == expected


def test_without_any_end_token_everything_was_cut(tmp_path):
    write_json(tmp_path / "generation_config.json", {})
    ids = eos_token_ids(SimpleNamespace(eos_token_id=None), str(tmp_path))
    assert ids == frozenset()
    assert is_truncated([1, 2], ids)


def test_end_tokens_of_a_model_folder_without_generation_config(tiny_model_dir, tmp_path, ids):
    """transformers then reads them from the model's config."""
    (tmp_path / "config.json").write_bytes((tiny_model_dir / "config.json").read_bytes())
    assert ids.end in eos_token_ids(SimpleNamespace(eos_token_id=None), str(tmp_path))


STOPS = ["User:", "</answer>"]  # two of ORZ's


@pytest.mark.parametrize(
    ("text", "n_cut", "truncated"),
    [
        ("It is red.</answer>", 0, False),
        ("It is red.</answer> ", 0, False),  # the last token may reach beyond the stop string
        ("It is red. User:", 0, False),
        ("It is red. User:", 1, True),  # cut before the stop string was whole
        ("It is red", 0, True),
    ],
)
def test_a_response_that_ended_in_a_stop_string_was_not_cut(text, n_cut, truncated, run, processor):
    given = processor.tokenizer.encode(text)
    given = given[: len(given) - n_cut]
    output, server = run(given, response_length=len(given), ovr={"stop_strings": STOPS})
    assert output.response_ids == given
    assert output.extra_fields["truncated"] is truncated
    params = server.requests[0]["sampling_params"]
    assert (params["stop"], params["include_stop_str_in_output"]) == (STOPS, True)


def test_with_stop_strings_an_end_token_still_ends(run, ids):
    output, _ = run([ids.word, ids.end], ovr={"stop_strings": STOPS})
    assert output.extra_fields["truncated"] is False


def test_without_stop_strings_none_are_sent_and_none_end(run, processor):
    output, server = run(processor.tokenizer.encode("red</answer>"), response_length=64)
    assert output.extra_fields["truncated"] is True
    assert "stop" not in server.requests[0]["sampling_params"]


@pytest.mark.parametrize("stops", ["User:", ["User:", ""], [3]])
def test_bad_stop_strings_are_refused(stops):
    with pytest.raises(ValueError, match="must be a list of texts, none of them empty"):
        stop_strings_of(OmegaConf.create({"ovr": {"stop_strings": stops}}))


def test_seeds_are_of_the_response_and_not_of_the_run(run, ids):
    def seed(**place):
        fields = {"global_steps": 3, "session_id": 0, **place}
        _, server = run([ids.end], ovr={"seeded_rollout": True}, **fields)
        return server.requests[0]["sampling_params"]["seed"]

    assert seed() == seed()
    assert 0 <= seed() < 2**63
    assert len({seed(), seed(global_steps=4), seed(session_id=1), seed(modality="image")}) == 4
    _, server = run([ids.end], global_steps=3, session_id=0)
    assert "seed" not in server.requests[0]["sampling_params"]


def test_the_scores_of_the_text_come_with_the_response(run, processor, ids):
    text = "wait, wait, wait, red"
    output, _ = run([*processor.tokenizer.encode(text), ids.end], response_length=64)
    assert output.extra_fields["reflection_words"] == 3
    assert output.extra_fields["repetition"] == repetition(text) > 0.3


class CountedBuilder:
    """veRL's maker of a prompt's tokens; notes what it was asked for, and fails where told."""

    def __init__(self, builder, fails):
        self.builder, self.fails, self.asked = builder, fails, []

    def __getattr__(self, name):
        return getattr(self.builder, name)

    def build_initial_tokens(self, messages, **kwargs):
        self.asked.append(messages)
        if self.fails:
            raise ValueError("no such token")
        return self.builder.build_initial_tokens(messages, **kwargs)


@pytest.fixture
def ask(tiny_model_dir, processor, ids):
    """Ask each prompt ``n`` times at once, first while all are shared and then by itself."""

    async def go(prompts, n, fails):
        server = Server([ids.end])
        loop = make_loop(make_config(tiny_model_dir), server, processor)
        builder = CountedBuilder(loop.continuous_token_builder, fails)
        loop.continuous_token_builder = builder

        async def of_prompt(prompt, shares):
            with tokenising_once() if shares else nullcontext():
                runs = [loop.run({}, raw_prompt=prompt) for _ in range(n)]
                return await asyncio.gather(*runs, return_exceptions=fails)

        shared = await asyncio.gather(*(of_prompt(prompt, True) for prompt in prompts))
        n_shared = len(builder.asked)
        alone = await asyncio.gather(*(of_prompt(prompt, False) for prompt in prompts))
        return shared, alone, n_shared, server

    return lambda prompts, n=3, fails=False: asyncio.run(go(prompts, n, fails))


def test_the_samples_of_a_prompt_are_tokenised_once(ask, rows):
    prompts = [rows["text"]["raw_prompt"], rows["image"]["raw_prompt"]]
    shared, alone, n_shared, server = ask(prompts)
    assert n_shared == 2
    assert [[each.prompt_ids for each in of_one] for of_one in shared] == [
        [each.prompt_ids for each in of_one] for of_one in alone
    ]
    assert len({id(each.prompt_ids) for of_one in shared for each in of_one}) == 6
    with_pictures = [request["image_data"] for request in server.requests]
    assert sum(images is not None for images in with_pictures) == 6


def test_prompts_that_share_a_message_are_told_apart(ask):
    """Even one object, as pickle keeps it."""
    system = {"role": "system", "content": "Be brief."}
    prompts = [[system, {"role": "user", "content": word}] for word in ("red", "green")]
    shared, alone, n_shared, _ = ask(prompts)
    assert n_shared == 2
    [red], [green] = ({tuple(each.prompt_ids) for each in of_one} for of_one in shared)
    assert red != green
    assert [red, green] == [tuple(of_one[0].prompt_ids) for of_one in alone]


def test_one_prompt_in_two_rows_of_a_batch(ask, rows):
    prompt = rows["text"]["raw_prompt"]
    shared, alone, n_shared, _ = ask([prompt, prompt])
    assert n_shared <= 2
    assert {tuple(each.prompt_ids) for of_one in shared for each in of_one} == {
        tuple(alone[0][0].prompt_ids)
    }


def test_a_prompt_that_has_no_tokens_fails_each_of_its_samples(ask, rows):
    shared, _, n_shared, server = ask([rows["text"]["raw_prompt"]], fails=True)
    assert [str(error) for error in shared[0]] == ["no such token"] * 3
    assert n_shared == 1
    assert not server.requests
