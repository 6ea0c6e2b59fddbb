"""Defects of veRL 0.9.1 that OVR runs into, one file each; a file goes when upstream has fixed it.

- ``text_only_batches`` (B1): micro-batches without an image crash Qwen2.5-VL.
- ``trl_import`` (B2): a trl without the value-head class breaks every FSDP engine.
- the critic of a VLM (B3, B4) and ``freeze_vision_tower`` (B5, B6): ``ovr_plugin.trainer.engine``.
- ``file_logger``: the metrics file is emptied whenever a run resumes.
- ``gloo_backend``: process groups ask for "cpu:gloo,cpu:gloo" on the CPU platform.
- ``weights_socket``: two runs on one machine send their weights to each other.
- ``attention_without_flash``: packing asks for flash-attn whatever the attention.
- ``padded_micro_batches``: without packing, long rows among short ones multiply time and memory.
- ``logprobs_of_packed_rows``: without flash-attn, log-probabilities are computed token by token.

``tests/fixes`` fails for a file whose defect is gone.
"""
