"""The two sides of the matrix: me, and somebody else."""

import aiohttp
import pytest
from tests.isolation.estates import Estate, NewEstate, settle

from local_stack.system import SystemAddresses


@pytest.fixture(scope="session")
async def mine(system: SystemAddresses, session: aiohttp.ClientSession) -> Estate:
    return await settle(system, session)


@pytest.fixture(scope="session")
async def theirs(system: SystemAddresses, session: aiohttp.ClientSession) -> Estate:
    return await settle(system, session)


@pytest.fixture
def new_estate(system: SystemAddresses, session: aiohttp.ClientSession) -> NewEstate:
    """`await new_estate()`: one more."""
    return lambda: settle(system, session)
