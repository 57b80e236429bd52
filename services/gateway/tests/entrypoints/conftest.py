"""A gateway on fakes for a module, and clients of it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.testing import NAMESPACE, FakeGateway, echo, fake_gateway
from local_stack.issuer import Issuer
from servicekit.settings import IssuerSettings

PLENTY = "1000000/second"


@pytest.fixture(scope="session")
def accepted(issuer: Issuer) -> IssuerSettings:
    """The issuer, as the gateway's settings name it."""
    return IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=NAMESPACE)


@pytest.fixture(scope="module")
async def running_gateway(accepted: IssuerSettings) -> AsyncIterator[FakeGateway]:
    """One gateway for the module."""
    async with fake_gateway(accepted, rate_limit_user=PLENTY, rate_limit_tenant=PLENTY) as gateway:
        yield gateway


@pytest.fixture
def gateway(running_gateway: FakeGateway) -> FakeGateway:
    """The module's gateway, as new."""
    running_gateway.kafka.decide = echo
    running_gateway.kafka.sent.clear()
    running_gateway.kafka.records.clear()
    running_gateway.owners.answers.clear()
    running_gateway.owners.asked.clear()
    running_gateway.owners.away = False
    return running_gateway


@pytest.fixture
async def client(gateway: FakeGateway, issuer: Issuer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of an admin."""
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
        yield session
