"""The benchmarks, by name, in the order in which they run."""

from typing import Final

from bench.benchmark import Benchmark
from bench.benchmarks.caches import Caches
from bench.benchmarks.drain import DrainHotTenant, DrainLimit, DrainOneByOne, DrainTwoConsumers
from bench.benchmarks.fanout import FanOut, Rooms
from bench.benchmarks.footprint import Footprint
from bench.benchmarks.latency import Arrival, Latency
from bench.benchmarks.post import LoadGenerator, Post
from bench.benchmarks.reads import Reads
from bench.benchmarks.rebuild import Rebuild
from bench.benchmarks.stored import Stored

_ALL: Final[tuple[type[Benchmark], ...]] = (
    DrainOneByOne,
    DrainLimit,
    DrainHotTenant,
    DrainTwoConsumers,
    LoadGenerator,
    Post,
    Latency,
    Arrival,
    Reads,
    Caches,
    FanOut,
    Rooms,
    Stored,
    Rebuild,
    Footprint,
)
BENCHMARKS: Final[dict[str, type[Benchmark]]] = {kind.name: kind for kind in _ALL}
