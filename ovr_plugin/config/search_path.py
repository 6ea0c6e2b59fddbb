"""Hydra's side of ``+ovr=NAME``: this package on the search path, after veRL's own configs."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin


class OVRSearchPath(SearchPathPlugin):
    """Appends ``ovr_plugin.config``; appended, so that it can shadow nothing of veRL's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """See ``hydra.plugins.search_path_plugin``."""
        search_path.append(provider="ovr-plugin", path="pkg://ovr_plugin.config")


def register_search_path() -> None:
    """Register with Hydra's plugin registry; no top-level ``hydra_plugins`` package is needed."""
    plugins = Plugins.instance()
    if OVRSearchPath not in plugins.discover(SearchPathPlugin):
        plugins.register(OVRSearchPath)
