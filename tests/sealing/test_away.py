"""Tenancy, which keeps the keys, is away: whose keys are held goes on, the rest is told so, and nothing is lost."""

import asyncio
from collections.abc import Callable

from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.waiting import until
from local_stack.system import System


async def test_without_tenancy_what_is_held_seals_and_opens_and_the_rest_is_tried_again(
    whole: System, new_tenant: Callable[[], Tenant]
) -> None:
    held, new = new_tenant(), new_tenant()
    artist, other_artist = await held.artist(), await new.artist()
    booking = await held.booking(artist, notes="first")
    (tenancy,) = [instance for instance in whole.services.instances if instance.name == "tenancy"]
    await asyncio.to_thread(tenancy.stop)
    try:
        caller, place = held.caller(), f"/v1/bookings/{booking['id']}"
        assert expect(await caller.patch(place, {"notes": "second"}), 200).body["notes"] == "second"
        assert expect(await caller.get(place), 200).body["notes"] == "second"
        refused = await new.caller().post("/v1/bookings", wish(other_artist, 1, notes="x"))
        assert (refused.status, refused.slug, refused.headers["Retry-After"]) == (503, "unavailable", "2")
        assert "command_id" not in refused.body, "nothing was done"
        expect(await new.caller().post("/v1/bookings", wish(other_artist, 2)), 201)
    finally:
        await asyncio.to_thread(tenancy.start)

    async def taken() -> bool:
        return (await new.caller().post("/v1/bookings", wish(other_artist, 1, notes="x"))).status == 201

    await until(taken, "the same request is taken")
    assert sorted(one["notes"] or "" for one in await new.caller().every("/v1/bookings")) == ["", "x"]
