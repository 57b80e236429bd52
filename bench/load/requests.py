"""The bytes of requests, made as they are needed: one that books a night that nobody has asked for, or a read."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from bench.load.plan import Plan

FIRST_NIGHT: Final = datetime(2027, 5, 8, 20, tzinfo=UTC)
LENGTH: Final = timedelta(hours=3, minutes=30)

Make = Callable[[int], bytes]
"""Gives the bytes of a numbered request."""


def requests(plan: Plan) -> Make:
    """Give what makes the requests of a plan."""
    return _reads(plan) if plan.reads else _bookings(plan)


def _bookings(plan: Plan) -> Make:
    head = "POST /v1/bookings HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: Bearer "
    owners = [(f"{head}{owner.token}\r\nContent-Length: ", owner.artists) for owner in plan.owners]

    def make(number: int) -> bytes:
        """Book for the tenants in turn, for the artists of each in turn, one night after the other."""
        turn, place = divmod(plan.first + number, len(owners))
        head, artists = owners[place]
        night, artist = divmod(turn, len(artists))
        start = FIRST_NIGHT + timedelta(days=night)
        end = start + LENGTH
        body = (
            f'{{"artist_id":"{artists[artist]}","start_time":"{start:%Y-%m-%dT%H:%M:%S.000Z}",'
            f'"end_time":"{end:%Y-%m-%dT%H:%M:%S.000Z}","status":"pencil","title":"Night {plan.first + number}",'
            '"venue":"Barton Hall, Ithaca"}'
        )
        return f"{head}{len(body)}\r\n\r\n{body}".encode()

    return make


def _reads(plan: Plan) -> Make:
    made = [
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        for token, path in plan.reads
    ]
    first = random.randrange(len(made))  # noqa: S311 - where to begin

    def make(number: int) -> bytes:
        return made[(first + number) % len(made)]

    return make
