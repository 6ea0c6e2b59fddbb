"""Freed memory that is kept: the kernel is not asked again for the next tensor's pages."""

import sys

import pytest

FAULTS = """
import resource, sys
from ovr_plugin.platform.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def filled():  # 32 MiB, every page touched, and freed at once
    bytearray(1 << 25)[:: 4096]
    memory = bytearray(b"x") * (1 << 25)
    return len(memory)

def of_ten():
    filled()
    before = faults()
    for _ in range(10):
        filled()
    return faults() - before

stock = of_ten()
print(keep_freed_memory(), stock, of_ten())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_used_again(run_python):
    process = run_python(FAULTS)
    kept, stock, ours = process.stdout.split() or [process.stderr[-2000:], "0", "0"]
    assert kept == "True"
    assert int(stock) > 10_000  # 8192 pages each, or fewer larger ones
    assert int(ours) < int(stock) / 10
