"""What journeys share: a session of HTTP and tenants that nobody else uses."""

import secrets
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from local_stack.clients.caller import http_session
from local_stack.clients.tenant import Tenant
from local_stack.system import SystemAddresses


@pytest.fixture(scope="session")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with http_session() as session:
        yield session


@pytest.fixture
def new_tenant(system: SystemAddresses, session: aiohttp.ClientSession) -> Callable[[], Tenant]:
    """`new_tenant()`: a tenant of the shared system that nobody else uses."""
    return lambda: Tenant(name=f"t{secrets.token_hex(8)}", at=system, session=session)


@pytest.fixture
def tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    return new_tenant()


@pytest.fixture
def other_tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    return new_tenant()
