"""The benchmarks, by name, in the order in which they run."""

from typing import Final

from bench.benchmark import Benchmark
from bench.benchmarks.drain import DrainHotTenant, DrainLimit, DrainOneByOne

BENCHMARKS: Final[dict[str, type[Benchmark]]] = {kind.name: kind for kind in (DrainOneByOne, DrainLimit, DrainHotTenant)}
