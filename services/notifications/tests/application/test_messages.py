"""What is read of an event without decoding it."""

from datetime import UTC, datetime

import pytest

from notifications.application.messages import live_event, occurred_at
from notifications.domain.positions import LiveEvent

OTHER = '"occurred_at":"1999-01-01T00:00:00.000Z"'


@pytest.mark.parametrize("named", ["nothing", OTHER, f'"}}{OTHER}{{"'], ids=["plain", "alike", "torn"])
def test_when_an_event_occurred_is_read_from_what_sockets_receive_whatever_a_tenant_wrote(named: str) -> None:
    event = live_event(
        {
            "stream": "booking",
            "position": 1,
            "id": named,
            "type": "BookingCreated",
            "occurred_at": "2026-11-25T12:00:00.250Z",
            "data": {"title": named, "occurred_at": "1999-01-01T00:00:00.000Z"},
        }
    )
    assert occurred_at(event) == datetime(2026, 11, 25, 12, 0, 0, 250_000, UTC)


def test_what_sockets_are_told_nothing_of_has_no_such_time() -> None:
    assert occurred_at(LiveEvent(stream="booking", position=1, payload=None)) is None
