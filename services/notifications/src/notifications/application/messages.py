"""From an event to what sockets receive of it: made once, where it comes in, and passed on as it is."""

from datetime import datetime
from typing import Any

import orjson

from notifications.domain.positions import LiveEvent
from production_contracts import events


def live_event(event: dict[str, Any]) -> LiveEvent:
    """Make the live event of the JSON object of an event: no actor, no sensitive field.

    An event of a type that this version does not know takes its position and tells nothing.
    """
    kind = events.BY_NAME.get(event["type"])
    payload = None if kind is None else orjson.dumps([kind.socket, events.socket_message(event)]).decode()
    return LiveEvent(stream=event["stream"], position=event["position"], payload=payload)


def occurred_at(event: LiveEvent) -> datetime | None:
    """Tell when an event occurred; None where sockets are told nothing of it."""
    if event.payload is None:
        return None
    _, message = orjson.loads(event.payload)
    return datetime.fromisoformat(message["occurred_at"])
