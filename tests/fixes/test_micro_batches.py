"""Rows of like length in one micro-batch, and log-probabilities of packed tokens in blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovr_plugin.fixes.logprobs_of_packed_rows import BLOCK
from ovr_plugin.fixes.padded_micro_batches import rows_of_like_length, split_into

MAX_TOKENS = 64
lengths_of_rows = st.lists(st.integers(1, MAX_TOKENS), min_size=1, max_size=60)


def padded_tokens(parts: list[list[int]], lengths: list[int]) -> list[int]:
    return [len(part) * max(lengths[row] for row in part) for part in parts]


@given(lengths_of_rows)
def test_every_row_is_there_once_and_no_part_is_above_the_budget(lengths):
    parts = rows_of_like_length(lengths, MAX_TOKENS)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert max(padded_tokens(parts, lengths)) <= MAX_TOKENS


def test_a_long_row_costs_its_own_length_and_not_that_of_all():
    lengths = [10] * 12 + [50] + [10] * 12
    parts = rows_of_like_length(lengths, MAX_TOKENS)
    assert [12] in parts
    assert sum(padded_tokens(parts, lengths)) == sum(lengths)


@given(lengths_of_rows, st.integers(0, 8))
def test_more_parts_hold_the_same_rows_within_the_same_budget(lengths, n_more):
    parts = rows_of_like_length(lengths, MAX_TOKENS)
    n_parts = min(len(parts) + n_more, len(lengths))
    more = split_into(parts, n_parts)
    assert len(more) == n_parts
    assert all(more)
    assert sorted(row for part in more for row in part) == list(range(len(lengths)))
    assert max(padded_tokens(more, lengths)) <= MAX_TOKENS


def test_a_rank_with_too_few_rows_says_so():
    with pytest.raises(ValueError, match="4 micro-batches on another rank, 3 rows on this one"):
        split_into([[0, 1], [2]], 4)


def micro_batches(lengths: list[int], **settings):
    from verl.utils import tensordict_utils as tu
    from verl.workers.engine.fsdp import transformer_impl

    rows = [torch.full((n,), row) for row, n in enumerate(lengths)]
    ids = torch.nested.nested_tensor(rows, layout=torch.jagged)
    data = tu.get_tensordict({"input_ids": ids}, non_tensor_dict=settings)
    parts, order = transformer_impl.prepare_micro_batches(data)
    return [[int(row[0]) for row in part["input_ids"].unbind()] for part in parts], order


def test_verl_gets_the_rows_and_where_they_came_from():
    lengths = [30, 5, 31, 6]
    found, order = micro_batches(
        lengths, use_dynamic_bsz=True, use_remove_padding=False, max_token_len_per_gpu=MAX_TOKENS
    )
    assert found == order == [[1, 3], [0, 2]]


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dynamic_bsz": True, "max_token_len_per_gpu": 80, "use_remove_padding": True},
        {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 4, "use_remove_padding": False},
    ],
    ids=["packed", "of fixed size"],
)
def test_other_micro_batches_are_verls(settings):
    [found], _ = micro_batches([30, 5, 31, 6], **settings)
    assert sorted(found) == [0, 1, 2, 3]


def test_a_row_above_the_budget_is_refused_as_by_verl():
    with pytest.raises(AssertionError, match="max_token_len must be greater"):
        micro_batches(
            [65, 5], use_dynamic_bsz=True, use_remove_padding=False, max_token_len_per_gpu=64
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2 * BLOCK + 3,), (1,), (0,), (3, 5)])
def test_log_probabilities_and_their_gradients_are_those_of_a_softmax(shape, dtype):
    from verl.workers.engine.fsdp.transformer_impl import logprobs_from_logits

    random = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(*shape, 11, generator=random)).to(dtype)
    words = torch.randint(11, shape, generator=random)
    assert logprobs_from_logits.__globals__["logprobs_from_logits_v2"].ovr_fix
    ours, exact = logits.clone().requires_grad_(), logits.double().requires_grad_()
    found = logprobs_from_logits(ours, words)
    expected = exact.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 0, "atol": 0.1}
    torch.testing.assert_close(found.double(), expected, **tolerance)
    found.float().square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(
        ours.grad.double(), exact.grad, rtol=tolerance["rtol"], atol=3 * tolerance["atol"]
    )
