"""What importing an adapter brings in: nothing of any host, nor torch."""

from __future__ import annotations

import json
from pathlib import Path

import ovr_plugin.adapters

NAMES = sorted(
    path.stem
    for path in Path(ovr_plugin.adapters.__file__).parent.glob("*.py")
    if path.stem[0] != "_"
)
HEAVY = (
    *("torch", "numpy", "ray", "transformers", "datasets", "verl", "vllm", "sympy", "math_verify"),
    *("trl", "swift", "openrlhf", "areal", "verifiers", "slime", "nemo_rl", "open_r1"),
)


def test_importing_adapters_imports_no_host(run_python):
    code = (
        "import importlib, json, sys\n"
        f"for name in {NAMES}: importlib.import_module('ovr_plugin.adapters.' + name)\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert {"trl", "slime", "verifiers", "areal"} <= set(NAMES)
