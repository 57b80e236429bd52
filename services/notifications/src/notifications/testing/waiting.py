"""Waiting for a condition."""

import asyncio
from collections.abc import Callable

DEADLINE_S = 30.0


async def until(condition: Callable[[], bool], what: str) -> None:
    """Return once a condition holds; AssertionError, naming what was waited for in vain, when it does not in time."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            message = f"in vain: {what}"
            raise AssertionError(message)
        await asyncio.sleep(0.005)
