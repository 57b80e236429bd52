"""Waiting for a condition, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE_SECONDS = 60.0
"""How long anything may take before it is taken for lost; generous, as machines are shared."""

_POLL_SECONDS = 0.05
_Found = TypeVar("_Found")


async def until(
    look: Callable[[], Awaitable[_Found | None]], what: str, *, seconds: float = PATIENCE_SECONDS
) -> _Found:
    """Look again and again until something true is found, and give it.

    Raises:
        TimeoutError: it did not come to pass in time; the message says what.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await look()):
        if asyncio.get_running_loop().time() > deadline:
            message = f"{seconds:g} s have passed without: {what}"
            raise TimeoutError(message)
        await asyncio.sleep(_POLL_SECONDS)
    return found
