"""Old and new version side by side on one database and topic, under load; every promise holds all the time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.upgrade.rollout import Load, OldSystem, Plain, decided, in_thread, until_decided, until_waiting
from tests.upgrade.versions import BEFORE_THE_TRAIL, SAME_SCHEMA, Version

from local_stack.chaos.checks.trail import TRAIL
from local_stack.environment import WITH_DATABASE
from local_stack.testing import temporary_folder
from servicekit import migrate

ENOUGH = 20
"""Commands that an instance decides before it is believed to decide."""


def revisions(system: OldSystem) -> dict[str, str]:
    found = {}
    for service in WITH_DATABASE:
        with psycopg.connect(system.at.engines.postgres_dsn(service)) as connection:
            (found[service],) = connection.execute("select version_num from alembic_version").fetchone() or ("none",)
    return found


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for history and logs, which are kept where the test fails."""
    folder = temporary_folder()
    failed = request.session.testsfailed
    yield folder
    if request.session.testsfailed == failed:
        shutil.rmtree(folder)


@pytest.mark.parametrize("version", [SAME_SCHEMA, BEFORE_THE_TRAIL], ids=lambda version: version.commit[:8])
def test_a_version_of_before_is_what_it_is_called(version: Version, tmp_path: Path) -> None:
    code = version.taken(tmp_path)
    assert {service: code.newest(service) for service in WITH_DATABASE} == version.revisions


def test_the_version_before_has_the_schema_of_this_one() -> None:
    """With a migration, name the commit before it, and say in the test what holds beside it."""
    assert SAME_SCHEMA.revisions == {service: migrate.newest(service) for service in WITH_DATABASE}


@pytest.mark.timeout(600)
async def test_both_decide_at_once_and_either_can_go_on_alone(folder: Path, tmp_path: Path) -> None:
    system = OldSystem(folder, SAME_SCHEMA.taken(tmp_path))
    try:
        await in_thread(system.start)
        load = Load(system=system, folder=folder)
        async with load.running():
            old = system.instance("booking", 1)
            await until_decided(old, ENOUGH)
            await in_thread(system.start_new, 2)
            load.use(system.gateways[1])
            await until_decided(system.instance("booking", 2), ENOUGH)
            await until_decided(old, decided(old) + ENOUGH)

            load.leave(system.gateways[1])
            await in_thread(system.stop_all, 2)  # a rollback: what the new one has written, the old one goes on from
            await until_decided(old, decided(old) + ENOUGH)

            await in_thread(system.stop_all, 1)
            await in_thread(system.start_new, 1)
            await until_decided(system.instance("booking", 1), ENOUGH)
        verdict = await load.judged()
        assert verdict.breaches == (), f"{verdict.render()}\nkept in {folder}"
    finally:
        await in_thread(system.discard)


@pytest.mark.timeout(600)
async def test_a_version_that_may_not_decide_any_more_delays_and_loses_nothing(folder: Path, tmp_path: Path) -> None:
    system = OldSystem(folder, BEFORE_THE_TRAIL.taken(tmp_path))
    try:
        await in_thread(system.start)
        assert revisions(system) == BEFORE_THE_TRAIL.revisions
        load = Load(system=system, folder=folder, kind=Plain)
        async with load.running():
            old = system.instance("booking", 1)
            await until_decided(old, ENOUGH)
            # Stopped first: this version takes a table that changed under a statement for a fault of the command.
            await in_thread(system.stop_all, 1, ("booking", "tenancy"))
            await in_thread(system.migrate)
            assert revisions(system) == {service: migrate.newest(service) for service in WITH_DATABASE}
            await in_thread(old.start)
            await until_waiting(system.instance("gateway", 1), ENOUGH // 4)
            assert decided(old) == 0, "an instance of before decides nothing any more"

            await in_thread(system.stop_all, 1)
            await in_thread(system.start_new, 1)
            await until_decided(system.instance("booking", 1), ENOUGH)
        verdict = await load.judged()
        assert verdict.broken <= {TRAIL}, f"{verdict.render()}\nkept in {folder}"
        await in_thread(system.verify_trails)  # they begin at the migration, and the checker's at the first command
    finally:
        await in_thread(system.discard)
