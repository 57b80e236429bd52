"""Requests at the gateway are counted by the template of their route."""

import aiohttp


async def test_requests_are_counted_by_the_routes_template(client: aiohttp.ClientSession) -> None:
    artist = "0190a5b6-0000-7000-8000-000000000001"
    for path in ("/v1/bookings", f"/v1/artists/{artist}", "/v1/nowhere", "/healthz"):
        async with client.get(path):
            pass
    async with client.get("/metrics") as response:
        counted = [line for line in (await response.text()).splitlines() if line.startswith("http_requests_total")]
    for template in ("/v1/bookings", "/v1/artists/{id}", "unmatched", "/healthz"):
        assert any(f'method="GET",route="{template}"' in line for line in counted), template
    assert not any(artist in line or "nowhere" in line for line in counted)
