"""``python -m tenancy keys``: data keys are rotated, and wrapped anew, while everything runs."""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final
from uuid import UUID

from servicekit.command_line import Job
from servicekit.database import Database
from servicekit.masters import MasterAwayError, Masters
from tenancy.application.keys import Done, Rotation
from tenancy.settings import Settings


def _days(text: str) -> timedelta:
    days = int(text)
    if days < 0:
        raise ValueError
    return timedelta(days=days)


def _arguments(parser: argparse.ArgumentParser) -> None:
    todo = parser.add_subparsers(dest="what", required=True, metavar="what")
    rotate = todo.add_parser("rotate", help="a new data key for each tenant and person that has one; old ones open on")
    which = rotate.add_mutually_exclusive_group()
    which.add_argument("--tenant", type=UUID, metavar="ID", help="only of this tenant, or of this person")
    which.add_argument("--older-than", type=_days, metavar="DAYS", help="only where the current one is as old")
    rewrap = todo.add_parser("rewrap", help="wrap what is under another master key than the first under the first")
    rewrap.add_argument("--all", action="store_true", help="what is under the first too, as its own version is new")


async def change_keys(settings: Settings, masters: Masters, asked: argparse.Namespace) -> Done:
    """Do what was asked.

    Raises:
        MasterAwayError: a master key can't be asked; what was done before stays done.
    """
    async with AsyncExitStack() as stack:
        database = Database(settings.database, pool_size=2, command_timeout=settings.database_timeout_seconds)
        stack.push_async_callback(database.stop)
        rotation = Rotation(database, await stack.enter_async_context(masters))
        if asked.what == "rotate":
            return await rotation.rotate(tenant_id=asked.tenant, older_than=asked.older_than)
        return await rotation.rewrap(everything=asked.all)


def keys(settings: Settings, asked: argparse.Namespace) -> int:
    """Change keys and tell how many; 1 where not all of it could be done."""
    try:
        masters = settings.masters()
    except (ValueError, OSError) as error:
        print(f"the master keys (TENANCY_MASTER_KEYS and its kin) are not as they must be: {error}", file=sys.stderr)
        return 1
    try:
        done = asyncio.run(change_keys(settings, masters, asked))
    except MasterAwayError as error:
        print(f"a master key can't be asked: {error}; what was done stays done: run it again", file=sys.stderr)
        return 1
    what = "have a new key" if asked.what == "rotate" else "keys were wrapped anew"
    print(f"{done.holders} tenants and people have keys; {done.changed} {what}")
    if done.unreadable:
        print(f"{done.unreadable} keys are opened by no master key set here: they stay as they are", file=sys.stderr)
    return 1 if done.unreadable else 0


KEYS: Final = Job[Settings](name="keys", help="rotate data keys, or wrap them anew", run=keys, arguments=_arguments)
