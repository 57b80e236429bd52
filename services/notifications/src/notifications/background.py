"""Tasks that run for as long as the service does."""

import asyncio
from collections.abc import Coroutine

import structlog

_PATIENCE_S = 0.1

log = structlog.get_logger(__name__)


def begin(name: str, forever: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Run something for ever; should it end by an error, the log says so."""
    task = asyncio.create_task(forever, name=name)
    task.add_done_callback(_report)
    return task


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended; it is cancelled again where a cancellation got lost.

    Until Python 3.12 `asyncio.wait_for`, which redis-py sends its commands with, swallows one that comes at the moment
    when it is done (python/cpython#86296).
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PATIENCE_S)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("task_died", task=task.get_name(), exc_info=task.exception())
