"""The command line of a service that owns a stream: ``python -m <service>``, and its jobs.

A service's ``__main__.py`` is one call of `run`.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import FastAPI

from production_contracts.events import Stream
from production_contracts.topics import COMMANDS_OF, Topic
from servicekit import jobs, logs, migrate, tracing
from servicekit.access import DatabaseAccess
from servicekit.audit import command_line as audit
from servicekit.database import Database
from servicekit.deadletters import command_line as deadletters
from servicekit.deadletters import rejection
from servicekit.deadletters.letters import Letter
from servicekit.deciding_service import DecidingSettings
from servicekit.jobs import BrokenStreamError, Projection
from servicekit.server import serve

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=DecidingSettings)


@dataclass(frozen=True, kw_only=True)
class Job(Generic[SettingsT]):
    """A job of one service: what it is called, what it does, and how; gives the exit status.

    ``arguments`` adds what the job takes on its command line, which ``run`` is then given.
    """

    name: str
    help: str
    run: Callable[[SettingsT, argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] | None = None


def run(
    stream: Stream,
    settings: SettingsT,
    make_app: Callable[[SettingsT], FastAPI],
    projection: Projection,
    *,
    own_jobs: Sequence[Job[SettingsT]] = (),
    follows: Sequence[Topic] = (),
) -> int:
    """Do what the command line asks; 0 where it is done, 1 where not.

    ``own_jobs`` are the service's own; ``follows`` are the topics that it reads besides its commands.
    """
    asked = _parser(stream, own_jobs).parse_args()
    if asked.job == deadletters.JOB:  # before anything is logged: what it prints is for people, and for pipes
        return _decide_on_dead_letters(stream, settings, asked, [COMMANDS_OF[stream], *follows])
    if asked.job == audit.JOB:
        return audit.run(asked, stream, lambda verify: asyncio.run(_with_database(settings, verify)))
    logs.configure(settings, stream)
    own = {job.name: job.run for job in own_jobs}
    if asked.job in own:
        return own[asked.job](settings, asked)
    match asked.job:
        case "migrate":
            if asked.wait:
                revision = asyncio.run(migrate.wait_until_migrated(stream, settings.database))
                print(f"the database is at revision {revision}")
            else:
                migrate.upgrade(stream, _as_owner(settings), within=asked.within)
        case "rebuild":
            return _rebuild(stream, settings, projection, verify=asked.verify)
        case "prune":
            pruned = asyncio.run(_with_database(settings, jobs.prune))
            print(f"{pruned} outcomes forgotten")
        case "epoch":
            print(f"the epoch is {asyncio.run(jobs.renew_epoch(_as_owner(settings)))} now")
        case _:
            tracing.configure(stream, settings.instance)
            serve(make_app(settings), settings)
    return 0


def _parser(stream: Stream, own_jobs: Sequence[Job[Any]]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {stream}")
    todo = parser.add_subparsers(dest="job", metavar="job")
    todo.add_parser("serve", help="serve (what happens where no job is named)")
    migration = todo.add_parser("migrate", help="bring the database to this version, as the owner of its tables")
    migration.add_argument("--within", type=float, default=0.0, help="try for so many seconds while it does not answer")
    migration.add_argument("--wait", action="store_true", help="only wait until it was brought there, as who serves")
    rebuild = todo.add_parser("rebuild", help="replay the events and store the rows that follow from them")
    rebuild.add_argument("--verify", action="store_true", help="only compare; fails where a row differs")
    todo.add_parser("prune", help=f"forget outcomes older than {jobs.COMMAND_LOG_DAYS} days")
    epoch = todo.add_parser("epoch", help="after a restore from backup: name the history anew")
    epoch.add_argument("--renew", action="store_true", required=True, help="do it, as the owner of the tables")
    audit.add_arguments(todo.add_parser(audit.JOB, help=audit.HELP))
    deadletters.add_arguments(todo.add_parser(deadletters.JOB, help=deadletters.HELP))
    for job in own_jobs:
        taken = todo.add_parser(job.name, help=job.help)
        if job.arguments is not None:
            job.arguments(taken)
    return parser


def _as_owner(settings: DecidingSettings) -> DatabaseAccess:
    access = settings.database_as_owner
    if access is None:
        prefix = settings.model_config.get("env_prefix")
        sys.exit(f"{prefix}DATABASE_OWNER_URL is not set: this job runs as the owner of the tables")
    return access


async def _with_database(settings: DecidingSettings, job: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(settings.database, pool_size=2)
    try:
        return await job(database)
    finally:
        await database.stop()


def _decide_on_dead_letters(
    stream: Stream, settings: DecidingSettings, asked: argparse.Namespace, topics: Sequence[Topic]
) -> int:
    async def reject(letter: Letter) -> str:
        return await _with_database(settings, lambda database: rejection.reject(database, stream, letter))

    return deadletters.run(asked, settings, service=stream, topics=topics, reject=reject)


def _rebuild(stream: Stream, settings: DecidingSettings, projection: Projection, *, verify: bool) -> int:
    job = jobs.verify if verify else jobs.rebuild
    try:
        found = asyncio.run(_with_database(settings, lambda database: job(database, stream, projection)))
    except BrokenStreamError as error:
        print(error, file=sys.stderr)
        return 1
    outcome = "differ" if verify else "differed and were replaced"
    print(f"{found.tenants} tenants, {found.events} events replayed; rows of {len(found.differing)} tenants {outcome}")
    for tenant in found.differing:
        print(f"  {tenant}")
    return 1 if verify and found.differing else 0
