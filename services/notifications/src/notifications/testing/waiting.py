"""Waiting for a condition."""

import asyncio
from collections.abc import Callable

DEADLINE_S = 60.0


async def until(condition: Callable[[], bool], what: str, instead: Callable[[], str] = str) -> None:
    """Return once a condition holds.

    AssertionError when it does not in time, naming ``what`` was waited for and what is there ``instead``.
    """
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            message = f"in vain: {what}; {instead()}"
            raise AssertionError(message)
        await asyncio.sleep(0.005)
