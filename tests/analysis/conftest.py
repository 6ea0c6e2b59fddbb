"""The fake server of the endpoint's tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "endpoint"))
