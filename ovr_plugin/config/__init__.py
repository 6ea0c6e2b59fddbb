"""The recipes, as Hydra config groups: ``+ovr=NAME`` composes ``ovr/NAME.yaml``."""
