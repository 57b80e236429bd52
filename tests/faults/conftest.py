"""A running whole to break: one for each process of the test run, mended after each test."""

import secrets
import shutil
from collections.abc import Callable, Iterator

import aiohttp
import pytest

from local_stack.clients.tenant import Tenant
from local_stack.part import Part, wait_until_ready
from local_stack.system import System
from local_stack.testing import temporary_folder


@pytest.fixture(scope="session")
def breakable() -> Iterator[System]:
    """As `own_system`, but for all modules here: a whole takes longer to start than any of these tests."""
    folder = temporary_folder()
    try:
        with System(folder) as system:
            yield system
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def whole(breakable: System) -> Iterator[System]:
    """The whole, to break: what a test has stopped, killed or paused runs again after it, what it added is gone."""
    at_home = list(breakable.services.instances)
    yield breakable
    added = [instance for instance in breakable.services.instances if instance not in at_home]
    for instance in added:
        instance.stop()
        breakable.services.instances.remove(instance)
    for engine in breakable.engines.all:
        mend(engine)
    wait_until_ready(breakable.engines.all)
    for instance in at_home:
        mend(instance)
    wait_until_ready(at_home)


def mend(part: Part) -> None:
    if part.alive:
        part.resume()
    else:
        part.begin()


@pytest.fixture
def new_tenant(whole: System, session: aiohttp.ClientSession) -> Callable[[], Tenant]:
    """`new_tenant()`: a tenant of the whole that is broken."""
    return lambda: Tenant(name=f"t{secrets.token_hex(8)}", at=whole.at, session=session)


@pytest.fixture
def part(whole: System) -> Callable[[str], Part]:
    """`part("booking")`: a service's instance or an engine, by its name."""
    named: dict[str, Part] = {part.name: part for part in (*whole.engines.all, *whole.services.instances)}
    return named.__getitem__
