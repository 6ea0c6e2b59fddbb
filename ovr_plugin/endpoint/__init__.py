"""A served model: messages in, completions out, over the OpenAI-compatible HTTP interface.

`client` asks and retries, `messages` turns prompts with pictures into the interface's form, `jobs`
runs a whole file of questions at once and goes on where it stopped. Pass rates, distillation and
evaluation use these three.
"""

from ovr_plugin.endpoint.client import (
    Completion,
    Endpoint,
    EndpointDown,
    RequestFailed,
    Sampling,
    Usage,
)
from ovr_plugin.endpoint.messages import chat_messages

__all__ = [
    "Completion",
    "Endpoint",
    "EndpointDown",
    "RequestFailed",
    "Sampling",
    "Usage",
    "chat_messages",
]
