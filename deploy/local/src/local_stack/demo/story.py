"""The story: two people, one night, and a third who comes late."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from local_stack.clients.caller import Answer, expect
from local_stack.demo.cast import Agency, Person
from local_stack.demo.stage import Stage

NIGHT = datetime(2027, 5, 8, 18, tzinfo=UTC)
LENGTH = timedelta(hours=3, minutes=30)
FROM_THE_BEGINNING = {"booking": 0, "tenancy": 0}


def night(title: str, start: datetime = NIGHT) -> dict[str, Any]:
    """Write what is asked for a night."""
    return {"title": title, "start_time": start.isoformat(), "end_time": (start + LENGTH).isoformat()}


def when(slot: Any) -> str:  # noqa: ANN401 - JSON
    """Write a time range as people read it."""
    start, end = (datetime.fromisoformat(slot[name]) for name in ("start_time", "end_time"))
    return f"{start:%a %d %b %Y %H:%M} to {end:%H:%M} UTC"


class Story:
    """Plays the scenes; what one leaves behind the next goes on from."""

    def __init__(self, stage: Stage, agency: Agency, ana: Person, ben: Person) -> None:
        """Play with Ana and Ben, who are connected."""
        self._stage = stage
        self._agency = agency
        self._ana = ana
        self._ben = ben

    async def add_artist(self, name: str, time_zone: str) -> Any:  # noqa: ANN401 - JSON
        """Let Ana add an artist, and both see it."""
        answer = await self._ana.caller.post("/v1/artists", {"name": name, "time_zone": time_zone})
        self._stage.answered("Ana", f"adds {name} to the roster", answer)
        artist = expect(answer, 201).body
        await self._both_hear("artist:created", artist)
        return artist

    async def race(self, artist: Any) -> Any:  # noqa: ANN401 - JSON
        """Let both want the same night at once; give the booking that stands."""
        runners = (self._ana, self._ben)
        answers = await asyncio.gather(
            *(
                runner.caller.post("/v1/bookings", {"artist_id": artist["id"]} | night(f"{runner.name}'s night"))
                for runner in runners
            )
        )
        for runner, answer in zip(runners, answers, strict=True):
            self._stage.answered(runner.name, f"pencils {when(night(''))}", answer)
        won = [pair for pair in zip(runners, answers, strict=True) if pair[1].status == 201]  # noqa: PLR2004
        lost = [pair for pair in zip(runners, answers, strict=True) if pair[1].slug == "booking-conflict"]
        self._stage.hold("exactly one of them has the night", (len(won), len(lost)) == (1, 1))
        booking = won[0][1].body
        await self._both_hear("booking:created", booking)
        await self._show_the_way(*lost[0], artist, booking)
        return booking

    async def _show_the_way(self, loser: Person, refused: Answer, artist: Any, taken: Any) -> None:  # noqa: ANN401 - JSON
        """Show the loser why not and when it would work; let them take the first window that is offered."""
        conflict, free = refused.body["conflicts"], refused.body["next_free"]
        for one in conflict:
            self._stage.speak(loser.name, f"is told what is in the way: a {one['status']}, {when(one)}")
        for one in free:
            self._stage.speak(loser.name, f"is told what is free:       {when(one)}")
        self._stage.hold(
            "the conflict is the other's booking", [one["booking_id"] for one in conflict] == [taken["id"]]
        )
        start = datetime.fromisoformat(free[0]["start_time"])
        wish = {"artist_id": artist["id"]} | night(f"{loser.name}'s night", start)
        answer = await loser.caller.post("/v1/bookings", wish)
        self._stage.answered(loser.name, f"takes {when(free[0])}", answer)
        await self._both_hear("booking:created", expect(answer, 201).body)

    async def confirm(self, booking: Any) -> None:  # noqa: ANN401 - JSON
        """Let Ana make a pencil a deal."""
        answer = await self._ana.caller.post(f"/v1/bookings/{booking['id']}/confirm")
        self._stage.answered("Ana", f"confirms {booking['title']!r}", answer)
        confirmed = expect(answer, 200).body
        self._stage.hold("the pencil is a deal", (booking["status"], confirmed["status"]) == ("pencil", "confirmed"))
        await self._both_hear("booking:confirmed", confirmed)

    async def agree(self, booking: Any) -> None:  # noqa: ANN401 - JSON
        """Let Ana note whom to call and what it pays, and Ben correct a number: neither is told on a socket."""
        address = f"/v1/bookings/{booking['id']}"
        fee = {"amount": 150_000, "currency": "EUR"}
        patch = {"contact": {"name": "Juno Winter", "phone": "+49 30 901820"}, "fee": fee}
        answer = await self._ana.caller.patch(address, patch)
        self._stage.answered("Ana", "notes whom to call, and a fee of 1,500.00 EUR", answer)
        await self._both_hear("booking:amended", expect(answer, 200).body)
        answer = await self._ben.caller.patch(address, {"contact": {"phone": "+49 30 901821"}})
        self._stage.answered("Ben", "puts right the number, and nothing else", answer)
        amended = expect(answer, 200).body
        await self._both_hear("booking:amended", amended)
        contact = {"name": "Juno Winter", "email": None, "phone": "+49 30 901821"}
        self._stage.hold("the patch merged into the contact", (amended["contact"], amended["fee"]) == (contact, fee))
        heard = [told.message["data"] for person in (self._ana, self._ben) for told in person.watcher.of("booking")]
        self._stage.hold("no socket was told of either", not any({"contact", "fee"} & data.keys() for data in heard))

    async def come_late(self) -> Person:
        """Let Cleo connect when all is over, and hear everything that she has missed."""
        cleo = await self._agency.person("Cleo", "viewer", after=FROM_THE_BEGINNING)
        self._stage.speak("Cleo", "connects late, saying that she has heard nothing so far")
        await cleo.watcher.connect()
        ready = cleo.watcher.ready[0]
        for stream in FROM_THE_BEGINNING:
            await cleo.watcher.reached(stream, ready[stream])
        for heard in cleo.watcher.heard:
            self._stage.speak("Cleo", f"hears {heard.name} ({heard.stream} {heard.position})")
        for stream in FROM_THE_BEGINNING:
            hers = [(heard.name, heard.message) for heard in cleo.watcher.of(stream)]
            for person in (self._ana, self._ben):
                theirs = [(heard.name, heard.message) for heard in person.watcher.of(stream)]
                claim = f"of {stream} Cleo has now heard what {person.name} has: {len(theirs)} events"
                self._stage.hold(claim, hers == theirs)
        return cleo

    async def _both_hear(self, name: str, thing: Any) -> None:  # noqa: ANN401 - JSON
        for person in (self._ana, self._ben):
            stream = "tenancy" if name.startswith("artist") else "booking"
            await person.watcher.reached(stream, thing["position"])
            told = [heard for heard in person.watcher.of(stream) if heard.position == thing["position"]]
            as_told = [heard.name for heard in told] == [name] and told[0].message["data"]["id"] == thing["id"]
            self._stage.speak(person.name, f"hears {name} ({stream} {thing['position']}) on the socket")
            self._stage.hold(f"{person.name} has heard it once", as_told)
