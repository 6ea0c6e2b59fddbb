"""The fake server, beside the tests of everything that asks a served model."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
