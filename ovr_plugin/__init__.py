"""Open Vision Reasoner (arXiv 2507.05255) for the RL trainer veRL."""

__version__ = "0.1.0"
