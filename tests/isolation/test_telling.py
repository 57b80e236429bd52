"""What operators are told: a metric's labels name no tenant and no person, a line of a log at most one tenant."""

import re

import pytest
from socketio.exceptions import ConnectionError as RefusedError
from tests.isolation.estates import Estate, NewEstate
from tests.poison.mail import Tool, book, command, publish, recorded

from local_stack.clients.caller import Caller
from local_stack.clients.watcher import Watcher
from local_stack.system import SystemAddresses

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LABELS = re.compile(r"^[a-z_:0-9]+\{(?P<labels>.*)\} ", re.MULTILINE)


async def test_no_label_of_a_metric_names_a_tenant_a_person_or_a_thing(
    system: SystemAddresses, mine: Estate, theirs: Estate
) -> None:
    urls = (system.gateway_url, system.booking_url, system.tenancy_url, *system.notifications_urls)
    for estate in (mine, theirs):
        await estate.more()
        await estate.tenant.caller().get(f"/v1/{estate.word}")
        await estate.tenant.caller().get(f"/v1/bookings/{estate.ids.booking}/{estate.word}")
    for url in urls:
        told = (await Caller(session=mine.tenant.session, url=url, token="").get("/metrics")).raw.decode()
        labels = [found["labels"] for found in LABELS.finditer(told)]
        assert labels
        for label in labels:
            assert not UUID_TEXT.search(label), label
            assert "user_" not in label
        for estate in (mine, theirs):
            assert estate.left_in(told) == set()


async def provoke(estate: Estate) -> None:
    """Ask for what is refused, broken or nowhere: what goes well is hardly logged."""
    caller, word = estate.tenant.caller(), estate.word
    await caller.post("/v1/bookings", {"title": word})
    await caller.post("/v1/bookings", f'{{"title": "{word}'.encode())
    await caller.patch(f"/v1/bookings/{estate.ids.booking}", {"notes": word}, headers={"If-Match": word})
    await caller.get(f"/v1/{word}", {word: word})
    await caller.get("/v1/bookings", {"cursor": word})
    await caller.get("/v1/tenant", headers={"Authorization": f"Bearer {word}"})
    await caller.post("/v1/webhooks/clerk", {"type": word})
    with pytest.raises(RefusedError):
        await Watcher(estate.tenant.at.notifications_urls[0], word).connect()
    broken = recorded(command(estate.tenant, book({"id": estate.ids.artist}, 30, title=f"\0{word}")))
    await publish(estate.tenant, broken)
    (letter,) = await Tool(estate.tenant, "booking").when_there(1)
    assert "DBAPIError" in letter.reason


async def test_no_line_of_any_log_says_what_was_written_or_names_two_tenants(
    system: SystemAddresses, new_estate: NewEstate
) -> None:
    first, second = await new_estate(), await new_estate()
    for estate in (first, second):
        await provoke(estate)
    named, written = set(), []
    for file in system.logs.glob("*.log"):
        for line in file.read_text(errors="replace").splitlines():
            tenants = {estate.ids.tenant for estate in (first, second) if estate.ids.tenant in line}
            named |= tenants
            assert len(tenants) < 2, line
            written += [f"{file.name}: {line}" for estate in (first, second) if estate.word in line]
    assert written == []
    assert named == {first.ids.tenant, second.ids.tenant}, "lines that name nobody prove nothing"
