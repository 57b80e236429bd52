"""From an event to what sockets receive of it: made once, where it comes in, and passed on as it is."""

from datetime import datetime
from typing import Any, Final

import orjson

from notifications.domain.positions import LiveEvent
from production_contracts import events

_OCCURRED_AT: Final = '"occurred_at":"'


def live_event(event: dict[str, Any]) -> LiveEvent:
    """Make the live event of the JSON object of an event: no actor, no sensitive field.

    An event of a type that this version does not know takes its position and tells nothing.
    """
    kind = events.BY_NAME.get(event["type"])
    payload = None if kind is None else orjson.dumps([kind.socket, events.socket_message(event)]).decode()
    return LiveEvent(stream=event["stream"], position=event["position"], payload=payload)


def occurred_at(event: LiveEvent) -> datetime | None:
    """Tell when an event occurred; None where sockets are told nothing of it.

    It is looked for, not decoded: no string of JSON holds the name in bare quotes, and no other object stands before.
    """
    if event.payload is None:
        return None
    begin = event.payload.index(_OCCURRED_AT) + len(_OCCURRED_AT)
    return datetime.fromisoformat(event.payload[begin : event.payload.index('"', begin)])
