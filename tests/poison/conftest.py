"""A running whole to poison: what stands on its topics here would be in the way of everybody else's tests."""

import secrets
import shutil
from collections.abc import Callable, Iterator

import aiohttp
import pytest

from local_stack.clients.tenant import Tenant
from local_stack.containers import for_tests
from local_stack.system import System
from local_stack.testing import temporary_folder


@pytest.fixture(scope="session")
def poisoned() -> Iterator[System]:
    """A whole that only tests of poison use."""
    folder = temporary_folder()
    try:
        with System(folder, make=for_tests) as system:
            yield system
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_tenant(poisoned: System, session: aiohttp.ClientSession) -> Callable[[], Tenant]:
    """`new_tenant()`: a tenant of the whole that is poisoned."""
    return lambda: Tenant(name=f"t{secrets.token_hex(8)}", at=poisoned.at, session=session)
