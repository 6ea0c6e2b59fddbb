"""Sizes and settings in, bytes per GPU of every phase out, and what to change where it is too much.

Exact, because they follow from shapes: weights, gradients and Adam's moments of a rank's shards, in
the type in which veRL's FSDP engine keeps them (``model_dtype``, float32 unless set). Estimated,
with the formula beside the number: activations, logits, what vLLM needs beside weights and cache.
The estimates are rough upper bounds of a training step with gradient checkpointing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ovr_plugin.planning.batches import batch_problems
from ovr_plugin.planning.models import ModelSizes, n_elements, shard_elements
from ovr_plugin.planning.recipe import RecipeSettings, Role

GIB = 2**30
FLOAT32, BFLOAT16 = 4, 2
ADAM_MOMENTS = 2
# Memory that neither torch's tensors nor vLLM's share hold: contexts, NCCL, fragmentation.
RESERVE_BYTES = 4 * GIB
VLLM_WORK_BYTES = 3 * GIB
LOGITS_BYTES = BFLOAT16 + 2 * FLOAT32  # of one: itself, its float32 softmax and their gradient
LOGITS_CHUNK = 2048  # positions at a time where they are made in chunks


@dataclass(frozen=True)
class Term:
    """One line of a phase: bytes on the fullest GPU, and where the number comes from."""

    name: str
    n_bytes: int
    formula: str
    exact: bool = False


@dataclass
class Phase:
    """What is on a GPU at one time."""

    name: str
    terms: list[Term] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """All of it."""
        return sum(term.n_bytes for term in self.terms)


@dataclass(frozen=True)
class StageFit:
    """One stage of the length schedule: sequences that vLLM can hold at once, and what stops it."""

    first_iteration: int
    tokens: int
    n_sequences: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The phases, the stages, all that does not fit with the keys that change it, and remarks."""

    phases: tuple[Phase, ...]
    stages: tuple[StageFit, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def resident_terms(
    role: Role, shapes: Mapping[str, tuple[int, ...]], n_ranks: int, at_work: bool
) -> list[Term]:
    """A rank's weights, Adam's moments and, at work, gradients: exact.

    With ``offload_policy`` all of these are in the CPU's memory, at work too.
    """
    if role.shards_on_cpu:
        return []
    n_ranks = _shard_ranks(role, n_ranks)
    all_elements = shard_elements(shapes.values(), n_ranks)
    trained = shard_elements(_trained(role, shapes), n_ranks)
    size = role.weight_bytes
    terms = []
    if at_work or not role.param_offload:
        n_bytes = size * all_elements
        terms.append(_exact(f"{role.name}: weights", n_bytes, f"{size} B x shard"))
    if at_work or not role.optimizer_offload:
        n_bytes = ADAM_MOMENTS * size * trained
        how = f"{ADAM_MOMENTS * size} B x trained shard"
        terms.append(_exact(f"{role.name}: Adam's moments", n_bytes, how))
    if at_work:
        n_bytes = size * trained
        terms.append(_exact(f"{role.name}: gradients", n_bytes, f"{size} B x trained shard"))
    return terms


def make_plan(settings: RecipeSettings, sizes: ModelSizes, gpu_bytes: int) -> Plan:
    """Work out every phase of an iteration for GPUs of ``gpu_bytes``."""
    n_ranks = settings.n_nodes * settings.gpus_per_node
    shapes = {"policy": sizes.policy, "critic": sizes.critic}
    phases = [_rollout_phase(settings, sizes, shapes, n_ranks, gpu_bytes)]
    for role in settings.roles:
        phase = Phase(f"training the {role.name}")
        for other in settings.roles:
            phase.terms += resident_terms(other, shapes[other.name], n_ranks, other is role)
        phase.terms += working_terms(role, sizes, shapes[role.name], n_ranks)
        phases.append(phase)
    # Where vLLM has no room for one sequence, a smaller share of the memory is no way out.
    longest = settings.prompt_length + max(tokens for _, tokens in settings.stages)
    needed = longest * _kv_bytes_per_gpu(settings, sizes)
    roomy = cache_bytes(settings, sizes, gpu_bytes) >= needed
    problems = [text for phase in phases for text in _too_much(phase, settings, gpu_bytes, roomy)]
    problems += _cluster_problems(settings, sizes, n_ranks)
    stages = tuple(
        _stage(first, tokens, settings, sizes, gpu_bytes) for first, tokens in settings.stages
    )
    return Plan(tuple(phases), stages, tuple(problems))


def kv_bytes_per_token(sizes: ModelSizes) -> int:
    """Keys and values of one token over all layers, bfloat16."""
    return 2 * sizes.layers * sizes.kv_heads * sizes.head_dim * BFLOAT16


def _kv_bytes_per_gpu(settings: RecipeSettings, sizes: ModelSizes) -> int:
    """Of one token; GPUs beyond the number of heads hold copies of them, as vLLM has it."""
    return kv_bytes_per_token(sizes) // min(settings.tensor_parallel, sizes.kv_heads)


def cache_bytes(settings: RecipeSettings, sizes: ModelSizes, gpu_bytes: int) -> int:
    """What vLLM's share leaves for keys and values, on one GPU."""
    weights = BFLOAT16 * n_elements(sizes.policy.values()) // settings.tensor_parallel
    return int(settings.kv_share * gpu_bytes) - weights - VLLM_WORK_BYTES


def _trained(role: Role, shapes: Mapping[str, tuple[int, ...]]) -> Iterable[tuple[int, ...]]:
    return (
        shape
        for name, shape in shapes.items()
        if not (role.frozen_tower and "visual" in name.split("."))
    )


def _rollout_phase(
    settings: RecipeSettings,
    sizes: ModelSizes,
    shapes: Mapping[str, Mapping[str, tuple[int, ...]]],
    n_ranks: int,
    gpu_bytes: int,
) -> Phase:
    phase = Phase("rollout")
    for role in settings.roles:
        phase.terms += resident_terms(role, shapes[role.name], n_ranks, at_work=False)
    weights = BFLOAT16 * n_elements(sizes.policy.values()) // settings.tensor_parallel
    cache = max(0, cache_bytes(settings, sizes, gpu_bytes))
    share = f"gpu_memory_utilization={settings.kv_share:g} x GPU - weights - work"
    phase.terms += [
        _exact("vLLM: weights", weights, "2 B x model / tensor parallel"),
        Term("vLLM: work", VLLM_WORK_BYTES, "3 GiB, from experience"),
        Term("vLLM: keys and values", cache, share),
    ]
    return phase


def working_terms(
    role: Role, sizes: ModelSizes, shapes: Mapping[str, tuple[int, ...]], n_ranks: int
) -> list[Term]:
    """What a role at work needs beside the shards: the passes or Adam's step, whichever is more.

    They come one after the other: activations are gone when the optimizer steps.
    """
    passes = _pass_terms(role, sizes)
    if role.whole_gradients:
        n_bytes = role.reduce_bytes * n_elements(_trained(role, shapes))
        how = f"{role.reduce_bytes} B x trained weights, until the last micro-batch"
        passes.append(_exact("gradients not yet reduced", n_bytes, how))
    step = _adam_step(role, shapes, n_ranks)
    needed = sum(term.n_bytes for term in passes)
    return passes if role.shards_on_cpu or needed > step.n_bytes else [step]


def _pass_terms(role: Role, sizes: ModelSizes) -> list[Term]:
    """What a forward and backward pass of one micro-batch needs beside the shards."""
    tokens = role.tokens_per_gpu
    kept = sizes.layers * tokens * sizes.hidden * BFLOAT16
    layer = tokens * (3 * sizes.intermediate + 12 * sizes.hidden) * BFLOAT16
    gathered = 2 * BFLOAT16 * _largest_layer(sizes)
    terms = [
        Term("activations kept", kept, f"layers x {tokens:,} tokens x hidden x 2 B"),
        Term("one layer again", layer, "tokens x (3 intermediate + 12 hidden) x 2 B"),
        Term("gathered weights", gathered, "2 layers x 2 B"),
    ]
    if role.has_logits:
        positions = min(tokens, LOGITS_CHUNK) if role.chunked_logits else tokens
        n_bytes = positions * sizes.vocabulary * LOGITS_BYTES
        terms.append(
            Term("logits", n_bytes, f"{positions:,} tokens x vocabulary x {LOGITS_BYTES} B")
        )
    return terms


def _adam_step(role: Role, shapes: Mapping[str, tuple[int, ...]], n_ranks: int) -> Term:
    """The square roots of all second moments, which torch's AdamW makes at once on a GPU.

    Measured: a training step of 1.4 to 1.7 billion parameters on one H100 peaked here.
    """
    trained = shard_elements(_trained(role, shapes), _shard_ranks(role, n_ranks))
    size = role.weight_bytes
    return _exact("Adam's step", size * trained, f"{size} B x trained shard")


def _shard_ranks(role: Role, n_ranks: int) -> int:
    return min(n_ranks, role.shard_ranks) if role.shard_ranks > 0 else n_ranks


def _largest_layer(sizes: ModelSizes) -> int:
    layers: dict[str, int] = {}
    for name, shape in sizes.policy.items():
        part = name.partition(".layers.")[2].partition(".")[0] or name
        layers[part] = layers.get(part, 0) + n_elements([shape])
    return max(layers.values())


def _too_much(phase: Phase, settings: RecipeSettings, gpu_bytes: int, roomy: bool) -> list[str]:
    over = phase.n_bytes + RESERVE_BYTES - gpu_bytes
    if over <= 0:
        return []
    remedies = [
        f"{role.prefix}.{key}=true"
        for role in settings.roles
        for key in ("optimizer_offload", "param_offload")
        if not getattr(role, key) and not role.shards_on_cpu
    ]
    if phase.name == "rollout":
        key = "gpu_memory_utilization" if roomy else "tensor_model_parallel_size"
        remedies.append(f"a {'smaller' if roomy else 'larger'} actor_rollout_ref.rollout.{key}")
    else:
        remedies += whole_gradients_remedy(settings.roles)
        remedies.append("a smaller token budget with a larger ulysses_sequence_parallel_size")
        remedies.append("actor_rollout_ref.model.use_fused_kernels=true")
    remedies.append("more nodes")
    return [
        f"{phase.name}: {over / GIB:.1f} GiB too much (4 GiB kept free for contexts); "
        f"one or more of: {', '.join(remedies)}"
    ]


def whole_gradients_remedy(roles: Iterable[Role]) -> list[str]:
    """Keys that let gradients be reduced after every micro-batch, of the roles that do not."""
    key = "use_no_sync_for_gradient_accumulation"
    return [f"{role.prefix}.{key}=false" for role in roles if role.whole_gradients]


def _cluster_problems(settings: RecipeSettings, sizes: ModelSizes, n_gpus: int) -> list[str]:
    """What divides neither batches nor heads nor nodes, and would stop or change the run."""
    batches = [role.mini_batches for role in settings.roles]
    problems = batch_problems(settings.n_prompts, settings.n_samples, n_gpus, batches)
    for role in settings.roles:
        problems += role_problems(role, sizes, n_gpus)
    n = settings.tensor_parallel
    if settings.gpus_per_node % n:
        problems.append(
            f"rollout.tensor_model_parallel_size={n} does not divide {settings.gpus_per_node} GPUs "
            "of a node"
        )
    if sizes.heads % n:
        problems.append(
            f"rollout.tensor_model_parallel_size={n} does not divide the model's {sizes.heads} "
            "heads"
        )
    return problems


def role_problems(role: Role, sizes: ModelSizes, n_gpus: int) -> list[str]:
    """Heads that do not divide among the ranks of a sequence, GPUs not among groups of shards."""
    n, problems = role.sequence_ranks, []
    if sizes.heads % n or (sizes.kv_heads % n and n % sizes.kv_heads):
        problems.append(
            f"{role.mini_batches.sequence_key}={n} does not divide the model's {sizes.heads} "
            f"heads and {sizes.kv_heads} of keys and values"
        )
    if role.shard_ranks > 0 and n_gpus > role.shard_ranks and n_gpus % role.shard_ranks:
        problems.append(f"{role.prefix}.fsdp_size={role.shard_ranks} does not divide {n_gpus} GPUs")
    return problems


def _stage(
    first: int, tokens: int, settings: RecipeSettings, sizes: ModelSizes, gpu_bytes: int
) -> StageFit:
    longest = settings.prompt_length + tokens
    n_bytes = longest * _kv_bytes_per_gpu(settings, sizes)
    n_sequences = max(0, cache_bytes(settings, sizes, gpu_bytes)) // n_bytes
    problems = []
    if n_sequences < 1:
        problems.append(
            "not one sequence fits into vLLM's cache: raise rollout.tensor_model_parallel_size or, "
            "where the rollout leaves room, rollout.gpu_memory_utilization"
        )
    if longest > settings.max_model_len:
        problems.append(f"rollout.max_model_len={settings.max_model_len} is below {longest}")
    for role in settings.roles:
        budget = role.tokens_per_gpu * role.sequence_ranks
        if longest > budget:
            problems.append(
                f"the {role.name}'s budget of {role.tokens_per_gpu} x {role.sequence_ranks} tokens "
                f"is below {longest}: raise {role.prefix}.ulysses_sequence_parallel_size or it"
            )
    return StageFit(first, tokens, int(n_sequences), tuple(problems))


def _exact(name: str, n_bytes: int, formula: str) -> Term:
    return Term(name, n_bytes, formula, exact=True)
