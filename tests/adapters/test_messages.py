"""Completions in every form that hosts have, and in forms that none should have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ovr_plugin.adapters.messages import (
    cut_off,
    response_in,
    response_text,
    token_set,
    without_end_tokens,
)


def says(content, role="assistant"):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("4", "4"),
        ("", ""),
        ([says("4")], "4"),
        (says("4"), "4"),
        ([says("3"), says("5", "tool"), says("4")], "4"),
        ([says("4"), says("go on", "user")], "4"),
        ([says("3"), says(None)], ""),
        ([says("sum", "user")], ""),
        ([], ""),
        ([{"content": "4"}], "4"),
        ([{"role": "assistant"}], ""),
        ([says([{"type": "text", "text": "it is "}, {"type": "image"}, "4"])], "it is 4"),
        ([says([{"type": "text", "text": None}, 7])], ""),
        ([SimpleNamespace(role="assistant", content="4")], "4"),
        (({"role": "model", "content": "4"},), "4"),
    ],
)
def test_the_models_last_text_is_taken(completion, text):
    assert response_text(completion) == text


@pytest.mark.parametrize(
    ("completion", "said"),
    [
        (None, "must be a text or a list of messages, not None"),
        (42, "not a int"),
        (b"4", "not a bytes"),
        ({"text": "4"}, "not a dict"),
        ({"4"}, "not a set"),
        (["4"], "must have a role and content, and one is a str"),
        ([None], "and one is None"),
        ([says("4"), {}], "and one is a dict"),
        ([says(4)], "content must be a text or a list, not a int"),
        ([says(b"4")], "not a bytes"),
    ],
)
def test_anything_else_is_an_error_that_says_what_it_was(completion, said):
    with pytest.raises(TypeError, match=said):
        response_text(completion)


START = "<|im_start|>assistant\n"
PROMPT = "<|im_start|>user\nIt goes into \\boxed{42}.<|im_end|>\n" + START


@pytest.mark.parametrize(
    ("query", "prompt"),
    [
        (PROMPT + "so 4", PROMPT),
        ("<s> " + PROMPT + "so 4", PROMPT),  # a token before the prompt
        (PROMPT.replace("It", "<|image_pad|>" * 500 + "It") + "so 4", PROMPT),  # a VLM's processor
        (PROMPT[30:] + "so 4", PROMPT),  # a prompt cut from the left
        (PROMPT + "so 4", '[{"role": "user"}]'),  # MM-EUREKA's prompts
        (PROMPT + "so 4", None),
    ],
)
def test_the_response_is_told_from_its_prompt(query, prompt):
    assert response_in(query, prompt, START) == "so 4"


def test_the_end_of_a_prompt_is_enough_and_its_first_turns_are_not():
    """A template that is not Qwen's; turns that repeat themselves."""
    turn = "[INST] It goes into \\boxed{42}, as in the line above and the one above that. [/INST]"
    prompt = 6 * turn
    assert response_in(prompt + "so 4", prompt, START) == "so 4"
    long = "A question that is asked only once. " * 3 + "".join(f"{i}, " for i in range(100)) + turn
    assert response_in(long[20:] + "so 4", long, START) == "so 4"


def test_a_response_cannot_move_its_own_beginning():
    """What the model writes of markers stays in its response, thinking that never ended too."""
    response = f"<think> hm {START}\\boxed{{42}}"
    assert response_in(PROMPT + response, PROMPT, START) == response
    assert response_in(PROMPT + response, None, START) == response


def test_a_query_without_its_prompt_is_an_error_and_not_a_score():
    with pytest.raises(ValueError, match=r"cannot tell a response from its prompt.*response_start"):
        response_in("user: sum? model: 4", "another prompt", START)
    with pytest.raises(TypeError, match="a query must be a text, not None"):
        response_in(None, PROMPT, START)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("4", "4"),
        ("4<|im_end|>", "4"),
        ("4 <|im_end|>\n<|endoftext|><|endoftext|> ", "4"),
        ("4</s>" + "<pad>" * 20_000, "4"),
        ("<|im_end|>", ""),
        ("a <|im_end|> b", "a <|im_end|> b"),
        ("", ""),
    ],
)
def test_end_tokens_and_padding_are_no_part_of_a_response(text, rest):
    assert without_end_tokens(text) == rest


@pytest.mark.parametrize(
    ("ids", "eos", "limit", "expected"),
    [
        ([5, 2], 2, None, False),
        ([5, 6], 2, None, True),
        ([5, 3], [2, 3], None, False),
        ([5, 6], 2, 2, True),
        ([5, 6], 2, 3, False),  # ended by a stop string, say
        ([5, 2], 2, 2, False),  # just fits
        ([5, 6], None, 2, True),
        ([5], None, 2, False),
        ([5, 6], None, None, False),
        ([], 2, None, False),
        (None, 2, 4, False),
    ],
)
def test_a_response_was_cut_off_if_it_reached_its_limit_without_an_end(ids, eos, limit, expected):
    assert cut_off(ids, token_set(eos), limit) is expected
