"""veRL's agent-loop worker that does once what veRL does again for every response.

veRL makes an agent loop for each response, tokenises a prompt for each of its n samples, and runs
the processor over its pictures three times for each (to tokenise, to score the response, to store
it), two of them in the event loop that all responses of the worker share. An agent loop of one turn
holds nothing of its response, and the samples of a prompt have the same tokens and pictures; so one
loop, and once instead of n and 3 n times.
Upstream: verl/experimental/agent_loop/agent_loop.py, verl/trainer/ppo/v1/agent_loop_tq.py (0.9.1).
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from transformers import BatchFeature
from verl.experimental.agent_loop.agent_loop import DictConfigWrap
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.utils.rollout_trace import rollout_trace_attr

from ovr_plugin.trainer.agent_loop import NAME, OVRSingleTurnAgentLoop, tokenising_once

CACHE_BYTES = 256 * 2**20  # of each worker: about ten pictures of a million pixels


actor: Any = AgentLoopWorkerTQ  # Ray's decorator hides the class
Worker: Any = actor.__ray_metadata__.modified_class.__ray_actor_class__


class OVRAgentLoopWorker(Worker):
    """Subclass of what veRL made a Ray actor of; ``rollout_manager.py`` makes one of this."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop: OVRSingleTurnAgentLoop | None = None
        self._multi_modal_inputs: dict[int, dict[str, Any]] = {}  # by id of the output
        if hasattr(self.processor, "image_processor"):
            self.processor.image_processor = RememberingImageProcessor(
                self.processor.image_processor
            )

    async def _run_prompt(self, prompt: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        with tokenising_once():
            await super()._run_prompt(prompt, *args, **kwargs)

    async def _run_agent_loop(
        self, sampling_params: dict[str, Any], trajectory: dict[str, Any], **kwargs: Any
    ) -> Any:
        if kwargs.get("agent_name") != NAME or kwargs.get("trace"):
            return await super()._run_agent_loop(sampling_params, trajectory, **kwargs)
        row = {key: value for key, value in kwargs.items() if key not in ("agent_name", "trace")}
        with rollout_trace_attr(trace=False):
            output = await self._own_loop().run(sampling_params, **row)
            return await self._agent_loop_postprocess(output, trajectory["validate"], **row)

    def _own_loop(self) -> OVRSingleTurnAgentLoop:
        if self._loop is None:
            self._loop = OVRSingleTurnAgentLoop(
                trainer_config=DictConfigWrap(config=self.config),
                server_manager=self.llm_client,
                tokenizer=self.tokenizer,
                processor=self.processor,
                dataset_cls=self.dataset_cls,
                data_config=DictConfigWrap(self.config.data),
                hf_model_type=self.hf_model_type,
            )
        return self._loop

    async def _agent_loop_postprocess(self, output: Any, validate: bool, **kwargs: Any) -> Any:
        try:
            return await super()._agent_loop_postprocess(output, validate, **kwargs)
        finally:
            for each in output if isinstance(output, list) else [output]:
                self._multi_modal_inputs.pop(id(each), None)

    def _compute_multi_modal_inputs(self, output: Any, input_ids: Any) -> dict[str, Any]:
        made = self._multi_modal_inputs.get(id(output))
        if made is None:
            made = super()._compute_multi_modal_inputs(output, input_ids)
            self._multi_modal_inputs[id(output)] = made
        return dict(made)  # its caller takes things out


class RememberingImageProcessor:
    """An image processor that remembers what it returned for the last pictures.

    Args:
        image_processor: of transformers; all else about it is as before.
        max_bytes: of pixel values to keep; the oldest go first.
    """

    def __init__(self, image_processor: Any, max_bytes: int = CACHE_BYTES) -> None:
        self._image_processor = image_processor
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._returned: OrderedDict[bytes, BatchFeature] = OrderedDict()
        self._lock = Lock()  # prompts are tokenised in threads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._image_processor, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is the plain one: a processor is printed and saved by copies of its parts."""
        return copy.copy, (self._image_processor,)

    def __call__(self, images: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As the image processor's own; only lists of PIL pictures are remembered."""
        key = _key(images, args, kwargs)
        if key is None:
            return self._image_processor(images, *args, **kwargs)
        with self._lock:
            found = self._returned.get(key)
        if found is None:
            found = self._image_processor(images, *args, **kwargs)
            self._keep(key, found)
        return BatchFeature(dict(found))  # its caller may add to it

    def _keep(self, key: bytes, returned: BatchFeature) -> None:
        with self._lock:
            if key in self._returned:
                return
            self._returned[key] = returned
            self._n_bytes += _n_bytes(returned)
            while self._n_bytes > self._max_bytes:
                _, oldest = self._returned.popitem(last=False)
                self._n_bytes -= _n_bytes(oldest)


def _key(images: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bytes | None:
    from PIL import Image

    if not isinstance(images, list) or not all(isinstance(each, Image.Image) for each in images):
        return None
    if any(image.mode in ("P", "PA") for image in images):  # whose colours are not in their bytes
        return None
    digest = hashlib.blake2b(repr((args, sorted(kwargs.items()))).encode(), digest_size=16)
    for image in images:
        digest.update(f"{image.mode} {image.size} ".encode())
        digest.update(image.tobytes())
    return digest.digest()


def _n_bytes(returned: BatchFeature) -> int:
    return sum(getattr(value, "nbytes", 0) for value in returned.values())
