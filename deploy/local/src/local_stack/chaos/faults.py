"""How each kind of fault is done to the running whole, and undone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
import redis.asyncio

from local_stack.chaos.schedule import Planned
from local_stack.chaos.topology import Topology
from local_stack.part import Part

_DISK_FULL = """
create or replace function chaos_disk_full() returns trigger language plpgsql as $$
begin
    raise exception 'could not extend file: No space left on device (made up by the chaos run)'
        using errcode = 'disk_full';
end $$;
drop trigger if exists chaos_disk_full on events;
create constraint trigger chaos_disk_full after insert on events deferrable initially deferred
    for each row execute function chaos_disk_full();
"""
_DISK_MENDED = "drop trigger if exists chaos_disk_full on events"


@asynccontextmanager
async def kill(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """SIGKILL, and a new process afterwards; it is not waited for until that one is ready."""
    instance = whole.named[fault.target]
    await asyncio.to_thread(instance.kill)
    yield
    await asyncio.to_thread(instance.begin)


@asynccontextmanager
async def pause(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """SIGSTOP, and SIGCONT afterwards: the process does not know that anything was."""
    part = _part(whole, fault)
    part.pause()
    try:
        yield
    finally:
        part.resume()


@asynccontextmanager
async def restart(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """Stop an engine in order, or let it crash; it is over when it answers again."""
    engine = _part(whole, fault)
    await asyncio.to_thread(engine.stop if fault.way["how"] == "stop" else engine.kill)
    yield
    await asyncio.to_thread(engine.start)


@asynccontextmanager
async def terminate(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """End every connection of a role at the server (pg_terminate_backend)."""
    async with await psycopg.AsyncConnection.connect(whole.engines.postgres_dsn(), autocommit=True) as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (fault.target,)
        )
    yield


@asynccontextmanager
async def flush(whole: Topology, _fault: Planned) -> AsyncIterator[None]:
    """Forget everything that Redis knows."""
    async with redis.asyncio.Redis.from_url(whole.engines.redis_url) as client:
        await client.flushall()
    yield


@asynccontextmanager
async def cut(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """Break the connections of a link and refuse new ones, or hold back every byte."""
    link = whole.links[fault.target]
    if fault.way["how"] == "refuse":
        link.cut()
    else:
        link.silence()
    try:
        yield
    finally:
        await link.mend()


@asynccontextmanager
async def delay(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """Let every byte of a link come later, in both directions."""
    link = whole.links[fault.target]
    link.slow(fault.way["latency"])
    try:
        yield
    finally:
        await link.mend()


@asynccontextmanager
async def fill_disk(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """Let every transaction that wrote an event fail at its COMMIT with SQLSTATE 53100, `disk_full`.

    No disk is filled: the superuser puts a deferred constraint trigger on the service's `events` that raises what
    PostgreSQL raises then. It stands for the place where a full disk hurts most, after every statement has succeeded.
    """
    dsn = whole.engines.postgres_dsn(fault.target)
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute(_DISK_FULL)
    try:
        yield
    finally:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute(_DISK_MENDED)


@asynccontextmanager
async def skew(whole: Topology, fault: Planned) -> AsyncIterator[None]:
    """Set the wall clock of an instance off (libfaketime), not the one that times its waits."""
    whole.set_clock(fault.target, fault.way["skew"])
    try:
        yield
    finally:
        whole.set_clock(fault.target, 0)


def _part(whole: Topology, fault: Planned) -> Part:
    return whole.engine_parts.get(fault.target) or whole.named[fault.target]


Doing = Callable[[Topology, Planned], AbstractAsyncContextManager[None]]

DOINGS: dict[str, Doing] = {
    "kill": kill,
    "pause": pause,
    "kafka-restart": restart,
    "kafka-pause": pause,
    "postgres-restart": restart,
    "postgres-terminate": terminate,
    "redis-flush": flush,
    "redis-restart": restart,
    "cut": cut,
    "delay": delay,
    "full-disk": fill_disk,
    "clock": skew,
}
"""How each kind of `schedule.KINDS` is done: entering does it, leaving undoes it."""
