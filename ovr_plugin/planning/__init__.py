"""Will a recipe fit a cluster? Sizes of models, memory of each phase, and what to change."""
