"""The CPU platform: veRL and vLLM on a machine without an accelerator."""
