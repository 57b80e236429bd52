"""The past: what was booked is read as it was, by whoever may read it now."""

from typing import Any

from local_stack.clients.caller import expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant

FAR_AHEAD = "2199-01-01T00:00:00Z"


def replayed(events: list[Any], until: str) -> dict[str, Any]:
    """The bookings at a moment, each as its last event until then left it."""
    beside = ("previous", "reason")
    return {
        event["aggregate_id"]: {name: value for name, value in event["data"].items() if name not in beside}
        for event in events
        if event["occurred_at"] <= until
    }


async def test_bookings_are_read_as_they_were_at_every_moment_of_their_history(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    artist, ana = await tenant.artist(), tenant.caller()
    first = await tenant.booking(artist, 0, notes="by the back gate")
    second = await tenant.booking(artist, 1, status="confirmed")
    path = f"/v1/bookings/{first['id']}"
    expect(await ana.patch(path, {"title": "Spring tour", "notes": "by the front gate"}), 200)
    expect(await ana.post(f"{path}/reschedule", night(2)), 200)
    expect(await ana.post(f"/v1/bookings/{second['id']}/cancel", {"reason": "ill"}), 200)
    viewer = tenant.caller("eve", "viewer")
    events = await viewer.events()
    assert len(events) == 5
    for event in events:
        moment = event["occurred_at"]
        there = replayed(events, moment)
        asked = {"as_of": moment}
        listed = await viewer.every("/v1/bookings", asked | {"limit": 1})
        assert listed == sorted(there.values(), key=lambda booking: (booking["start_time"], booking["id"]))
        for one in (first, second):
            answer = await viewer.get(f"/v1/bookings/{one['id']}", asked)
            if one["id"] not in there:
                assert answer.slug == "not-found"
                continue
            assert expect(answer, 200).body == there[one["id"]]
            assert answer.headers["ETag"] == f'"{there[one["id"]]["version"]}"'
            assert int(answer.headers["Position"]) == max(e["position"] for e in events if e["occurred_at"] <= moment)
            unchanged = await viewer.get(f"/v1/bookings/{one['id']}", asked, headers={"If-None-Match": "*"})
            assert unchanged.status == 304
    (noted,) = [one["notes"] for one in await viewer.every("/v1/bookings", {"as_of": events[0]["occurred_at"]})]
    assert noted == "by the back gate"
    before = {"as_of": "2020-01-01T00:00:00+01:00"}
    assert await viewer.every("/v1/bookings", before) == []
    assert (await viewer.get(path, before)).slug == "not-found"
    assert (await viewer.get(path, {"as_of": FAR_AHEAD})).slug == "invalid-request"
    theirs = other_tenant.caller()
    assert (await theirs.get(path, {"as_of": events[-1]["occurred_at"]})).slug == "not-found"
    assert await theirs.every("/v1/bookings", {"as_of": events[-1]["occurred_at"]}) == []
