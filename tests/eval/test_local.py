"""A checkpoint's answers: alone or in a batch alike, and a response that never ends is wrong."""

from __future__ import annotations

import shutil
from io import BytesIO

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import Sample
from ovr_plugin.data.toy import toy_rows
from ovr_plugin.eval.local import accuracy_by_source, chat_messages, evaluate
from ovr_plugin.reward import Outcome

ANSWER = "\\boxed{red}"


def picture(width, height):
    buffer = BytesIO()
    Image.radial_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return ImageRef(data=buffer.getvalue())


def sample(content="What colour is the box?", **fields):
    given = {"prompt": [{"role": "user", "content": content}], "ground_truth": "red"}
    return Sample(**{"data_source": "test", **given, **fields})


MIXED = [
    *toy_rows(4),
    sample("Look <image> and <image>. Which?", images=[picture(84, 56), picture(300, 200)]),
    sample("red " * 40),
]


def test_rows_in_one_batch_are_answered_as_alone(tiny_model_dir):
    def answers(batch_size):
        found = list(evaluate(tiny_model_dir, MIXED, 12, batch_size, max_pixels=28 * 28 * 16))
        assert [answer.sample for answer in found] == MIXED
        return [(answer.response, answer.n_tokens, answer.grade) for answer in found]

    alone = answers(1)
    assert answers(len(MIXED)) == answers(4) == alone
    assert len({response for response, _, _ in alone}) > 2, "rows must not answer alike by nature"


def test_it_answers_as_plain_transformers_does(tiny_model_dir):
    """One row of text, written out without our code."""
    processor = AutoProcessor.from_pretrained(tiny_model_dir)
    model = AutoModelForImageTextToText.from_pretrained(tiny_model_dir)
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "What colour is the box?<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = processor.tokenizer(text, return_tensors="pt")
    output = model.generate(**ids, max_new_tokens=12, do_sample=False)
    expected = output[0, ids.input_ids.shape[1] :]
    [answer] = evaluate(tiny_model_dir, [sample()], 12)
    assert answer.response == processor.tokenizer.decode(expected, skip_special_tokens=True)


@pytest.fixture(scope="module")
def parrot(tiny_model_dir, tmp_path_factory):
    r"""A model that says ``\boxed{red}`` and then ``after``, for ever if that is a word.

    With its blocks switched off, the next token depends on the last one alone: the row of the
    output matrix that belongs to the next token is the last token's embedding.
    """

    def make(after):
        folder = tmp_path_factory.mktemp("parrot")
        shutil.copytree(tiny_model_dir, folder, dirs_exist_ok=True)
        tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
        model = AutoModelForImageTextToText.from_pretrained(folder)
        chain = [*tokenizer.encode("\n"), *tokenizer.encode(ANSWER)]
        chain.append(tokenizer.convert_tokens_to_ids(after))
        assert len(set(chain)) == len(chain)
        is_end = after in ("<|im_end|>", "<|endoftext|>")
        following_tokens = chain[1:] if is_end else [*chain[1:], chain[-1]]
        with torch.no_grad():
            for layer in model.model.language_model.layers:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()
            embeddings = model.get_input_embeddings().weight
            model.lm_head.weight.zero_()
            for last, following in zip(chain, following_tokens, strict=False):
                model.lm_head.weight[following] += embeddings[last] / embeddings[last].norm()
        model.save_pretrained(folder)
        return folder, len(chain) - 1

    return make


@pytest.mark.parametrize("end", ["<|im_end|>", "<|endoftext|>"])
def test_a_right_answer_that_ends_scores_also_when_it_ends_on_the_limit(parrot, end):
    folder, n_tokens = parrot(end)
    rows = [sample(), toy_rows(2)[1], sample(ground_truth="blue")]
    answers = list(evaluate(folder, rows, max_new_tokens=n_tokens))
    assert [answer.response for answer in answers] == [ANSWER] * 3
    assert [answer.n_tokens for answer in answers] == [n_tokens] * 3
    assert [answer.grade.score for answer in answers] == [
        1.0,
        float(rows[1].ground_truth == "red"),
        0.0,
    ]
    [cut] = evaluate(folder, rows[:1], max_new_tokens=n_tokens - 1)
    assert (cut.response, cut.grade.outcome) == (ANSWER, Outcome.TRUNCATED)


def test_a_right_answer_that_never_ends_scores_nothing(parrot):
    folder, _ = parrot("!")
    [answer] = evaluate(folder, [sample()], max_new_tokens=30)
    assert answer.response.startswith(f"{ANSWER}!!!")
    assert answer.n_tokens == 30
    assert (answer.grade.outcome, answer.grade.score) == (Outcome.TRUNCATED, 0.0)


def test_choices_reach_the_grader(parrot):
    folder, n_tokens = parrot("<|im_end|>")
    row = sample(ground_truth="B", choices=["blue", "red"])
    [answer] = evaluate(folder, [row], n_tokens)
    assert answer.grade.score == 1.0


def test_accuracy_by_source(parrot):
    folder, n_tokens = parrot("<|im_end|>")
    rows = [
        sample(data_source="b"),
        sample(data_source="b", ground_truth="blue"),
        sample(data_source="a"),
    ]
    assert list(accuracy_by_source(evaluate(folder, rows, n_tokens)).items()) == [
        ("a", 1.0),
        ("b", 0.5),
    ]
    assert accuracy_by_source([]) == {}


def test_no_rows_no_answers(tiny_model_dir):
    assert list(evaluate(tiny_model_dir, [], 4)) == []


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("What is it?", ["What is it?"]),
        ("<image>What is it?", [None, "What is it?"]),
        ("Is <image> like <image>?", ["Is ", None, " like ", None, "?"]),
        ("<image><image>", [None, None]),
    ],
)
def test_placeholders_become_image_parts(content, parts):
    row = sample(
        prompt=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    )
    assert chat_messages(row) == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "image"} if part is None else {"type": "text", "text": part}
                for part in parts
            ],
        },
    ]
