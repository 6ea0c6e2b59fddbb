"""A served model: messages in, completions out, over the OpenAI-compatible HTTP interface.

`client` asks and retries, `health` tells when nobody is there any more, `messages` turns prompts
with pictures into the interface's form, `jobs` runs a whole file of questions at once and goes on
where it stopped. Pass rates, distillation and evaluation use these.
"""

from ovr_plugin.endpoint.client import Endpoint, RequestFailed, Sampling, Usage
from ovr_plugin.endpoint.completions import Completion
from ovr_plugin.endpoint.health import EndpointDown
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
