"""OVR's pieces inside veRL's trainers: engines and their settings, agent loop, length schedule.

Importing it is asking for OVR: a config that names one of these classes, unpickled in a worker of
veRL, must not find veRL's own engines there.
"""

import verl  # noqa: F401 (whole, and the plugin with it, before any module here begins)

from ovr_plugin.registration import hook_into_verl

hook_into_verl()
