"""The benchmarks, by name, in the order in which they run."""

from typing import Final

from bench.benchmark import Benchmark
from bench.benchmarks.drain import DrainHotTenant, DrainLimit, DrainOneByOne
from bench.benchmarks.latency import Arrival, Latency
from bench.benchmarks.post import LoadGenerator, Post

_ALL: Final[tuple[type[Benchmark], ...]] = (
    DrainOneByOne,
    DrainLimit,
    DrainHotTenant,
    LoadGenerator,
    Post,
    Latency,
    Arrival,
)
BENCHMARKS: Final[dict[str, type[Benchmark]]] = {kind.name: kind for kind in _ALL}
