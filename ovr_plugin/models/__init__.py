"""Models: the value model that PPO's critic needs and the tiny models that run anywhere."""
