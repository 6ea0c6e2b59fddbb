"""The cold start's settings and a model's sizes in, memory of each GPU and what to change out."""

from __future__ import annotations

from ovr_plugin.planning.memory import (
    GIB,
    RESERVE_BYTES,
    Phase,
    Plan,
    resident_terms,
    role_problems,
    whole_gradients_remedy,
    working_terms,
)
from ovr_plugin.planning.models import ModelSizes
from ovr_plugin.planning.recipe import ColdStartSettings


def plan_cold_start(settings: ColdStartSettings, sizes: ModelSizes, gpu_bytes: int) -> Plan:
    """Work out the one phase of the cold start (OVR 3.1) for GPUs of ``gpu_bytes``."""
    role, n_gpus = settings.role, settings.n_nodes * settings.gpus_per_node
    phase = Phase("cold start")
    phase.terms += resident_terms(role, sizes.policy, n_gpus, at_work=True)
    phase.terms += working_terms(role, sizes, sizes.policy, n_gpus)
    problems = _too_much(phase, settings, gpu_bytes)
    problems += role_problems(role, sizes, n_gpus)
    problems += _batch_problems(settings, n_gpus)
    notes = () if problems else (_note(settings, n_gpus),)
    return Plan((phase,), (), tuple(problems), notes)


def _too_much(phase: Phase, settings: ColdStartSettings, gpu_bytes: int) -> list[str]:
    over = phase.n_bytes + RESERVE_BYTES - gpu_bytes
    if over <= 0:
        return []
    role = settings.role
    # param_offload and optimizer_offload are no remedy: a step has everything on the GPU.
    remedies = whole_gradients_remedy([role])
    remedies.append("a smaller data.max_token_len_per_gpu with a larger " + _sequence_key(settings))
    if not role.chunked_logits:
        remedies.append("model.use_fused_kernels=true")
    if not role.shards_on_cpu:
        remedies.append(f"{role.prefix}.offload_policy=true (weights on the CPU, slower)")
    remedies.append("more nodes")
    return [
        f"cold start: {over / GIB:.1f} GiB too much (4 GiB kept free for contexts); "
        f"one or more of: {', '.join(remedies)}"
    ]


def _batch_problems(settings: ColdStartSettings, n_gpus: int) -> list[str]:
    """What veRL's SFT trainer would take silently: it rounds a group's share of a batch down."""
    role, n = settings.role, settings.role.sequence_ranks
    problems = []
    if n_gpus % n:
        problems.append(f"{_sequence_key(settings)}={n} does not divide {n_gpus} GPUs")
    elif settings.n_packs % (n_gpus // n):
        problems.append(
            f"data.train_batch_size={settings.n_packs} does not divide among {n_gpus // n} groups "
            f"of {n} GPUs: veRL would leave the rest out of every step"
        )
    if settings.pack_length > role.tokens_per_gpu * n:
        problems.append(
            f"the budget of {role.tokens_per_gpu} x {n} tokens is below a pack of "
            f"{settings.pack_length}: raise {_sequence_key(settings)} or data.max_token_len_per_gpu"
        )
    return problems


def _note(settings: ColdStartSettings, n_gpus: int) -> str:
    role, n = settings.role, settings.role.sequence_ranks
    n_groups = n_gpus // n
    return (
        f"packs of {settings.pack_length:,} tokens: a micro-batch of {role.tokens_per_gpu:,} x {n} "
        f"holds one; a step of {settings.n_packs} is {settings.n_packs // n_groups} packs for each "
        f"of {n_groups} groups of {n} GPUs"
    )


def _sequence_key(settings: ColdStartSettings) -> str:
    return settings.role.mini_batches.sequence_key
