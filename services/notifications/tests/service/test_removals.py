"""Who is removed, or whose tenant is deleted, is out at once on every instance, though the token still lives."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from socketio.exceptions import ConnectionError as SocketIOConnectionError

from notifications.testing.house import Guest
from notifications.testing.waiting import DEADLINE_S, until
from notifications.testing.watcher import Watcher
from production_contracts import events
from production_contracts.envelope import event_record
from production_contracts.members import member_id
from production_contracts.times import format_timestamp
from production_contracts.topics import TENANCY_EVENTS


def stamp(moment: float) -> str:
    return format_timestamp(datetime.fromtimestamp(int(moment), UTC))


def event(kind: events.EventType, aggregate: UUID, position: int, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "stream": "tenancy",
        "position": position,
        "id": str(uuid4()),
        "type": kind.name,
        "aggregate_id": str(aggregate),
        "version": position,
        "occurred_at": stamp(time.time()),
        "actor": "clerk",
        "data": data,
    }


async def tell(guest: Guest, kind: events.EventType, aggregate: UUID, data: dict[str, Any]) -> None:
    """Let an event of tenancy happen, in the owner's history and on Kafka."""
    history = guest.house.owners.events[guest.tenant_id, "tenancy"]
    history.append(event(kind, aggregate, len(history) + 1, data))
    await guest.house.producer.send_and_wait(event_record(history[-1], guest.tenant_id, TENANCY_EVENTS.name))


async def remove(guest: Guest, user: str) -> None:
    now = stamp(time.time())
    data = {"id": f"user_{user}", "status": "removed", "as_of": now, "removed_at": now, "updated_at": now}
    await tell(
        guest, events.MEMBER_REMOVED, member_id(guest.tenant_id, f"user_{user}"), data | {"version": 1, "position": 1}
    )


async def let_in(guest: Guest, token: str) -> Watcher:
    """Knock until the door opens: an instance may hear of a removal a moment before it hears of the return."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await guest.watcher(token=token).connect(retry=False)
            except SocketIOConnectionError:
                continue


async def test_a_removed_members_sockets_close_on_every_instance_and_do_not_come_back(guest: Guest) -> None:
    old = int(time.time()) - 60
    leaving = [
        await guest.watcher(url, token=guest.token(user="ben", iat=old, nbf=old)).connect() for url in guest.house.urls
    ]
    staying = await guest.watcher(token=guest.token(user="ana", iat=old, nbf=old)).connect()
    await remove(guest, "ben")
    for watcher in leaving:
        await until(partial(bool, watcher.refusals), "the refusal of who was removed")
        assert not watcher.client.connected
        assert watcher.refusals[0]["message"] == "forbidden"
    await guest.happens(2)
    await staying.until_heard("booking", range(1, 3))
    assert [name for name, _ in staying.heard if name.startswith("member")] == ["member:removed"]
    assert len(staying.messages("ready")) == 1
    with pytest.raises(SocketIOConnectionError):
        await guest.watcher(token=guest.token(user="ben", iat=old, nbf=old)).connect(retry=False)


async def test_with_a_token_of_after_the_return_the_door_is_open_again(guest: Guest) -> None:
    old = int(time.time()) - 60
    await remove(guest, "ben")
    added = stamp(time.time())
    data = {"id": "user_ben", "status": "active", "as_of": added, "updated_at": added, "version": 2, "position": 2}
    await tell(guest, events.MEMBER_ADDED, member_id(guest.tenant_id, "user_ben"), data)
    back = await let_in(guest, guest.token(user="ben"))
    assert back.client.connected
    with pytest.raises(SocketIOConnectionError):
        await guest.watcher(token=guest.token(user="ben", iat=old, nbf=old)).connect(retry=False)


async def test_all_sockets_of_a_deleted_tenant_close(guest: Guest) -> None:
    watchers = [await guest.watcher(url, token=guest.token()).connect() for url in guest.house.urls]
    now = stamp(time.time())
    data = {"id": str(guest.tenant_id), "status": "deleted", "version": 1, "position": 1, "created_at": now}
    await tell(guest, events.TENANT_DELETED, guest.tenant_id, data)
    for watcher in watchers:
        await until(partial(bool, watcher.refusals), "the refusal of a deleted tenant's user")
