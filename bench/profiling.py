"""Where the time goes: the services under load, looked into by py-spy, and the statements that PostgreSQL ran.

``python -m bench profile post`` prints, per service, how its busy time is spread over packages and over functions,
and, of the database, each statement with its calls and its time; it writes the stacks beside the results, for a flame
graph. Only what holds the interpreter is counted: a thread that waits is no work. Looking costs time itself (py-spy
stops a process 200 times a second), so that shares are told here and no speeds.
"""

import asyncio
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from bench.benchmarks.fanout import FanOut, Rooms
from bench.benchmarks.reads import Reads
from bench.consumer import drain_at, warm_up
from bench.stage import Stage, add_artists, analyze, new_tenants, tenant_id
from bench.systems import Tenants, ours
from bench.workload import Workload
from local_stack.databases import Database

HZ: Final = 200
SECONDS: Final = 10.0
TENANTS: Final = 50
COMMANDS: Final = 40_000
MOST: Final = 25

_FRAME: Final = re.compile(r"(?P<function>.+) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)$")
_STATEMENTS: Final = """
    select calls, round(total_exec_time::numeric, 1) as ms, round((total_exec_time / calls)::numeric, 3) as ms_each,
        rows, shared_blks_hit + shared_blks_read as blocks, regexp_replace(query, '\\s+', ' ', 'g') as query
    from pg_stat_statements s join pg_database d on d.oid = s.dbid
    where d.datname = current_database() order by total_exec_time desc limit 20
"""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What PostgreSQL says of a statement; times in milliseconds."""

    calls: int
    ms: float
    ms_each: float
    rows: int
    blocks: int
    query: str


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How a process's samples are spread: over packages and functions by where they were taken, and over callers.

    ``within`` counts a sample for every function on its stack, once.
    """

    samples: int
    packages: Counter[str]
    functions: Counter[str]
    within: Counter[str]


def read_stacks(text: str) -> Profile:
    """Read collapsed stacks, one a line: frames from the outermost on, semicolons between, and how many samples."""
    samples = 0
    packages: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_named(frame) for frame in stack.split(";")]
        samples += int(count)
        package, function = frames[-1]
        packages[package] += int(count)
        functions[function] += int(count)
        for name in {name for _, name in frames}:
            within[name] += int(count)
    return Profile(samples=samples, packages=packages, functions=functions, within=within)


def _named(frame: str) -> tuple[str, str]:
    """Give a frame's package and its function, without the line."""
    found = _FRAME.match(frame)
    if found is None:
        return "(other)", frame
    parts = Path(found["file"]).with_suffix("").parts
    for root in ("site-packages", "src"):
        if root in parts:
            parts = parts[parts.index(root) + 1 :]
            break
    else:
        parts = ("python", *parts[-2:]) if found["file"].startswith("/") else parts
    return parts[0], f"{'.'.join(parts)}.{found['function']}"


Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Processes at work: their ids by name, the database that they use, and the work to look at."""

    pids: Mapping[str, int]
    database: Database
    work: Work


@asynccontextmanager
async def _post(stage: Stage, connections: int) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        tenants = Tenants.new(TENANTS)
        database = stack.enter_context(stage.database("booking"))
        await add_artists(database, tenants.artists)
        system = stack.enter_context(ours(stage, database, tenants.owners(stage)))
        await system.book(connections, 3.0)
        await analyze(database)
        pids = {name: instance.child.pid for name, instance in system.instances.items()}
        yield Scene(pids=pids, database=database, work=lambda: system.book(connections, SECONDS))


@asynccontextmanager
async def _drain(stage: Stage) -> AsyncIterator[Scene]:
    workload = Workload([tenant_id(name) for name in new_tenants(TENANTS)], COMMANDS)
    with stage.database("booking") as database:
        await add_artists(database, workload.artists)
        with stage.services("booking", databases={"booking": database}) as services:
            await warm_up(stage, database)
            await analyze(database)
            booking = services["booking"]
            work = lambda: drain_at(stage, [booking], workload)  # noqa: E731 - as the other's
            yield Scene(pids={"booking": booking.child.pid}, database=database, work=work)


@asynccontextmanager
async def _reads(stage: Stage) -> AsyncIterator[Scene]:
    benchmark = Reads(stage, 1.0)
    async with benchmark.ready():
        system = benchmark.system
        pids = {name: instance.child.pid for name, instance in system.instances.items()}
        work = lambda: system.read(64, SECONDS, benchmark.bookings)  # noqa: E731 - as the others'
        yield Scene(pids=pids, database=system.database, work=work)


@asynccontextmanager
async def _fan_out(stage: Stage, sockets: int, burst: int) -> AsyncIterator[Scene]:
    benchmark = FanOut(stage, SECONDS / FanOut.usual_seconds)
    async with benchmark.ready():
        with stage.database("booking") as database:  # it is not asked for anything
            pids = {"notifications": benchmark.instance.child.pid}
            work = lambda: benchmark.listen(ours=True, sockets=sockets, burst=burst)  # noqa: E731 - as the others'
            yield Scene(pids=pids, database=database, work=work)


@asynccontextmanager
async def _rooms(stage: Stage) -> AsyncIterator[Scene]:
    benchmark = Rooms(stage, SECONDS / Rooms.usual_seconds)
    async with benchmark.ready():
        with stage.database("booking") as database:  # as above
            yield Scene(pids={"notifications": benchmark.instance.child.pid}, database=database, work=benchmark.ours)


SCENES: Final[dict[str, Callable[[Stage], AbstractAsyncContextManager[Scene]]]] = {
    "post": lambda stage: _post(stage, 64),
    "post-256": lambda stage: _post(stage, 256),
    "post-1": lambda stage: _post(stage, 1),
    "drain": _drain,
    "reads": _reads,
    "fan-out": lambda stage: _fan_out(stage, 500, 1),
    "fan-out-2000": lambda stage: _fan_out(stage, 2_000, 1),
    "fan-out-bursts": lambda stage: _fan_out(stage, 500, 10),
    "rooms": _rooms,
}


async def profile(stage: Stage, name: str, folder: Path) -> tuple[dict[str, Profile], list[Statement]]:
    """Look into a scene; the stacks go to files in ``folder``.

    Raises:
        RuntimeError: py-spy could not look.
    """
    await _count_statements(stage)
    async with SCENES[name](stage) as scene:
        connection = await asyncpg.connect(scene.database.superuser_dsn)
        try:
            await connection.execute("create extension if not exists pg_stat_statements")
            await connection.execute("select pg_stat_statements_reset()")
            files = {part: folder / f"profile-{name}-{part}.stacks" for part in scene.pids}
            lookers = [await _look(pid, files[part]) for part, pid in scene.pids.items()]
            await scene.work()
            for looker in lookers:
                await _stop(looker)
            statements = [Statement(**dict(row)) for row in await connection.fetch(_STATEMENTS)]
        finally:
            await connection.close()
    return {part: read_stacks(path.read_text()) for part, path in files.items()}, statements


async def _count_statements(stage: Stage) -> None:
    """Let PostgreSQL count what it runs, which it does from its start on or not at all."""
    connection = await asyncpg.connect(stage.addresses.postgres_dsn())
    await connection.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
    await connection.close()
    stage.engines.postgres.restart()


async def _look(pid: int, path: Path) -> asyncio.subprocess.Process:
    command = [str(Path(sys.executable).parent / "py-spy"), "record", "--pid", str(pid), "--rate", str(HZ)]
    looker = await asyncio.create_subprocess_exec(
        *command, "--gil", "--format", "raw", "--output", str(path), "--duration", "600", stderr=asyncio.subprocess.PIPE
    )
    await asyncio.sleep(1.0)
    if looker.returncode is not None:
        _, complaint = await looker.communicate()
        message = f"py-spy can't look into process {pid}: {complaint.decode(errors='replace').strip()}"
        raise RuntimeError(message)
    return looker


async def _stop(looker: asyncio.subprocess.Process) -> None:
    looker.send_signal(2)  # as Ctrl-C: it writes what it has
    await looker.communicate()


def shares(counted: Counter[str], samples: int, most: int = MOST) -> Sequence[tuple[str, float]]:
    """Give the largest shares of all samples."""
    return [(name, count / samples) for name, count in counted.most_common(most)]
