"""Waiting for a condition."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import aiohttp

DEADLINE_S = 60.0
READY_DEADLINE_S = 120.0
"""A new Kafka takes its time over the first group."""


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


async def until_ready(url: str) -> None:
    """Wait until an instance calls itself ready; TimeoutError when it does not in time."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(READY_DEADLINE_S):
        while True:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == HTTPStatus.OK:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
