"""What a run says afterwards: plots and rollouts."""
