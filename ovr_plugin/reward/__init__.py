"""The reward: binary correctness of the boxed answer (OVR 3.2). Its import is a light one.

`extract` finds the answer, `compare` decides by text, `pool` and `worker` by algebra in processes
that can be killed, `score` puts them together. `verl_manager`, `verl_functions` and
`verl_legacy_manager` are what veRL calls.
"""

from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.score import Grade, Outcome, grade, grade_async, grade_batch
from ovr_plugin.reward.verl_functions import compute_score

__all__ = ["Grade", "Outcome", "Pool", "compute_score", "grade", "grade_async", "grade_batch"]
