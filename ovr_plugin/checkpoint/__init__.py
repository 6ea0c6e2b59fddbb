"""Checkpoints as files: where each tensor's bytes lie, and their average (OVR 4.1)."""
