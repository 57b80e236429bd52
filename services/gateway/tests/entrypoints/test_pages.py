"""Pages: with a link to the next one for whom it is on, and else as ever."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import uuid5

import aiohttp
import pytest

from gateway.application.features import PAGE_LINKS
from gateway.testing import NAMESPACE, FakeGateway
from local_stack.issuer import Issuer

TENANT = uuid5(NAMESPACE, "org_acme")
LISTS = [("booking", "/v1/bookings"), ("tenancy", "/v1/artists"), ("tenancy", "/v1/members")]
CURSOR = "MDE5Zg=="


@pytest.fixture(autouse=True)
def _off(gateway: FakeGateway) -> Iterator[None]:
    yield
    gateway.product.on.clear()


def switch_on(gateway: FakeGateway) -> None:
    gateway.product.on.add((PAGE_LINKS.name, TENANT))


@pytest.mark.parametrize(("service", "path"), LISTS)
async def test_a_page_links_to_the_next_one_where_that_is_on(
    service: str, path: str, client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.owners.put(service, path, {"items": [], "next_cursor": CURSOR})
    async with client.get(f"{path}?limit=7") as response:
        assert "Link" not in response.headers
    switch_on(gateway)
    async with client.get(f"{path}?limit=7&cursor=before", headers={"Origin": "https://app.example"}) as response:
        target, rel = response.headers["Link"].split("; ")
        assert (await response.json())["next_cursor"] == CURSOR
    assert rel == 'rel="next"'
    following = urlsplit(urljoin(str(response.url), target.strip("<>")))
    assert following.path == path
    assert parse_qs(following.query) == {"limit": ["7"], "cursor": [CURSOR]}
    async with client.get(following.geturl()) as response:
        assert response.status == 200
    assert gateway.owners.asked[-1].query["cursor"] == CURSOR


async def test_the_last_page_links_to_none(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    switch_on(gateway)
    gateway.owners.put("booking", "/v1/bookings", {"items": [], "next_cursor": None})
    async with client.get("/v1/bookings") as response:
        assert "Link" not in response.headers


async def test_it_is_on_for_the_tenants_that_it_is_on_for(
    client: aiohttp.ClientSession, gateway: FakeGateway, issuer: Issuer
) -> None:
    switch_on(gateway)
    gateway.owners.put("booking", "/v1/bookings", {"items": [], "next_cursor": CURSOR})
    headers = {"Authorization": f"Bearer {issuer.token(tenant='umbrella')}"}
    async with client.get("/v1/bookings", headers=headers) as response:
        assert "Link" not in response.headers
    async with client.head("/v1/bookings") as response:
        assert "Link" in response.headers
