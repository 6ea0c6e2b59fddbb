"""One reward, the form that each trainer calls: adapters translate, `ovr_plugin.reward` grades.

==================  ================================================================================
`trl`               TRL's GRPO and RLOO: ``CorrectnessReward``
`open_r1`           Open R1: ``accuracy_reward``, and its GRPO script started with it
`ms_swift`          ms-swift's ORM registry: ``register``
`easyr1`            EasyR1, batch and sequential: ``compute_score``
`openrlhf`          OpenRLHF: ``reward_func``
`mm_eureka`         MM-EUREKA (an OpenRLHF of early 2025): ``reward_func``
`slime`             slime, one sample or a group: ``reward``
`areal`             AReaL: ``reward_fn``
`verifiers`         verifiers, a legacy rubric's function and v1's; prime-rl
`nemo_rl`           NeMo-RL: an environment, and the form of its VLM reward functions
==================  ================================================================================

What the adapters share is in `columns` (rows), `messages` (responses) and `grading` (settings and
counts). A row may know the same things everywhere: its reference and `ovr_plugin.reward.spec`'s
facts. A reference that cannot be graded is counted and warned of; where a host can leave a sample
out, it is told to. None of these modules imports its host, nor torch, before it is called.

Do not put this folder on ``sys.path``: its files have the names of the hosts.
"""
