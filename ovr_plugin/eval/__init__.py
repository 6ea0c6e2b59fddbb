"""Evaluation of checkpoints with the grader that training used."""
