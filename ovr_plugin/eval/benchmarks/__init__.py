"""Benchmarks by name, one small file each: what is in it is mostly declarations.

A file has ``BENCHMARKS``, one or a few that share their rows' layout. The prompt is the recipe's
(`ovr_plugin.data.prompt`), as in training; where a benchmark needs a hint in the question, its file
has it.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules

from ovr_plugin.eval.benchmark import Benchmark
from ovr_plugin.eval.own_rows import ENDING, own_rows

# The rows of the paper's tables, in its order.
TEXT = ("aime24", "aime25", "math500", "gpqa_diamond", "mmlu", "mmlu_pro")
VISUAL = (
    *("mathvista", "mathvision", "mathverse", "dynamath", "wemath", "logicvista", "mmmu_pro"),
    *("charxiv_reasoning", "charxiv_descriptive"),
)
PERCEPTION = (
    *("mmbench_en", "mmbench_cn", "blink", "mmstar", "hallusionbench", "pope", "realworldqa"),
    *("phyx", "mme", "mmvet"),
)
SUITES = {
    "text": TEXT,
    "visual": VISUAL,
    "perception": PERCEPTION,
    "paper": TEXT + VISUAL + PERCEPTION,
}


def all_benchmarks() -> dict[str, Benchmark]:
    """Return every benchmark by its name."""
    found: dict[str, Benchmark] = {}
    for module in iter_modules(__path__):
        if module.name[0] != "_":
            for benchmark in import_module(f"{__name__}.{module.name}").BENCHMARKS:
                found[benchmark.name] = benchmark
    return found


def of_suites(names: list[str]) -> frozenset[str]:
    """The benchmarks that come with a suite and are not named themselves."""
    return frozenset(each for name in names for each in SUITES.get(name, ())) - set(names)


def get_benchmarks(names: list[str]) -> list[Benchmark]:
    """Return benchmarks by their names or those of suites, or parquet files, each once.

    Raises:
        ValueError: naming those that are neither, and what there is; two files of one name.
        FileNotFoundError: a parquet file is not there.
    """
    files = {name: own_rows(name) for name in names if name.endswith(ENDING)}
    known = all_benchmarks() | files
    if len({file.name for file in files.values()}) < len(files):
        raise ValueError("two files have one name, and with it one folder of results; rename one")
    wanted = [each for name in names for each in SUITES.get(name, (name,))]
    if unknown := sorted(set(wanted) - set(known)):
        raise ValueError(
            f"no benchmark named {', '.join(unknown)}{_meant(unknown, [*known, *SUITES])}; there "
            f"are {', '.join(sorted(known))}, and the suites {', '.join(SUITES)}"
        )
    return [known[name] for name in dict.fromkeys(wanted)]


def _meant(unknown: list[str], known: list[str]) -> str:
    """Which names were probably meant, also where hyphens, spaces or capitals tell them apart."""
    plain = {_plain(name): name for name in known}
    near = [plain[each] for name in unknown for each in get_close_matches(_plain(name), plain)]
    return f" (perhaps {' or '.join(dict.fromkeys(near))}?)" if near else ""


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
