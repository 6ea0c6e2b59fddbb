"""The reward: binary correctness of the boxed answer (OVR 3.2). Its import is a light one.

`extract` finds the answer, `compare` decides by text, `pool` and `worker` by algebra in processes
that can be killed, `score` puts them together; `verl_manager` is the trainer's side.
"""

from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.score import Grade, Outcome, compute_score, grade, grade_async

__all__ = ["Grade", "Outcome", "Pool", "compute_score", "grade", "grade_async"]
