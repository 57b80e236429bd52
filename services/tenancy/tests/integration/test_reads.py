"""The read API, over HTTP with a token, on what commands left behind."""

import asyncio
from uuid import UUID

import pytest
from services.tenancy.tests.conftest import Reader, Service, ask

from production_contracts.commands import ArchiveArtist, CreateArtist

NAMES = ["Zoë", "ana", "Ana", "Émile", "Ana", "Übermut", "a b", "日本"]


async def _roster(service: Service) -> tuple[Reader, list[UUID]]:
    reader = service.reader()
    asked = [ask(reader.tenant_id, CreateArtist(name=name)) for name in NAMES]
    await asyncio.gather(*(service.desk.do(command) for command in asked))
    await service.desk.do(ask(reader.tenant_id, ArchiveArtist(), asked[0].aggregate_id))
    return reader, [command.aggregate_id for command in asked]


async def test_pages_list_every_artist_once_in_order_of_name_and_id(service: Service) -> None:
    reader, _ = await _roster(service)
    listed, cursor = [], ""
    while True:
        status, page, headers = await reader.get(f"/v1/artists?limit=3{cursor}")
        assert (status, headers["Position"]) == (200, "10")
        listed += [(item["name"], item["id"]) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert listed == sorted(listed)
    assert [name for name, _ in listed] == sorted(NAMES)


async def test_a_list_can_be_filtered_by_status(service: Service) -> None:
    reader, artists = await _roster(service)
    _, archived, _ = await reader.get("/v1/artists?status=archived")
    assert [(item["id"], item["version"]) for item in archived["items"]] == [(str(artists[0]), 2)]
    _, active, _ = await reader.get("/v1/artists?status=active&limit=200")
    assert {item["id"] for item in active["items"]} == {str(artist) for artist in artists[1:]}
    assert (await reader.get(f"/v1/artists/{artists[0]}"))[1] == archived["items"][0]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "cursor=x",
        "cursor=WyJcdTAwMDAiLCIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiXQ",
        "status=gone",
    ],
)
async def test_a_list_asked_wrongly_is_an_invalid_request(service: Service, query: str) -> None:
    status, problem, _ = await service.reader().get(f"/v1/artists?{query}")
    assert (status, problem["type"]) == (422, "/problems/invalid-request")
    assert problem["errors"][0]["pointer"] == f"#/query/{query.partition('=')[0]}"


async def test_a_position_that_is_not_reached_is_unavailable(service: Service) -> None:
    status, problem, headers = await service.reader().get("/v1/artists", {"Min-Position": "5"})
    assert (status, problem["type"], headers["Retry-After"]) == (503, "/problems/unavailable", "1")


async def test_without_a_token_nothing_is_told(service: Service) -> None:
    for path in ("/v1/artists", "/v1/tenant", "/v1/events", "/v1/head"):
        async with service.session.get(service.url + path) as response:
            assert (response.status, (await response.json(content_type=None))["type"]) == (
                401,
                "/problems/unauthenticated",
            )
