"""A plugin file for ms-swift: ``--external_plugins ms_swift_plugin.py --reward_funcs ovr``."""

from ovr_plugin.adapters.ms_swift import register

register("ovr")
