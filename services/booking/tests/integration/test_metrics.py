"""What became of commands is counted once it is committed: once each, by outcome."""

from uuid import uuid4

import pytest
from services.booking.tests.bench import Bench, ask, night

from servicekit.worker import DECIDED, KNOWN

CREATE = "production.booking.create.v1"


def decided(outcome: str) -> float:
    return float(DECIDED.labels(type=CREATE, outcome=outcome)._value.get())


def known() -> float:
    return float(KNOWN.labels(type=CREATE)._value.get())


async def test_commands_are_counted_by_outcome_and_repeats_apart(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    first, second = ask(tenant, night(artist)), ask(tenant, night(artist))
    before = decided("accepted"), decided("booking-conflict"), known()
    await shared_bench.handle(first, second)
    await shared_bench.handle(first, second)
    after = decided("accepted"), decided("booking-conflict"), known()
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 2]


async def test_what_is_rolled_back_is_not_counted(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)

    async def lose() -> None:
        message = "the connection is lost"
        raise OSError(message)

    bench.decider.before_commit = lose
    command = ask(tenant, night(artist))
    before = decided("accepted"), known()
    with pytest.raises(OSError, match="lost"):
        await bench.handle(command)
    assert (decided("accepted"), known()) == before
    await bench.handle(command)
    assert (decided("accepted"), known()) == (before[0] + 1, before[1])
