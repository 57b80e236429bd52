"""Follow a tenant's calendar and miss nothing, also over a restart of this program.

python follow.py "$(make -s token TENANT=acme ROLE=admin USER=ben)"
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import socketio

URL = "http://127.0.0.1:8001"
STATE = Path("follow.json")  # where we are: keep it together with what you make of the events

state: dict[str, Any] = json.loads(STATE.read_text()) if STATE.exists() else {"after": {}}
client = socketio.AsyncClient()


def auth() -> dict[str, Any]:
    """Say who we are and where: a function, so that a reconnect says where we are by then."""
    return {"token": sys.argv[1], **state}


def keep(stream: str, position: int) -> None:
    """Take note of how far we are."""
    state["after"][stream] = position
    draft = STATE.with_suffix(".new")
    draft.write_text(json.dumps(state))
    draft.replace(STATE)  # at once: whoever kills us finds the one or the other, whole


async def ready(message: dict[str, Any]) -> None:
    """Take the heads of streams that we have no position of: what comes is from here on."""
    state["epoch"] = message["epoch"]
    for stream in ("booking", "tenancy"):
        keep(stream, state["after"].get(stream, message[stream]))
    print("ready", flush=True)


async def resync(message: dict[str, Any]) -> None:
    """Read the lists again here: we are too far behind, or the history was restored. Then go on from the position."""
    keep(message["stream"], message["position"])
    print("resync", message["stream"], message["position"], flush=True)


async def event(name: str, message: dict[str, Any]) -> None:
    """Take an event: booking:created, booking:confirmed, artist:created, ..."""
    what = message["data"].get("title") or message["data"].get("name")
    print(message["stream"], message["position"], name, what, flush=True)
    keep(message["stream"], message["position"])


async def main() -> None:
    """Connect, and stay connected."""
    client.on("ready", ready)
    client.on("resync", resync)
    client.on("*", event)
    await client.connect(URL, auth=auth, retry=True)
    await client.wait()


asyncio.run(main())
