"""Score toy responses with ms-swift: its plugin loader, its registry, its GRPO's scoring.

usage: python examples/rewards/with_ms_swift.py

ms-swift has to be installed beside the plugin (seen with 4.6.0). Prints the scores as JSON. In a
run it is ``--external_plugins examples/rewards/ms_swift_plugin.py --reward_funcs ovr``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import score_completions
from swift.rlhf_trainers.utils import resolve_reward_funcs
from swift.utils.utils import import_external_file
from toy_rows import TOY_ROWS


def main() -> None:
    """Score and print."""
    import_external_file(str(Path(__file__).parent / "ms_swift_plugin.py"))
    rewards, names = resolve_reward_funcs(["ovr"])
    samples = [
        GRPOSample(
            messages=[
                {"role": "user", "content": "?"},
                {"role": "assistant", "content": row.response},
            ],
            extra={"solution": row.answer, **row.facts},
            finish_reason="length" if row.cut_off else "stop",
        )
        for row in TOY_ROWS
    ]
    scored = score_completions(samples, rewards, [None], False, torch.device("cpu"))
    scores = [None if math.isnan(score) else score for score in scored[:, 0].tolist()]
    print(json.dumps({"name": names[0], "scores": scores}))


if __name__ == "__main__":
    main()
