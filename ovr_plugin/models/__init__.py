"""Models: the value model that PPO's critic needs and the tiny Qwen2.5-VL that runs anywhere."""
